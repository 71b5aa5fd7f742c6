//! `key-auth` as its example has it, and what it refuses.
use super::support::{Rig, example, refused, route_with, said};

#[tokio::test]
async fn a_key_names_the_consumer_and_stays_here() {
    let rig = Rig::example("key-auth").await;
    let spoofed = [("x-consumer-username", "root"), ("X-Credential-Identifier", "root")];
    let with_key = |key| [spoofed[0], spoofed[1], ("X-API-Key", key)];

    assert_eq!(rig.get("/orders/1?a=%2F&key=other", &with_key("first-key-of-acme")).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!(seen.target(), "/orders/1?a=%2F&key=other");
    assert_eq!(seen.field("x-consumer-username"), Some("acme"));
    assert_eq!(seen.field("x-consumer-custom-id"), Some("cust-9"));
    assert_eq!((seen.field("x-credential-identifier"), seen.field("x-api-key")), (None, None));

    assert_eq!(rig.get("/orders/1?key=second-key-of-acme&a=1", &spoofed).await.status(), 200);
    let seen = rig.forwarded();
    assert_eq!((seen.target(), seen.field("x-credential-identifier")), ("/orders/1?a=1", Some("second-key")));
    assert_eq!(seen.field("x-consumer-username"), Some("acme"));
}

#[tokio::test]
async fn who_has_no_key_is_refused_or_anonymous() {
    let rig = Rig::example("key-auth").await;
    let answer = rig.get("/orders/1", &[("apikey", "first-key-of-acme")]).await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, "Missing API key in request"));
    assert_eq!(answer.field("www-authenticate"), Some("apikey realm=\"orders\""));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    for key in [&b"nobody"[..], b"", b"first-key-of-acm", b"\xff\xfe"] {
        let answer = rig.ask_bytes("GET /orders/1", [("x-api-key", key)], b"").await;
        assert_eq!((answer.status(), said(&answer, "message").as_str()), (401, "Invalid API key in request"));
    }
    let twice = [("x-api-key", "first-key-of-acme"), ("X-Api-Key", "first-key-of-acme")];
    assert_eq!(said(&rig.get("/orders/1", &twice).await, "message"), "Invalid API key in request");
    assert_eq!(rig.forwarded_count(), 0);

    for (fields, consumer) in
        [(&[("apikey", "first-key-of-acme")][..], "acme"), (&[("apikey", "nobody")], "visitor"), (&[], "visitor")]
    {
        assert_eq!(rig.get("/catalogue/1", fields).await.status(), 200);
        let seen = rig.forwarded();
        assert_eq!(seen.field("x-consumer-username"), Some(consumer));
        // Without `hide_credentials` it is the client's request that goes on.
        assert_eq!(seen.field("apikey"), fields.first().map(|(_, key)| *key));
    }
}

#[tokio::test]
async fn sec_auth_08_a_forwarded_key_is_warned_of() {
    let rig = Rig::example("key-auth").await;
    let told: Vec<_> = rig.gateway.status().findings.iter().map(ToString::to_string).collect();
    assert!(
        told.len() == 1 && told[0].contains("route `catalogue`, field plugins.key-auth.hide_credentials"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_second_request_of_a_connection_is_judged_alone() {
    let rig = Rig::example("key-auth").await;
    let mut client = rig.client().await;
    client.send("GET /orders/1 HTTP/1.1\r\nHost: a\r\nX-Api-Key: first-key-of-acme\r\n\r\n").await;
    client.send("GET /orders/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((client.answer().await.status(), client.answer().await.status()), (200, 401));
}

#[test]
fn faults_are_named_by_their_place() {
    for (document, says) in [
        (route_with("{key-auth: {headers: a}}"), "unknown field `headers`"),
        (route_with("{key-auth: {header: 'a b'}}"), "plugins.key-auth.header"),
        (route_with("{key-auth: {hide_credentials: 1}}"), "plugins.key-auth.hide_credentials"),
        (route_with("{key-auth: {realm: 'a\"b'}}"), "plugins.key-auth.realm"),
        (route_with("{key-auth: {anonymous_consumer: ''}}"), "plugins.key-auth.anonymous_consumer"),
        ("consumers: [{username: a, plugins: {key-auth: {}}}]\n".to_owned(), "missing field `key`"),
        ("consumers: [{username: a, plugins: {key-auth: {key: ''}}}]\n".to_owned(), "plugins.key-auth.key"),
        (
            "consumers:\n- {username: a, plugins: {key-auth: {key: k}}}\n- {username: b, plugins: {key-auth: {key: k}}}\n"
                .to_owned(),
            "duplicate key of plugin key-auth found with consumer: a",
        ),
    ] {
        let faults = refused(&document);
        assert!(faults.contains(says), "{says} is not in\n{faults}");
        assert!(!faults.contains("panicked"));
    }
}

#[tokio::test]
async fn sec_auth_11_a_broken_update_leaves_the_lock_on() {
    let rig = Rig::example("key-auth").await;
    let broken = example("key-auth").replace("realm: orders", "realm: 1");
    let read = tollgate::config::FileSource::new("apisix.yaml").read(broken.as_bytes()).unwrap();
    assert!(rig.gateway.apply(read.snapshot).is_err());
    assert_eq!(rig.get("/orders/1", &[]).await.status(), 401);
}
