//! Lists: pages, cursors, filters.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use serde_json::{Value, json};
use tollgate::store::{Edit, Key, Transaction};

use super::rig::Rig;

async fn many() -> Rig {
    let rig = Rig::memory().await;
    for number in 0..25 {
        let route = json!({
            "uri": format!("/r/{number}"), "name": format!("route {number}"), "plugins": {},
            "labels": {"parity": if number % 2 == 0 { "even" } else { "odd" }},
        });
        // Ids whose order is not the one in which they come.
        rig.put(&format!("/routes/{}", 100 - number), route).await;
    }
    rig
}

fn names(body: &Value) -> Vec<&str> {
    body["list"].as_array().unwrap().iter().map(|item| item["value"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pages_and_filters() {
    let rig = many().await;
    for (query, total, first, length) in [
        ("", 25, Some("route 0"), 25),
        ("?page=1&page_size=10", 25, Some("route 0"), 10),
        ("?page=3&page_size=10", 25, Some("route 20"), 5),
        ("?page=4&page_size=10", 25, None, 0),
        ("?page=2", 25, Some("route 0"), 25),
        ("?name=route%201", 11, Some("route 1"), 11),
        ("?name=route%201&page=2&page_size=10", 11, Some("route 19"), 1),
        ("?label=parity", 25, Some("route 0"), 25),
        ("?label=parity%3Dodd&page=1&page_size=10", 12, Some("route 1"), 10),
        ("?uri=/r/24", 1, Some("route 24"), 1),
        ("?name=nothing", 0, None, 0),
    ] {
        let reply = rig.get(&format!("/routes{query}")).await;
        assert_eq!(reply.status, 200, "{query}");
        let names = names(&reply.body);
        assert_eq!(
            (reply.body["total"].as_u64(), names.first().copied(), names.len()),
            (Some(total), first, length),
            "{query}"
        );
    }
    for query in ["?page=1&page_size=9", "?page=1&page_size=501", "?name=(", "?uri=[", "?cursor=x"] {
        assert_eq!(rig.get(&format!("/routes{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_cursor_walks_through_a_list_that_changes() {
    let rig = many().await;
    let (mut seen, mut cursor, mut removed) = (Vec::new(), String::new(), false);
    loop {
        let reply = rig.get(&format!("/routes?page_size=10&cursor={cursor}")).await;
        seen.extend(names(&reply.body).into_iter().map(str::to_owned));
        if !removed {
            removed = true;
            rig.send("DELETE", "/routes/91", "").await;
            rig.send("DELETE", "/routes/76", "").await;
        }
        match reply.body["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let expected: Vec<_> = (0..24).map(|number| format!("route {number}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_another_writer_stored_is_shown_in_the_same_form() {
    let rig = Rig::memory().await;
    let put = |key: &str, value: Value| Edit::Put {
        key: Key::parse(key).unwrap(),
        value: value.to_string().into(),
        ttl: None,
    };
    let edits = vec![
        put("upstreams/1", json!({"id": "1", "nodes": {"a:80": 1, "b": 2}})),
        put("consumers/jack", json!({"username": "jack"})),
        put("consumers/jack/credentials/c", json!({"id": "c", "plugins": {"key-auth": {"key": "k"}}})),
    ];
    let committed = rig.mirror.commit(Transaction { edits, ..Transaction::default() }).await.unwrap();
    rig.mirror.reached(committed.revision).await;
    let upstream = rig.get("/upstreams/1").await.body;
    let nodes = json!([{"host": "a", "port": 80, "weight": 1}, {"host": "b", "weight": 2}]);
    assert_eq!(upstream["value"]["nodes"], nodes);
    assert_eq!(rig.get("/consumers/jack/credentials").await.body["total"], 1);
    assert_eq!(rig.get("/consumers").await.body["total"], 1);
    assert_eq!(rig.mirror.view().snapshot().credentials.len(), 1, "the reference stores the id without the consumer");
}
