//! Secrets: who sees them, and that what was read can be written (security.md SECR-01).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use serde_json::{Value, json};

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
    rig.put("/consumers/jack", json!({"username": "jack", "plugins": {"key-auth": {"key": CANARY}}})).await;
    rig.put("/consumers/jill", json!({"username": "jill"})).await;
    let jwt = json!({"plugins": {"jwt-auth": {"key": "jill", "secret": CANARY.repeat(3)}}});
    rig.put("/consumers/jill/credentials/1", jwt).await;
    rig.put("/secrets/vault/1", json!({"uri": "http://127.0.0.1:1", "prefix": "p", "token": CANARY})).await;
    (rig, line)
}

const PATHS: [&str; 12] = [
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
