//! Two gateways on one etcd: what the Admin API of one writes, the other serves, and neither minds what others leave there.
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use serde_json::json;
use tollgate::admin::AdminApi;
use tollgate::gateway::Gateway;
use tollgate::model::AdminSettings;
use tollgate::store::{LocalCopy, Mirror, MirrorOptions};
use tollgate::{Body, ConnectInfo};
use tower::ServiceExt as _;

use super::follower::within;
use super::server::{Etcd, V34, V35};

const KEY: &str = "a-key-of-sixteen-characters";

/// A gateway that follows the store, with its mirror.
struct Node {
    gateway: Gateway,
    mirror: Mirror,
}

impl Node {
    fn start(etcd: &Etcd, options: MirrorOptions) -> Self {
        let gateway = Gateway::builder().build().unwrap();
        let mirror = Mirror::start(Arc::new(etcd.store()), options);
        let (followed, source) = (gateway.clone(), mirror.source());
        tokio::spawn(async move { followed.follow(source, |_| {}).await });
        Self { gateway, mirror }
    }

    async fn serves(&self, path: &str, status: u16) {
        within(&format!("{path} is answered {status}"), async {
            loop {
                let request = Request::builder().uri(path).header("host", "a.test").body(Body::empty()).unwrap();
                if self.gateway.clone().oneshot(request).await.unwrap().status() == status {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

async fn write(admin: &AdminApi, path: &str, body: serde_json::Value) -> u16 {
    let request = Request::builder()
        .method("PUT")
        .uri(format!("/apisix/admin{path}"))
        .header("host", "localhost")
        .header("x-api-key", KEY)
        .extension(ConnectInfo::new(([127, 0, 0, 1], 1).into()))
        .body(Body::from(body.to_string()))
        .unwrap();
    admin.clone().oneshot(request).await.unwrap().status().as_u16()
}

fn mocked(uri: &str) -> serde_json::Value {
    json!({"uri": uri, "plugins": {"mocking": {"response_example": "x"}}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_is_told_another_serves() {
    for version in [V34, V35] {
        let mut etcd = Etcd::start(version);
        let folder = tempfile::tempdir().unwrap();
        let copy = || LocalCopy::new(folder.path().join("last-good"), None);
        let writer = Node::start(&etcd, MirrorOptions::default());
        let reader = Node::start(&etcd, MirrorOptions::default().with_copy(copy()));
        let settings: AdminSettings =
            serde_json::from_value(json!({"keys": [{"name": "ann", "key": KEY, "role": "admin"}]})).unwrap();
        let builder = AdminApi::builder(writer.mirror.clone(), Some(writer.gateway.clone()));
        let admin = builder.settings(settings).build().unwrap();
        writer.mirror.loaded().await;
        assert_eq!(write(&admin, "/routes/1", mocked("/a")).await, 201);
        assert_eq!(write(&admin, "/routes/1", json!({"uri": "/a", "upstream_id": "none"})).await, 400);
        reader.serves("/a", 200).await;

        // Garbage of others is reported, and the rest lives.
        etcd.put("routes/1", "\u{1}garbage");
        etcd.put("routes/2", r#"{"uri":"/b","plugins":{"no-such-plugin":{}}}"#);
        reader.serves("/b", 503).await;
        reader.serves("/a", 200).await;
        let status = reader.gateway.status();
        assert_eq!((status.kept.len(), status.left_out.len()), (1, 1), "{status:?}");
        assert_eq!(write(&admin, "/routes/3", mocked("/c")).await, 201, "it is no fault of this change");
        reader.serves("/c", 200).await;
        assert_eq!(write(&admin, "/routes/1", mocked("/a")).await, 200);
        etcd.ctl(["del", "/apisix/routes/2"]);
        reader.serves("/b", 404).await;

        // A start without etcd serves the last good configuration, and goes on when it is there again.
        let revision = reader.mirror.view().revision();
        within("the copy is written", async {
            while copy().load().unwrap().is_none_or(|copied| copied.loaded.revision < revision) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        etcd.kill();
        reader.serves("/c", 200).await;
        let mut options = MirrorOptions::default().with_copy(copy());
        options.resync_delay = Duration::from_millis(200);
        let late = Node::start(&etcd, options);
        late.serves("/c", 200).await;
        assert!(late.mirror.status().is_from_copy, "{:?}", late.mirror.status());
        etcd.restart();
        etcd.ctl(["del", "/apisix/routes/3"]);
        late.serves("/c", 404).await;
        reader.serves("/c", 404).await;
        assert!(!late.mirror.status().is_from_copy);
    }
}
