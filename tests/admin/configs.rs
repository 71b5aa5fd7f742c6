//! The whole configuration in one call.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use std::sync::Arc;

use serde_json::{Value, json};
use tollgate::store::MemoryStore;

use super::rig::{Reply, Rig, request};

async fn rig() -> Rig {
    Rig::with(Arc::new(MemoryStore::new()), |builder| builder.full_config(true)).await
}

async fn put(rig: &Rig, digest: &str, document: &Value) -> Reply {
    let request = request("PUT", "/configs").header("x-digest", digest);
    rig.ask(request.body(document.to_string().into()).unwrap()).await
}

fn mocked(id: &str, uri: &str, code: u16) -> Value {
    json!({"id": id, "uri": uri, "plugins": {"mocking": {"response_status": code, "response_example": "x"}}})
}

#[tokio::test]
async fn the_whole_is_replaced_by_version() {
    let rig = rig().await;
    let empty = rig.get("/configs").await;
    assert_eq!((empty.status.as_u16(), &empty.body["routes_conf_version"]), (200, &json!(0)), "{}", empty.text);
    let no_digest = rig.json("PUT", "/configs", json!({})).await;
    assert_eq!((no_digest.status.as_u16(), no_digest.error()), (400, "missing digest header"));

    let first = json!({"routes": [mocked("1", "/a", 201), mocked("2", "/b", 202)], "consumers": [{"username": "jack"}, {"id": "jack/credentials/1", "plugins": {"key-auth": {"key": "k"}}}]});
    let reply = put(&rig, "one", &first).await;
    assert_eq!((reply.status.as_u16(), reply.field("x-digest")), (202, "one"), "{}", reply.text);
    assert!(reply.field("x-last-modified").parse::<u64>().unwrap() > 0);
    assert_eq!((rig.traffic("/a").await.as_u16(), rig.traffic("/b").await.as_u16()), (201, 202));
    assert_eq!(put(&rig, "one", &json!({})).await.status, 204, "the same digest is the same document");
    let read = rig.get("/configs").await;
    assert_eq!((read.field("x-digest"), &read.body["routes_conf_version"]), ("one", &json!(1)));
    assert_eq!(read.body["routes"].as_array().unwrap().len(), 2);
    let head = rig.send("HEAD", "/configs", "").await;
    assert_eq!((head.status.as_u16(), head.field("x-digest"), head.text.as_str()), (200, "one", ""));

    // A version that is there already stays as it is, whatever comes with it.
    let same = json!({"routes_conf_version": 1, "routes": [], "consumers_conf_version": 1, "upstreams": []});
    assert_eq!(put(&rig, "two", &same).await.status, 202);
    assert_eq!(rig.traffic("/a").await, 201);
    let older = put(&rig, "three", &json!({"routes_conf_version": 0})).await;
    assert_eq!(
        (older.status.as_u16(), older.error()),
        (400, "routes_conf_version must be greater than or equal to (1)")
    );
    let newer = json!({"routes_conf_version": 7, "routes": [mocked("1", "/a", 203)], "consumers_conf_version": 1});
    assert_eq!(put(&rig, "four", &newer).await.status, 202);
    assert_eq!((rig.traffic("/a").await.as_u16(), rig.traffic("/b").await.as_u16()), (203, 404));
    assert_eq!(rig.stored().len(), 3, "the route, the consumer and its credential");
    assert_eq!(put(&rig, "five", &json!({})).await.status, 202, "what is missing is emptied");
    assert!(rig.stored().is_empty());
}

