//! `degraphql` in a whole gateway.
use serde_json::{Value, json};

use super::support::{Rig, refused, route_with};

#[tokio::test]
async fn the_example_asks_for_one_person() {
    let rig = Rig::example("degraphql").await;
    assert_eq!(rig.get("/people?id=1&x=2", &[]).await.status(), 200);
    let forwarded = rig.forwarded();
    let (path, query) = forwarded.target().split_once('?').unwrap();
    assert_eq!(path, "/graphql");
    assert!(
        query.starts_with("query=query+%28%24id") && query.ends_with("&variables=%7B%22id%22%3A%221%22%7D"),
        "{query}"
    );
    let fields = [("Content-Type", &b"application/json"[..])];
    assert_eq!(rig.ask_bytes("POST /people", fields, br#"{"id": "1", "x": 2}"#).await.status(), 200);
    let body: Value = serde_json::from_slice(&rig.forwarded().body).unwrap();
    assert_eq!(body["variables"], json!({"id": "1"}));
    assert_eq!(rig.ask_bytes("POST /people", fields, b"no").await.status(), 400);
}

#[test]
fn faults_are_named_by_their_place() {
    let text = refused(&route_with("{degraphql: {query: 'query a { b'}}"));
    assert!(text.contains("plugins.degraphql.query: "), "{text}");
}
