//! `ldap-auth` as its example has it, before a double of a directory; `real_ldap` asks a real one.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tollgate::gateway::Gateway;

use super::peers::origin::{Origin, Step};
use super::support::{Rig, example, refused, route_with, said};

/// What stands for the directory in the example.
const DIRECTORY: &str = "127.0.0.1:3890";

/// A directory that answers every bind with this code.
async fn answering(code: u8) -> Origin {
    let answer = [0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, code, 4, 0, 4, 0];
    Origin::scripted(move |_| vec![Step::until(b"password"), Step::send(answer)]).await
}

async fn rig(directory: &Origin) -> Rig {
    let yaml = example("ldap-auth").replace(DIRECTORY, &directory.address().to_string());
    Rig::with(Gateway::builder(), &yaml).await
}

async fn log_in(rig: &Rig, login: &str) -> super::peers::strict::Message {
    rig.get("/reports/1", &[("Authorization", &format!("Basic {}", STANDARD.encode(login)))]).await
}

#[tokio::test]
async fn the_entry_names_the_consumer_and_the_password_stays_here() {
    let directory = answering(0).await;
    let rig = rig(&directory).await;
    assert_eq!(log_in(&rig, "acme:a password").await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!((seen.field("x-consumer-username"), seen.field("authorization")), (Some("acme"), None));
    let asked = &directory.seen()[0].bytes;
    let name = b"cn=acme,ou=users,dc=example,dc=org";
    assert!(asked.windows(name.len()).any(|window| window == name), "{asked:?}");
    let answer = log_in(&rig, "other:a password").await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, "Missing related consumer"));
}

#[tokio::test]
async fn everybody_else_is_refused() {
    let directory = answering(49).await;
    let rig = rig(&directory).await;
    let answer = log_in(&rig, "acme:a password").await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, "Invalid user authorization"));
    assert_eq!(answer.field("www-authenticate"), Some("Basic realm=\"ldap\""));
    assert_eq!(log_in(&rig, "acme:").await.status(), 401);
    assert_eq!((directory.seen().len(), rig.forwarded_count()), (1, 0), "an empty password is never sent");
    drop(directory);
    let away = rig.get("/reports/1", &[("Authorization", "Basic YTpi")]).await;
    assert_eq!((away.status(), away.body.len(), rig.forwarded_count()), (503, 0, 0));
}

#[tokio::test]
async fn a_credential_goes_on_unless_it_is_hidden_and_multi_auth_asks_the_directory_too() {
    let directory = answering(0).await;
    let consumer = "consumers: [{username: acme, plugins: {ldap-auth: {user_dn: \"cn=acme,dc=x\"}}}]\n";
    let block = format!("ldap-auth: {{ldap_uri: '{}', base_dn: dc=x}}", directory.address());
    let several = format!("{{multi-auth: {{auth_plugins: [{{key-auth: {{}}}}, {{{block}}}]}}}}");
    for plugins in [format!("{{{block}}}"), several] {
        let rig = Rig::of(&format!("{consumer}{}", route_with(&plugins))).await;
        assert_eq!(log_in(&rig, "acme:a password").await.status(), 200, "{plugins}");
        let seen = rig.forwarded();
        assert_eq!(seen.field("x-consumer-username"), Some("acme"), "{plugins}");
        assert!(seen.field("authorization").is_some_and(|value| value.starts_with("Basic ")), "{plugins}");
        assert_eq!(rig.get("/reports/1", &[]).await.status(), 401, "{plugins}");
    }
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{base_dn: dc=x}", "plugins.ldap-auth.ldap_uri"),
        ("{ldap_uri: 'ldap://a', base_dn: dc=x}", "without a scheme"),
        ("{ldap_uri: a, base_dn: dc=x, verify: true}", "unknown field `verify`"),
    ] {
        let faults = refused(&route_with(&format!("{{ldap-auth: {block}}}")));
        assert!(faults.contains(says), "{block}: {faults}");
    }
}
