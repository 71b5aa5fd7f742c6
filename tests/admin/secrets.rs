//! Secrets: who sees them, and that what was read can be written (security.md SECR-01).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use std::sync::Arc;

use serde_json::{Value, json};
use tollgate::store::MemoryStore;

use super::rig::{EVE, Reply, Rig, request};

const CANARY: &str = "canary-in-a-coal-mine";

async fn as_eve(rig: &Rig, path: &str) -> Reply {
    let mut request = request("GET", path).body("".into()).unwrap();
    request.headers_mut().insert("x-api-key", EVE.parse().unwrap());
    rig.ask(request).await
}

async fn planted() -> (Rig, String) {
    let rig = Rig::memory().await;
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let line = key.lines().nth(1).unwrap().to_owned();
    rig.put("/ssls/1", json!({"cert": cert, "key": key, "sni": "a.test"})).await;
    rig.put(
        "/upstreams/1",
        json!({"nodes": {"a:443": 1}, "scheme": "https", "tls": {"client_cert": cert, "client_key": key}}),
    )
    .await;
    let inline = json!({"nodes": {"a:443": 1}, "scheme": "https", "tls": {"client_cert": cert, "client_key": key}});
    rig.put("/routes/1", json!({"uri": "/a", "upstream": inline})).await;
    rig.put("/routes/2", json!({"uri": "/b", "plugins": split(&cert, &key)})).await;
    rig.put("/consumers/jack", json!({"username": "jack", "plugins": {"key-auth": {"key": CANARY}}})).await;
    rig.put("/consumers/jill", json!({"username": "jill"})).await;
    let jwt = json!({"plugins": {"jwt-auth": {"key": "jill", "secret": CANARY.repeat(3)}}});
    rig.put("/consumers/jill/credentials/1", jwt).await;
    rig.put("/secrets/vault/1", json!({"uri": "http://127.0.0.1:1", "prefix": "p", "token": CANARY})).await;
    (rig, line)
}

/// An upstream with a private key, inside a plugin's block.
fn split(cert: &str, key: &str) -> Value {
    let inline = json!({"nodes": {"a:443": 1}, "scheme": "https", "tls": {"client_cert": cert, "client_key": key}});
    json!({"traffic-split": {"rules": [{"weighted_upstreams": [{"upstream": inline, "weight": 1}]}]}})
}

const PATHS: [&str; 13] = [
    "/routes/2",
    "/ssls/1",
    "/ssls",
    "/upstreams/1",
    "/upstreams",
    "/routes/1",
    "/routes",
    "/consumers/jack",
    "/consumers",
    "/consumers/jill/credentials/1",
    "/secrets/vault/1",
    "/secrets",
    "/history",
];

#[tokio::test]
async fn sec_secr_01_viewers_see_no_secret_and_nobody_a_private_key() {
    let (rig, key) = planted().await;
    let last = rig.mirror.view().revision();
    let mut paths: Vec<_> = PATHS.iter().map(|path| (*path).to_owned()).collect();
    paths.extend((1..=last).map(|revision| format!("/history/{revision}")));
    paths.push(format!("/history/0/diff/{last}"));
    let mut seen = String::new();
    for path in &paths {
        let viewer = as_eve(&rig, path).await;
        assert!(!viewer.text.contains(CANARY), "{path}: {}", viewer.text);
        assert!(!viewer.text.contains(&key), "{path}: {}", viewer.text);
        let admin = rig.get(path).await;
        assert!(!admin.text.contains(&key), "{path}: {}", admin.text);
        seen.push_str(&admin.text);
    }
    assert!(seen.contains(CANARY), "an admin reads them as they were written");
    let audit = format!("{:?}", rig.audit.take());
    assert!(!audit.contains(CANARY) && !audit.contains(&key));
    assert!(!format!("{:?} {:?}", rig.api, rig.gateway).contains(CANARY));
    let refused =
        rig.json("PUT", "/consumers/bob", json!({"username": "bob", "plugins": {"key-auth": {"key": CANARY}}})).await;
    assert_eq!(refused.status, 400);
    assert!(!refused.text.contains(CANARY), "{}", refused.text);
}

