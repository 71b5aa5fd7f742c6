//! A provider, a gateway, and an origin that tells what it was told.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use serde_json::{Map, Value, json};
use tollgate::Body;
use tollgate::gateway::{ApplyError, Gateway};
use tollgate::model::{ReadOptions, read};
use tollgate::server::{Limits, Listener, Protocols, Server};

use super::browser::{Answer, Browser};
use super::provider::{Provider, SECRET};

pub(crate) struct Rig {
    pub(crate) provider: Arc<Provider>,
    pub(crate) gateway: Gateway,
    pub(crate) url: String,
    _server: Server,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With an environment for the provider.
    pub(crate) async fn with(environment: &[(&str, &str)]) -> Self {
        let (gateway, url, server) = gateway();
        let callbacks = ["/back", "/.apisix/redirect", "/a/.apisix/redirect", "/a/b/.apisix/redirect"];
        let callbacks: Vec<_> = callbacks.iter().map(|path| format!("{url}{path}")).collect();
        let provider = Arc::new(Provider::start(&callbacks, &format!("{url}/bye"), environment).await);
        Self { provider, gateway, url, _server: server }
    }

    /// A second gateway with the same provider, which does not send browsers back to it.
    pub(crate) fn beside(&self) -> Self {
        let (gateway, url, server) = gateway();
        Self { provider: Arc::clone(&self.provider), gateway, url, _server: server }
    }

    /// A block for log-ins of client `web`, with changes.
    pub(crate) fn login(&self, changes: Value) -> Value {
        let block = json!({
            "client_id": "web", "client_secret": SECRET, "discovery": self.provider.discovery(), "redirect_uri": "/back",
            "session": {"secret": "sixteen or more characters", "cookie_secure": false},
        });
        merged(block, changes)
    }

    /// A block for bearer tokens, with changes.
    pub(crate) fn bearer(&self, changes: Value) -> Value {
        let block = json!({
            "client_id": "web", "client_secret": SECRET, "discovery": self.provider.discovery(), "bearer_only": true,
        });
        merged(block, changes)
    }

    /// Puts routes into force: path and block of each.
    pub(crate) fn try_apply(&self, routes: &[(&str, Value)]) -> Result<(), ApplyError> {
        let routes: Vec<_> = routes
            .iter()
            .enumerate()
            .map(|(at, (uri, block))| {
                json!({"id": format!("r{at}"), "uri": uri, "plugins": {"openid-connect": block},
                    "upstream": {"nodes": [{"service": "echo", "weight": 1}]}})
            })
            .collect();
        let read = read(&json!({ "routes": routes }), &ReadOptions::default());
        assert_eq!(read.errors().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
        self.gateway.apply(read.snapshot).map(drop)
    }

    pub(crate) fn apply(&self, routes: &[(&str, Value)]) {
        self.try_apply(routes).unwrap();
    }

    /// One route with a block.
    pub(crate) fn protect(&self, block: Value) {
        self.apply(&[("/*", block)]);
    }

    pub(crate) fn at(&self, target: &str) -> String {
        format!("{}{target}", self.url)
    }

    /// A GET with a bearer token.
    pub(crate) async fn with_token(&self, token: &str) -> Answer {
        self.with_fields(&[("authorization", &format!("Bearer {token}"))]).await
    }

    pub(crate) async fn with_fields(&self, fields: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(self.at("/api"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Browser::new().request(request.body(bytes::Bytes::new()).unwrap()).await
    }
}

/// A gateway without routes, its URL, and what serves it.
fn gateway() -> (Gateway, String, Server) {
    let echo = tower::service_fn(|request: Request<Body>| async move {
        let mut told = Map::new();
        for (name, value) in request.headers() {
            told.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
        }
        told.insert("target".to_owned(), request.uri().to_string().into());
        Ok::<_, Infallible>(Response::new(Value::Object(told).to_string()))
    });
    let gateway = Gateway::builder().endpoint("echo", echo).build().unwrap();
    // longer cookies than a listener takes by default, so that the plugin's own limits are reached
    let mut limits = Limits::default();
    limits.head.field_bytes = 64 * 1024;
    limits.head.header_bytes = 128 * 1024;
    let connections = gateway.clone();
    let server = Server::builder().limits(limits).serve(move |client| connections.connection(client));
    let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::H1);
    let address: SocketAddr = server.listen(listener).unwrap();
    (gateway, format!("http://{address}"), server)
}

/// JSON objects put over each other.
pub(crate) fn merged(mut below: Value, above: Value) -> Value {
    match (&mut below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                let under = below.remove(&key).unwrap_or(Value::Null);
                below.insert(key, merged(under, value));
            }
        }
        (below, above) => *below = above,
    }
    below
}

/// The JSON in a base64 field.
pub(crate) fn decoded(field: &Value) -> Value {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.decode(field.as_str().unwrap()).unwrap();
    serde_json::from_slice(&text).unwrap()
}
