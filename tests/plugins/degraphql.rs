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

#[tokio::test]
async fn a_client_asks_no_query_of_its_own() {
    let rig = Rig::example("degraphql").await;
    let fields = [("Content-Type", &b"application/json"[..])];
    let own = "query=mutation%7Bdrop%7D&variables=%7B%22x%22%3A1%7D&extensions=%7B%7D&operationName=x";
    assert_eq!(rig.ask_bytes(&format!("POST /people?{own}"), fields, b"{}").await.status(), 200);
    let forwarded = rig.forwarded();
    assert_eq!(forwarded.target(), "/graphql");
    let body: Value = serde_json::from_slice(&forwarded.body).unwrap();
    assert_eq!((&body["variables"], body.as_object().unwrap().len()), (&json!({}), 2));
    let body = br#"{"query": "mutation{drop}", "variables": {"x": 1}}"#;
    assert_eq!(rig.ask_bytes(&format!("GET /people?{own}"), fields, body).await.status(), 200);
    let forwarded = rig.forwarded();
    let (_, query) = forwarded.target().split_once('?').unwrap();
    assert!(query.starts_with("query=query+%28%24id") && query.ends_with("&variables=%7B%7D"), "{query}");
    assert_eq!(
        (forwarded.body.len(), forwarded.field("content-type"), forwarded.field("content-length")),
        (0, None, None)
    );
}

#[tokio::test]
async fn long_bodies_are_warned_of() {
    let doubts = async |yaml: &str| {
        let findings = Rig::of(yaml).await.gateway.status().findings.clone();
        findings.iter().any(|finding| finding.path == "plugins.degraphql.max_req_body_size")
    };
    assert!(doubts(&route_with("{degraphql: {query: '{ a }'}}")).await, "64 MiB are more than 1");
    assert!(!doubts(&route_with("{degraphql: {query: '{ a }', max_req_body_size: 1048576}}")).await);
}

#[test]
fn faults_are_named_by_their_place() {
    let text = refused(&route_with("{degraphql: {query: 'query a { b'}}"));
    assert!(text.contains("plugins.degraphql.query: "), "{text}");
}