#[tokio::test]
async fn what_was_read_can_be_written() {
    let (rig, _) = planted().await;
    let before = rig.stored();
    for path in
        ["/ssls/1", "/upstreams/1", "/routes/1", "/consumers/jack", "/consumers/jill/credentials/1", "/secrets/vault/1"]
    {
        for read in [rig.get(path).await, as_eve(&rig, path).await] {
            let mut value = read.body["value"].clone();
            let object = value.as_object_mut().unwrap();
            object.remove("create_time");
            object.remove("update_time");
            let reply = rig.json("PUT", path, value.clone()).await;
            assert_eq!(reply.status, 200, "{path} {value}: {}", reply.text);
        }
        let reply = rig.json("PATCH", path, json!({})).await;
        assert!(reply.status == 200 || reply.status == 405, "{path}: {}", reply.text);
    }
    let timeless = |stored: Vec<(String, Value)>| -> Vec<(String, Value)> {
        let mut stored = stored;
        for (_, value) in &mut stored {
            value.as_object_mut().unwrap().remove("update_time");
        }
        stored
    };
    assert_eq!(timeless(rig.stored()), timeless(before));
}

#[tokio::test]
async fn sec_secr_01_the_whole_configuration_is_shown_without_them_too() {
    let rig = Rig::with(Arc::new(MemoryStore::new()), |builder| builder.full_config(true)).await;
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let (cert, pem) = (made.cert.pem(), made.signing_key.serialize_pem());
    let key = pem.lines().nth(1).unwrap();
    let document = json!({
        "ssls": [{"id": "1", "cert": cert, "key": pem, "sni": "a.test"}],
        "routes": [{"id": "2", "uri": "/b", "plugins": split(&cert, &pem)}],
        "consumers": [
            {"username": "jack", "plugins": {"key-auth": {"key": CANARY}}},
            {"id": "jack/credentials/1", "plugins": {"jwt-auth": {"key": "jack", "secret": CANARY.repeat(3)}}},
        ],
    });
    let put = async |digest: &str, document: &Value| {
        let request = request("PUT", "/configs").header("x-digest", digest);
        rig.ask(request.body(document.to_string().into()).unwrap()).await
    };
    let reply = put("one", &document).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let before = rig.stored();
    let (root, eve) = (rig.get("/configs").await, as_eve(&rig, "/configs").await);
    assert!(eve.text.contains("[redacted]") && !eve.text.contains(CANARY) && !eve.text.contains(key), "{}", eve.text);
    assert!(root.text.contains(CANARY) && !root.text.contains(key), "{}", root.text);
    for (digest, read) in [("two", root), ("three", eve)] {
        let mut document = read.body;
        document.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_conf_version"));
        let reply = put(digest, &document).await;
        assert_eq!(reply.status, 202, "what was read can be put: {}", reply.text);
        assert_eq!(rig.stored(), before);
    }
    let other = json!({"ssls": [{"id": "9", "cert": cert, "key": "[redacted]", "sni": "b.test"}]});
    assert_eq!(put("four", &other).await.status, 400, "there is none to put back");
}

#[tokio::test]
async fn sec_secr_01_no_patch_takes_a_private_key_where_it_is_shown() {
    let (rig, key) = planted().await;
    let patch = async |path: &str, operations: Value| {
        let request = request("PATCH", path).header("content-type", "application/json-patch+json");
        rig.ask(request.body(operations.to_string().into()).unwrap()).await
    };
    let before = rig.stored();
    for (path, from, to) in [
        ("/ssls/1", "/key", "/sni"),
        ("/ssls/1", "/key", "/labels"),
        ("/upstreams/1", "/tls/client_key", "/desc"),
        ("/upstreams/1", "/tls", "/labels"),
        ("/routes/2", "/plugins", "/labels"),
    ] {
        for operation in ["copy", "move"] {
            let reply = patch(path, json!([{"op": operation, "from": from, "path": to}])).await;
            assert_eq!(reply.status, 400, "{operation} {path}{from} {to}");
            assert!(!reply.text.contains(&key), "{}", reply.text);
        }
    }
    assert_eq!(rig.stored(), before);
    let key_of = |rig: &Rig, key: &str| {
        rig.stored().into_iter().find(|(own, _)| own == key).unwrap().1.pointer("/tls/client_key").cloned()
    };
    let before = key_of(&rig, "upstreams/1");
    let reply = patch("/upstreams/1", json!([{"op": "add", "path": "/desc", "value": "d"}])).await;
    assert_eq!((reply.status.as_u16(), &reply.body["value"]["desc"]), (200, &json!("d")), "{}", reply.text);
    assert_eq!(key_of(&rig, "upstreams/1"), before);
}
