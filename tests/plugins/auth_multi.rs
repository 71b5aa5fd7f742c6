//! `multi-auth` as its example has it, and what it refuses.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::support::{Rig, example, refused, route_with, said};

#[tokio::test]
async fn either_credential_is_enough() {
    let rig = Rig::example("multi-auth").await;
    let basic = format!("Basic {}", STANDARD.encode("bert:password-of-bert"));
    let wrong = format!("Basic {}", STANDARD.encode("bert:wrong"));
    for (fields, consumer) in [
        (&[("apikey", "key-of-acme")][..], "acme"),
        (&[("Authorization", &basic)], "bert"),
        (&[("apikey", "wrong"), ("Authorization", &basic)], "bert"),
        (&[("apikey", "key-of-acme"), ("Authorization", &wrong)], "acme"),
    ] {
        let answer = rig.get("/orders/1", fields).await;
        assert_eq!((answer.status(), answer.field("www-authenticate")), (200, None), "{fields:?}");
        assert_eq!(rig.forwarded().field("x-consumer-username"), Some(consumer));
    }
    let before = rig.forwarded_count();
    for fields in [&[][..], &[("apikey", "wrong"), ("Authorization", &wrong)]] {
        let answer = rig.get("/orders/1", fields).await;
        assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, "Authorization Failed"));
        assert_eq!(answer.all("www-authenticate"), ["apikey realm=\"key\"", "Basic realm=\"basic\""]);
    }
    let twice = [("Authorization", &*basic), ("Authorization", &*basic)];
    assert_eq!(rig.get("/orders/1", &twice).await.status(), 400);
    assert_eq!(rig.forwarded_count(), before);
}

#[tokio::test]
async fn an_anonymous_consumer_ends_the_search() {
    let text =
        example("multi-auth").replace("key-auth: {hide_credentials: true}", "key-auth: {anonymous_consumer: bert}");
    let rig = Rig::of(&text).await;
    assert_eq!(rig.get("/orders/1", &[]).await.status(), 200);
    assert_eq!(rig.forwarded().field("x-consumer-username"), Some("bert"));
}

#[cfg(feature = "jwt")]
#[tokio::test]
async fn sec_hop_05_fields_of_a_plugin_that_was_not_asked_are_no_clients() {
    let jwt = "jwt-auth: {claims_to_headers: {X-Mail: mail}}";
    let rig = Rig::of(&example("multi-auth").replace("basic-auth: {hide_credentials: true}", jwt)).await;
    assert_eq!(rig.get("/orders/1", &[("apikey", "key-of-acme"), ("X-Mail", "spoofed")]).await.status(), 200);
    assert_eq!(rig.forwarded().field("x-mail"), None);
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{}", "plugins.multi-auth.auth_plugins"),
        ("{auth_plugins: [{key-auth: {}}]}", "plugins.multi-auth.auth_plugins"),
        ("{auth_plugins: [{key-auth: {}}, {cors: {}}]}", "cors plugin is not supported"),
        ("{auth_plugins: [{key-auth: {}}, {no-auth: {}}]}", "no-auth plugin did not found"),
        ("{auth_plugins: [{key-auth: {}}, {basic-auth: {realm: 1}}]}", "plugin basic-auth check schema failed"),
        ("{auth_plugins: [{key-auth: {}}, {basic-auth: {realm: 1}}]}", "multi-auth.auth_plugins.1.basic-auth.realm"),
    ] {
        let faults = refused(&route_with(&format!("{{multi-auth: {block}}}")));
        assert!(faults.contains(says), "{says} is not in\n{faults}");
    }
}
