//! `ldap-auth` before OpenLDAP's server from Debian's package, in clear and by TLS. A missing server fails the tests.
#![cfg(test)]
#![cfg(feature = "real-servers")]
mod peers;

#[path = "real_ldap/slapd.rs"]
mod slapd;
#[path = "plugins/support.rs"]
mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use slapd::Slapd;
use support::Rig;

fn yaml(block: &str) -> String {
    let consumer = |name: &str, entry: &str| {
        format!("  - {{username: {name}, plugins: {{ldap-auth: {{user_dn: '{entry},ou=users,dc=example,dc=org'}}}}}}\n")
    };
    let consumers =
        [("acme", "cn=acme"), ("comma", "cn=a\\,b\\+c")].map(|(name, entry)| consumer(name, entry)).concat();
    let route = support::route_with(&format!("{{ldap-auth: {{base_dn: 'ou=users,dc=example,dc=org', {block}}}}}"));
    format!("consumers:\n{consumers}{route}")
}

async fn log_in(rig: &Rig, login: &str) -> (u16, Option<String>) {
    let answer = rig.get("/", &[("Authorization", &format!("Basic {}", STANDARD.encode(login)))]).await;
    let caller = || rig.forwarded().field("x-consumer-username").map(str::to_owned);
    (answer.status(), (answer.status() == 200).then(caller).flatten())
}

#[tokio::test]
async fn a_real_directory_tells_who_may_log_in() {
    let slapd = Slapd::start();
    for block in [format!("ldap_uri: '{}'", slapd.plain()), format!("ldap_uri: '{}', use_tls: true", slapd.tls())] {
        let rig = Rig::of(&yaml(&block)).await;
        assert_eq!(log_in(&rig, "acme:pass word:1").await, (200, Some("acme".to_owned())), "{block}");
        assert_eq!(log_in(&rig, "a,b+c:second").await, (200, Some("comma".to_owned())), "{block}");
        for login in ["acme:wrong", "nobody:x", "acme:", "*:pass word:1", "acme,ou=users:x", "stranger:third"] {
            assert_eq!(log_in(&rig, login).await, (401, None), "{block}: {login}");
        }
    }
    // the certificate is one that no root of the system vouches for
    let verified = Rig::of(&yaml(&format!("ldap_uri: '{}', use_tls: true, tls_verify: true", slapd.tls()))).await;
    assert_eq!(log_in(&verified, "acme:pass word:1").await, (503, None));
    // TLS is spoken to a port that has none
    let mixed = Rig::of(&yaml(&format!("ldap_uri: '{}', use_tls: true, timeout: 2000", slapd.plain()))).await;
    assert_eq!(log_in(&mixed, "acme:pass word:1").await, (503, None));
}

/// The system's roots are read from a process's environment: the test goes on in a process of its own.
#[tokio::test]
async fn a_certificate_of_a_known_root_is_believed() {
    const DIRECTORY: &str = "TOLLGATE_TEST_DIRECTORY";
    let Ok(address) = std::env::var(DIRECTORY) else {
        let slapd = Slapd::start();
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        own.args(["--exact", "a_certificate_of_a_known_root_is_believed"]);
        let status = own.env(DIRECTORY, slapd.tls()).env("SSL_CERT_FILE", slapd.certificate()).status().unwrap();
        assert!(status.success(), "see above");
        return;
    };
    let rig = Rig::of(&yaml(&format!("ldap_uri: '{address}', use_tls: true, tls_verify: true"))).await;
    assert_eq!(log_in(&rig, "acme:pass word:1").await, (200, Some("acme".to_owned())));
    assert_eq!(log_in(&rig, "acme:wrong").await, (401, None));
}

#[tokio::test]
async fn a_directory_that_stops_and_starts_again_is_asked_anew() {
    let mut slapd = Slapd::start();
    let rig = Rig::of(&yaml(&format!("ldap_uri: '{}', timeout: 500", slapd.plain()))).await;
    assert_eq!(log_in(&rig, "acme:pass word:1").await.0, 200);
    slapd.pause();
    assert_eq!(log_in(&rig, "acme:pass word:1").await, (503, None), "it is there and says nothing");
    slapd.resume();
    slapd.stop();
    assert_eq!(log_in(&rig, "acme:pass word:1").await, (503, None));
    slapd.restart();
    assert_eq!(log_in(&rig, "acme:pass word:1").await.0, 200);
}
