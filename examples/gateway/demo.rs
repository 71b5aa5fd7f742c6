//! The built-in demo: what is served when no file is named.
use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use serde_json::json;
use tollgate::gateway::GatewayBuilder;
use tollgate::{Body, BoxError};

/// The demo's configuration, in the same form as a file's.
pub(crate) fn document() -> serde_json::Value {
    json!({
        "upstreams": [
            {"id": "hello", "nodes": [{"service": "hello", "weight": 1}]},
            {"id": "echo", "nodes": [{"service": "echo", "weight": 1}]},
            {"id": "slow", "nodes": [{"service": "slow", "weight": 1}]},
            {"id": "canary", "nodes": [{"service": "stable", "weight": 9}, {"service": "canary", "weight": 1}]},
        ],
        "routes": [
            {"id": "welcome", "uri": "/", "upstream_id": "hello"},
            {"id": "hello", "uri": "/hello/:name", "methods": ["GET"], "upstream_id": "hello"},
            {"id": "echo", "uri": "/echo/*", "upstream_id": "echo"},
            {"id": "slow", "uri": "/slow", "upstream_id": "slow", "timeout": {"connect": 1, "send": 1, "read": 5}},
            {"id": "canary", "uri": "/canary", "upstream_id": "canary"},
            {"id": "json", "uri": "/hello/:name", "priority": 1, "upstream_id": "echo",
             "vars": [["http_accept", "==", "application/json"]]},
        ],
    })
}

/// What the terminal says at the start.
pub(crate) const HINTS: &str = "\
Serving the built-in demo (name a file with --config FILE). Try:
  curl -i http://ADDRESS/                          the welcome page
  curl    http://ADDRESS/hello/world               a path parameter
  curl    http://ADDRESS/echo/any/path -d text     what a backend gets to see
  curl    http://ADDRESS/hello/x -H 'Accept: application/json'   routed by a header
  for i in $(seq 10); do curl -s http://ADDRESS/canary; done      9 : 1 between two versions
  curl -i http://ADDRESS/nowhere                   no route
";

/// Puts the demo's endpoints into a gateway: tower services of this process.
pub(crate) fn endpoints(builder: GatewayBuilder) -> GatewayBuilder {
    builder
        .endpoint("hello", tower::service_fn(hello))
        .endpoint("echo", tower::service_fn(echo))
        .endpoint("slow", tower::service_fn(slow))
        .endpoint("stable", tower::service_fn(|_: Request<Body>| text("stable version\n")))
        .endpoint("canary", tower::service_fn(|_: Request<Body>| text("canary version\n")))
}

async fn text(text: &'static str) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from(text)))
}

async fn hello(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let name = request.uri().path().strip_prefix("/hello/").unwrap_or("world").to_owned();
    Ok(Response::new(Body::from(format!("Hello, {name}! This is tollgate.\n"))))
}

async fn slow(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    text("two seconds later\n").await
}

/// Tells what arrived: method, target, fields and body.
async fn echo(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let headers: serde_json::Map<_, _> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let body = body.buffer(1 << 20).await?;
    let answer = json!({
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = Response::new(Body::from(format!("{answer:#}\n")));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}
