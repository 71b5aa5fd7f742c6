//! Configurations as JSON, requests in one line, and plugins that leave their mark.
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use http::header::HeaderValue;
use http::{HeaderMap, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tollgate::gateway::{Gateway, GatewayBuilder};
use tollgate::model::{ReadOptions, Snapshot, read};
use tollgate::plugin::{BuildContext, ConfigError, Plugin, Stage};
use tollgate::{Body, Next, PluginLayer, reject};
use tower::ServiceExt as _;

/// The snapshot of a document without any fault.
pub(crate) fn snapshot(document: &Value) -> Snapshot {
    let read = read(document, &ReadOptions::default());
    assert_eq!(read.errors().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    read.snapshot
}

/// The snapshot of a document with its faulty items told apart, as a source gives it.
pub(crate) fn candidate(document: &Value) -> Snapshot {
    read(document, &ReadOptions::default()).snapshot
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

/// Sends a request of the host `gw.test` and takes the whole answer.
pub(crate) async fn ask(gateway: &Gateway, mut request: Request<Body>) -> Answer {
    request.headers_mut().entry("host").or_insert(HeaderValue::from_static("gw.test"));
    let (head, body) = gateway.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.buffer(1 << 20).await.unwrap();
    Answer { status: head.status.as_u16(), headers: head.headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

pub(crate) async fn get(gateway: &Gateway, path: &str) -> Answer {
    ask(gateway, Request::builder().uri(path).body(Body::empty()).unwrap()).await
}

/// Status and body of a GET.
pub(crate) async fn told(gateway: &Gateway, path: &str) -> (u16, String) {
    let answer = get(gateway, path).await;
    (answer.status, answer.text)
}

/// The `error_msg` of an own answer.
pub(crate) fn error_message(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.text).unwrap();
    body["error_msg"].as_str().unwrap().to_owned()
}

/// A service that answers with one text.
pub(crate) fn saying(text: &'static str) -> Next {
    Next::from_fn(move |_| async move { Response::new(Body::from(text)) })
}

/// A gateway's builder with the endpoints `a`, `b`, `c`, which answer with their names, and `way`, which answers with the
/// marks that plugins left on the request.
pub(crate) fn builder() -> GatewayBuilder {
    let way = tower::service_fn(|request: Request<Body>| async move {
        let marks = request.headers().get_all("x-way").iter().map(|mark| mark.to_str().unwrap());
        Ok::<_, Infallible>(Response::new(marks.collect::<Vec<_>>().join(" ")))
    });
    Gateway::builder()
        .endpoint("a", saying("a"))
        .endpoint("b", saying("b"))
        .endpoint("c", saying("c"))
        .endpoint("way", way)
}

/// The configuration of a mark.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkConfig {
    /// What is left on the request, behind the plugin's name.
    #[serde(default)]
    text: String,
    /// Answers with this status instead.
    reject: Option<u16>,
}

/// How many layers were built.
#[derive(Clone, Default)]
pub(crate) struct Built(Arc<AtomicUsize>);

impl Built {
    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn mark(name: &'static str, config: MarkConfig, built: &Built) -> Result<PluginLayer, ConfigError> {
    built.0.fetch_add(1, SeqCst);
    let refused = config.reject.map(StatusCode::from_u16).transpose().map_err(|_| ConfigError::Invalid {
        plugin: name,
        field: "reject".to_owned(),
        reason: "is no status".to_owned(),
    })?;
    let text = if config.text.is_empty() { name.to_owned() } else { format!("{name}:{}", config.text) };
    let text = HeaderValue::from_str(&text).unwrap();
    Ok(PluginLayer::from_fn(move |next| {
        let text = text.clone();
        Next::from_call(move |mut request| {
            if let Some(status) = refused {
                return Box::pin(std::future::ready(reject(status, name, "no")));
            }
            request.headers_mut().append("x-way", text.clone());
            next.run(request)
        })
    }))
}

macro_rules! marks {
    ($($type:ident $name:literal $stage:ident $priority:literal;)*) => {$(
        /// Leaves its name, and the text of its configuration, on the request.
        #[derive(Clone, Default)]
        pub(crate) struct $type(pub(crate) Built);

        impl Plugin for $type {
            const NAME: &'static str = $name;
            const STAGE: Stage = Stage::$stage;
            const PRIORITY: i32 = $priority;
            type Config = MarkConfig;

            fn build(&self, config: MarkConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
                mark($name, config, &self.0)
            }
        }
    )*};
}

marks! {
    Observer "observer" Observe 1;
    Edge "edge" Edge 5;
    Low "low" Access 1;
    High "high" Access 9;
    Twin "twin" Access 9;
    Last "last" Forward 100;
}

/// A builder that knows all marks.
pub(crate) fn with_marks() -> GatewayBuilder {
    builder()
        .plugin(Observer::default())
        .plugin(Edge::default())
        .plugin(Low::default())
        .plugin(High::default())
        .plugin(Twin::default())
        .plugin(Last::default())
}
