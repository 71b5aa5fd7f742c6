//! Chains, requests and documents of the tests.
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::plugin::ConfigError;
use crate::plugins::oas_validator::{OasValidator, OasValidatorLayer};
use crate::{Body, Next, PluginLayer, Request, Response};

pub(super) fn built(block: Value) -> Result<OasValidator, ConfigError> {
    OasValidator::new(serde_json::from_value(block).unwrap())
}

/// A chain that ends in an echo of the body.
pub(super) fn chain(block: Value) -> Next {
    let end = Next::from_fn(|request: Request| async move { Response::new(request.into_body()) });
    PluginLayer::from(OasValidatorLayer::of(built(block).unwrap())).wrap(end)
}

pub(super) async fn ask(chain: &Next, request: Request) -> (u16, String) {
    let response = chain.run(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().buffer(1 << 20).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// What verbose errors say of a request to a document with these paths; empty if it passes.
pub(super) async fn said(document: &Value, request: Request) -> String {
    let chain = chain(json!({"spec": document.to_string(), "verbose_errors": true}));
    let (status, body) = ask(&chain, request).await;
    if status == 200 {
        return String::new();
    }
    assert_eq!(status, 400, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let message = body["message"].as_str().unwrap();
    message.strip_prefix("failed to validate request. ").unwrap_or_else(|| panic!("{message}")).to_owned()
}

pub(super) fn get(target: &str) -> Request {
    http::Request::get(target).body(Body::empty()).unwrap()
}

pub(super) fn post(target: &str, content_type: &str, body: &'static str) -> Request {
    http::Request::post(target).header(CONTENT_TYPE, content_type).body(body.into()).unwrap()
}

/// A document of 3.0 with one operation `GET /p/{…}` of these parameters.
pub(super) fn with_parameters(path: &str, parameters: Value) -> Value {
    json!({"openapi": "3.0.3", "paths": {path: {"get": {"parameters": parameters}}}})
}

/// A document with one operation `POST /` whose body has this content.
pub(super) fn with_content(version: &str, content: Value) -> Value {
    json!({"openapi": version, "paths": {"/": {"post": {"requestBody": {"required": true, "content": content}}}}})
}
