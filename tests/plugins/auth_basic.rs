//! `basic-auth` as its example has it, and what it refuses.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::support::{Rig, refused, route_with, said};

fn login(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

#[tokio::test]
async fn a_login_names_the_consumer_and_stays_here() {
    let rig = Rig::example("basic-auth").await;
    for (text, credential) in
        [("acme:correct horse battery staple", None), ("printer:of:the:printer", Some("printer-2"))]
    {
        assert_eq!(rig.get("/reports/1", &[("Authorization", &login(text))]).await.status(), 200);
        let seen = rig.forwarded();
        assert_eq!((seen.field("x-consumer-username"), seen.field("authorization")), (Some("acme"), None));
        assert_eq!(seen.field("x-credential-identifier"), credential);
    }
}

#[tokio::test]
async fn everything_else_is_refused() {
    let rig = Rig::example("basic-auth").await;
    let wrong = "Invalid user authorization";
    for (value, message) in [
        (None, "Missing authorization in request"),
        (Some("Bearer x".to_owned()), "Invalid authorization in request"),
        (Some("Basic ???".to_owned()), "Invalid authorization in request"),
        (Some(login("acme")), "Invalid authorization in request"),
        (Some(login("acme:correct horse")), wrong),
        (Some(login("nobody:x")), wrong),
        (Some(login("printer:of")), wrong),
        (Some(login("acme: correct horse battery staple")), wrong),
    ] {
        let fields: Vec<_> = value.iter().map(|value| ("Authorization", value.as_str())).collect();
        let answer = rig.get("/reports/1", &fields).await;
        assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, message), "{value:?}");
        assert_eq!(answer.field("www-authenticate"), Some("Basic realm=\"reports\""));
    }
    let right = login("acme:correct horse battery staple");
    let twice = [("Authorization", right.as_str()), ("Authorization", right.as_str())];
    assert_eq!(rig.get("/reports/1", &twice).await.status(), 400);
    assert_eq!(rig.forwarded_count(), 0);
}

#[test]
fn faults_are_named_by_their_place() {
    let consumer = |block: &str| format!("consumers: [{{username: a, plugins: {{basic-auth: {block}}}}}]\n");
    for (document, says) in [
        (route_with("{basic-auth: {user: a}}"), "unknown field `user`"),
        (consumer("{username: a}"), "missing field `password`"),
        (consumer("{username: 'a:b', password: p}"), "plugins.basic-auth.username"),
        (consumer("{username: a, password: ''}"), "plugins.basic-auth.password"),
        (consumer("{username: a, password: canary-7, realm: b}"), "unknown field `realm`"),
    ] {
        let faults = refused(&document);
        assert!(faults.contains(says), "{says} is not in\n{faults}");
        assert!(!faults.contains("canary"), "{faults}");
    }
}