#[tokio::test]
async fn an_unchanged_item_is_not_written_again() {
    let rig = rig().await;
    let of = |index: u64, code: u16| {
        let mut route = mocked("1", "/a", code);
        route["modifiedIndex"] = index.into();
        json!({"routes": [route, mocked("2", "/b", 202)]})
    };
    put(&rig, "one", &of(5, 201)).await;
    let modified = |rig: &Rig, key: &str| rig.mirror.view().get(key).unwrap().modified;
    let before = (modified(&rig, "routes/1"), modified(&rig, "routes/2"));
    put(&rig, "two", &of(5, 203)).await;
    assert_eq!((modified(&rig, "routes/1"), modified(&rig, "routes/2")), before);
    assert_eq!(rig.traffic("/a").await, 201, "the index says that it is the same");
    put(&rig, "three", &of(6, 203)).await;
    assert_eq!(modified(&rig, "routes/2"), before.1);
    assert_eq!(rig.traffic("/a").await, 203);
}

#[tokio::test]
async fn bad_documents_change_nothing() {
    let rig = rig().await;
    put(&rig, "one", &json!({"routes": [mocked("1", "/a", 201)]})).await;
    let before = rig.stored();
    for document in [
        json!({"routes": [mocked("1", "/a", 201), {"id": "2", "uri": 7}]}),
        json!({"routes": [{"id": "2", "uri": "/b", "plugins": {"none": {}}}]}),
        json!({"routes": "x"}),
        json!({"routes_conf_version": "x"}),
        json!({"surplus": []}),
        json!({"tollgate": {}}),
        json!([]),
    ] {
        let reply = put(&rig, "two", &document).await;
        assert_eq!(reply.status, 400, "{document}: {}", reply.text);
    }
    assert_eq!(rig.stored(), before);
    let read = rig.get("/configs").await;
    assert_eq!(read.field("x-digest"), "one");
}

#[tokio::test]
async fn what_is_untouched_stays_in_the_store_too() {
    let rig = rig().await;
    let mut route = mocked("1", "/a", 201);
    route["modifiedIndex"] = 5.into();
    assert_eq!(put(&rig, "one", &json!({"routes": [route.clone()]})).await.status, 202);
    let created = rig.stored()[0].1["create_time"].clone();
    // Somebody else's.
    rig.put("/routes/2", json!({"uri": "/b", "plugins": {}})).await;
    rig.put("/upstreams/1", json!({"nodes": {"a:80": 1}})).await;
    let same = json!({"routes_conf_version": 1, "upstreams_conf_version": 1, "consumers": [{"username": "jack"}]});
    let reply = put(&rig, "two", &same).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let keys: Vec<_> = rig.stored().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["consumers/jack", "routes/1", "routes/2", "upstreams/1"]);
    // The index that came with the route is known still.
    route["uri"] = "/other".into();
    assert_eq!(put(&rig, "three", &json!({"routes": [route.clone()]})).await.status, 202);
    assert_eq!(rig.traffic("/a").await, 201);
    route["modifiedIndex"] = 6.into();
    assert_eq!(put(&rig, "four", &json!({"routes": [route]})).await.status, 202);
    assert_eq!(rig.traffic("/other").await, 201);
    assert_eq!(rig.stored()[0].1["create_time"], created);
    let last = json!({"routes_conf_version": u64::MAX});
    assert_eq!(put(&rig, "five", &last).await.status, 202);
    let after = put(&rig, "six", &json!({})).await;
    assert_eq!((after.status.as_u16(), after.error()), (400, "there is no later version"));
}

#[tokio::test]
async fn a_document_may_be_larger_than_an_item() {
    let rig = rig().await;
    let routes: Vec<_> = (1..=3000)
        .map(|number| json!({"id": number, "uri": format!("/{number}"), "plugins": {}, "labels": {"l": "l".repeat(250)}, "desc": "d".repeat(250)}))
        .collect();
    let document = json!({"routes": routes});
    assert!(document.to_string().len() > 1_600_000);
    let reply = put(&rig, "one", &document).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert_eq!(rig.stored().len(), 3000);
    assert_eq!(put(&rig, "two", &json!({"routes": []})).await.status, 202);
    assert!(rig.stored().is_empty());
}
