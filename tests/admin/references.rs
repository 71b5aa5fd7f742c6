//! Deleting what is referred to, and referring to what is deleted, at the same time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use std::sync::Arc;

use serde_json::{Value, json};

use super::rig::{Rig, stores};

#[tokio::test]
async fn what_is_referred_to_stays_unless_it_is_forced() {
    for (store, _folder) in stores() {
        let rig = Rig::over(store).await;
        rig.put("/upstreams/u", json!({"nodes": {"127.0.0.1:1": 1}})).await;
        rig.put("/services/s", json!({"upstream_id": "u"})).await;
        rig.put("/plugin_configs/p", json!({"plugins": {}})).await;
        rig.put("/routes/r", json!({"uri": "/a", "service_id": "s", "plugin_config_id": "p"})).await;
        rig.put("/consumer_groups/g", json!({"plugins": {}})).await;
        rig.put("/consumers/jack", json!({"username": "jack", "group_id": "g"})).await;
        rig.put("/consumers/jack/credentials/c", json!({"plugins": {"key-auth": {"key": "k"}}})).await;
        rig.put("/secrets/env/1", json!({})).await;
        rig.put(
            "/consumers/jill",
            json!({"username": "jill", "plugins": {"key-auth": {"key": "$secret://env/1/PATH"}}}),
        )
        .await;
        for (path, error) in [
            ("/upstreams/u", "can not delete this upstream, service [s] is still using it now"),
            ("/services/s", "can not delete this service, route [r] is still using it now"),
            ("/plugin_configs/p", "can not delete this plugin config, route [r] is still using it now"),
            ("/consumer_groups/g", "can not delete this consumer group, consumer [jack] is still using it now"),
            ("/secrets/env/1", "can not delete this secret, consumer [jill] is still using it now"),
        ] {
            let reply = rig.send("DELETE", path, "").await;
            assert_eq!((reply.status.as_u16(), reply.error()), (400, error), "{path}");
        }
        assert_eq!(rig.send("DELETE", "/services/s?force=true", "").await.status, 200);
        assert_eq!(rig.send("DELETE", "/consumers/jack", "").await.status, 200);
        assert!(rig.stored().iter().all(|(key, _)| !key.starts_with("consumers/jack")), "its credentials go along");
        for path in [
            "/consumer_groups/g",
            "/upstreams/u",
            "/routes/r",
            "/plugin_configs/p",
            "/consumers/jill",
            "/secrets/env/1",
        ] {
            let reply = rig.send("DELETE", path, "").await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        }
        assert_eq!(rig.stored(), [], "nothing is left");
    }
}

#[tokio::test]
async fn a_reference_and_a_delete_at_once_never_both_take_place() {
    for (store, _folder) in stores() {
        let rig = Arc::new(Rig::over(store).await);
        for round in 0..20 {
            rig.put("/upstreams/u", json!({"nodes": {"127.0.0.1:1": 1}})).await;
            let write = |method: &'static str, path: String, body: Value| {
                let rig = Arc::clone(&rig);
                tokio::spawn(async move { rig.json(method, &path, body).await.status.as_u16() })
            };
            let refer = write("PUT", format!("/routes/{round}"), json!({"uri": "/a", "upstream_id": "u"}));
            let delete = write("DELETE", "/upstreams/u".to_owned(), Value::Null);
            let (refer, delete) = (refer.await.unwrap(), delete.await.unwrap());
            let keys: Vec<_> = rig.stored().into_iter().map(|(key, _)| key).collect();
            match (refer, delete) {
                (201, 400) => assert!(keys.iter().any(|key| key == "upstreams/u"), "{keys:?}"),
                (400, 200) => assert!(!keys.iter().any(|key| key == "upstreams/u"), "{keys:?}"),
                other => panic!("round {round}: {other:?}"),
            }
            rig.send("DELETE", &format!("/routes/{round}"), "").await;
        }
    }
}

#[tokio::test]
async fn metadata_of_a_plugin_that_is_gone_can_be_removed() {
    use tollgate::model::Kind;
    use tollgate::store::{Edit, Key, Transaction};

    let rig = Rig::memory().await;
    let key = Key::new(Kind::PluginMetadata, "was-there-once").unwrap();
    let edit = Edit::Put { key, value: r#"{"id":"was-there-once","x":1}"#.into(), ttl: None };
    rig.mirror.commit(Transaction { edits: vec![edit], ..Transaction::default() }).await.unwrap();
    assert_eq!(rig.stored().len(), 1);
    assert_eq!(rig.json("PUT", "/plugin_metadata/was-there-once", json!({"x": 2})).await.status, 400);
    let reply = rig.send("DELETE", "/plugin_metadata/was-there-once", "").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(rig.stored(), []);
}
