//! `graphql-proxy-cache` as its example has it.
use super::peers::strict::Message;
use super::support::{Rig, refused, route_with, said};

fn status(answer: &Message) -> &str {
    answer.field("apisix-cache-status").unwrap_or("none")
}

async fn post(rig: &Rig, media: &str, body: &str) -> Message {
    rig.ask_bytes("POST /graphql", [("content-type", media.as_bytes())], body.as_bytes()).await
}

#[tokio::test]
async fn queries_are_kept_and_mutations_pass() {
    let rig = Rig::example("graphql-proxy-cache").await;
    for wanted in ["MISS", "HIT"] {
        let answer = post(&rig, "application/json", r#"{"query": "{a}", "variables": {"b": 1}}"#).await;
        assert_eq!((status(&answer), answer.text().as_str()), (wanted, "origin"));
        assert_eq!(status(&post(&rig, "application/graphql", "query {a}").await), wanted);
        assert_eq!(status(&rig.get("/graphql?query=%7Ba%7D", &[]).await), wanted);
    }
    assert_eq!(rig.forwarded_count(), 3);
    assert_eq!(status(&post(&rig, "application/json", r#"{"query": "{a}", "variables": {"b": 2}}"#).await), "MISS");
    for _ in 0..2 {
        let answer = post(&rig, "application/json", r#"{"query": "query {a} mutation {b}"}"#).await;
        assert_eq!((status(&answer), answer.field("apisix-cache-key")), ("BYPASS", None));
    }
    assert_eq!(rig.forwarded().text(), r#"{"query": "query {a} mutation {b}"}"#);
    // an old name of the same JSON, which is no document by itself
    for media in ["application/graphql+json", "Application/JSON; charset=utf-8"] {
        for _ in 0..2 {
            assert_eq!(status(&post(&rig, media, r#"{"query": "mutation {pay}"}"#).await), "BYPASS", "{media}");
        }
    }
}

#[tokio::test]
async fn what_is_no_query_is_told_so() {
    let rig = Rig::example("graphql-proxy-cache").await;
    for (media, body, says) in [
        ("application/json", "", "Invalid graphql request: can't get graphql request body"),
        ("application/json", "{}", "invalid graphql request, json body[query] is nil"),
        ("application/json", "{", "Invalid graphql request: failed to parse graphql query"),
        (
            "application/json",
            r#"{"query": "{a", "query": "{a}"}"#,
            "Invalid graphql request: failed to parse graphql query",
        ),
        ("application/graphql", "{a", "Invalid graphql request: failed to parse graphql query"),
        ("application/graphql", " ", "Invalid graphql request: empty graphql query"),
        ("text/plain", "{a}", "invalid graphql request, error content-type: text/plain"),
        ("application/graphqlx", "{a}", "invalid graphql request, error content-type: application/graphqlx"),
    ] {
        let answer = post(&rig, media, body).await;
        assert_eq!((answer.status(), said(&answer, "message").as_str()), (400, says), "{media} {body}");
    }
    let answer = rig.get("/graphql", &[]).await;
    assert_eq!(said(&answer, "message"), "invalid graphql request, args[query] is nil");
    let refusal = rig.ask("DELETE /graphql", &[]).await;
    assert_eq!((refusal.status(), refusal.field("allow")), (405, Some("GET, POST")));
    assert_eq!(post(&rig, "application/graphql", &"#".repeat((1 << 20) + 1)).await.status(), 413);
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn answers_are_taken_out_by_their_key() {
    let rig = Rig::example("graphql-proxy-cache").await;
    let answer = rig.get("/graphql?query=%7Ba%7D", &[]).await;
    let key = answer.field("apisix-cache-key").unwrap();
    let purge = |kind: &str, rest: &str| format!("PURGE /apisix/plugin/graphql-proxy-cache/{kind}/{rest}");
    let whole = format!("graphql/{key}");
    for (path, code) in [
        (purge("tape", &whole), 400),
        (purge("memory", key), 400),
        (purge("disk", &whole), 400),
        (purge("memory", "graphql/00000000000000000000000000000000"), 404),
        (purge("memory", "graphql/x"), 404),
        (purge("memory", &format!("another/{key}")), 404),
        (purge("memory", &whole), 200),
        (purge("memory", &whole), 404),
    ] {
        assert_eq!(rig.ask(&path, &[]).await.status(), code, "{path}");
    }
    assert_eq!(status(&rig.get("/graphql?query=%7Ba%7D", &[]).await), "MISS");
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{cache_zone: none}", "plugins.graphql-proxy-cache.cache_zone: "),
        ("{cache_zone: memory_cache}", "invalid or empty cache_zone for cache_strategy: disk"),
        ("{cache_ttl: 0}", "plugins.graphql-proxy-cache.cache_ttl: "),
        ("{cache_key: [a]}", "unknown field"),
    ] {
        let text = refused(&route_with(&format!("{{graphql-proxy-cache: {block}}}")));
        assert!(text.contains(says), "{text}");
    }
}
