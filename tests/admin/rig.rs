//! An Admin API over a store, with a gateway that follows it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tollgate::admin::{AdminApi, AdminBuilder, AuditSink};
use tollgate::gateway::Gateway;
use tollgate::model::{AdminKey, AdminRole, AdminSettings};
use tollgate::store::{DiskStore, MemoryStore, Mirror, MirrorOptions, Store};
use tollgate::{Body, Response};
use tower::ServiceExt as _;

pub(crate) const ROOT: &str = "the-key-of-the-root-user";
pub(crate) const EVE: &str = "the-key-of-eve-who-looks";

pub(crate) struct Rig {
    pub(crate) api: AdminApi,
    pub(crate) gateway: Gateway,
    pub(crate) mirror: Mirror,
    pub(crate) audit: Lines,
    following: tokio::task::JoinHandle<()>,
}

/// What the audit log was told.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl AuditSink for Lines {
    fn record(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl Lines {
    pub(crate) fn take(&self) -> Vec<Value> {
        let lines = std::mem::take(&mut *self.0.lock().unwrap());
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) fn settings() -> AdminSettings {
    let key = |name: &str, key: &str, role| AdminKey { name: name.to_owned(), key: key.into(), role };
    AdminSettings {
        keys: vec![key("root", ROOT, AdminRole::Admin), key("eve", EVE, AdminRole::Viewer)],
        ..AdminSettings::default()
    }
}

/// A store of each sort; the folder lives as long as the second.
pub(crate) fn stores() -> Vec<(Arc<dyn Store>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let disk = DiskStore::open(folder.path().join("store")).unwrap();
    vec![(Arc::new(MemoryStore::new()), None), (Arc::new(disk), Some(folder))]
}

impl Rig {
    pub(crate) async fn memory() -> Self {
        Self::over(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        Self::with(store, |builder| builder).await
    }

    pub(crate) async fn with(store: Arc<dyn Store>, change: impl FnOnce(AdminBuilder) -> AdminBuilder) -> Self {
        let mirror = Mirror::start(store, MirrorOptions::default());
        let gateway = Gateway::builder().build().unwrap();
        let (follower, source) = (gateway.clone(), mirror.source());
        let following = tokio::spawn(async move { follower.follow(source, |_| ()).await.unwrap() });
        let audit = Lines::default();
        let builder =
            AdminApi::builder(mirror.clone(), Some(gateway.clone())).settings(settings()).audit(audit.clone());
        let api = change(builder).build().unwrap();
        mirror.loaded().await;
        Self { api, gateway, mirror, audit, following }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        self.ask(request(method, path).body(body.into()).unwrap()).await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, body: Value) -> Reply {
        self.send(method, path, body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "").await
    }

    /// A write that has to be taken.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        let reply = self.json("PUT", path, body.clone()).await;
        assert!(reply.status.is_success(), "PUT {path} {body}: {} {}", reply.status, reply.text);
        reply
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Reply {
        Reply::of(self.api.clone().oneshot(request).await.unwrap()).await
    }

    /// What traffic to a path is answered.
    pub(crate) async fn traffic(&self, path: &str) -> StatusCode {
        let request = Request::get(format!("http://api.test{path}")).body(Body::empty()).unwrap();
        self.gateway.clone().oneshot(request).await.unwrap().status()
    }

    /// Everything that is stored, as text.
    pub(crate) fn stored(&self) -> Vec<(String, Value)> {
        let view = self.mirror.view();
        let entries =
            view.range("").map(|(key, entry)| (key.to_string(), serde_json::from_slice(&entry.value).unwrap()));
        entries.collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.following.abort();
    }
}

pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request::builder().method(method).uri(format!("/apisix/admin{path}")).header("x-api-key", ROOT)
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null for what is no JSON.
    pub(crate) body: Value,
}

impl Reply {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.buffer(64 << 20).await.unwrap().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status: parts.status, headers: parts.headers, text, body }
    }

    pub(crate) fn error(&self) -> &str {
        self.body["error_msg"].as_str().unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
