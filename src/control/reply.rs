//! How answers are made.
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::{Body, Response};

/// JSON, a line, with its names in order.
pub(super) fn json(value: &Value) -> Response {
    let mut value = value.clone();
    value.sort_all_objects();
    with(StatusCode::OK, "application/json", format!("{value}\n"))
}

/// Text for a terminal.
pub(super) fn text(text: String) -> Response {
    with(StatusCode::OK, "text/plain; charset=utf-8", text)
}

/// A page.
pub(super) fn html(page: String) -> Response {
    let mut response = with(StatusCode::OK, "text/html; charset=utf-8", page);
    let nothing_but_style = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    response.headers_mut().insert(http::header::CONTENT_SECURITY_POLICY, nothing_but_style);
    response
}

/// A fault, in the reference's form.
pub(super) fn fault(status: StatusCode, message: impl Into<String>) -> Response {
    with(status, "application/json", format!("{}\n", json!({"error_msg": message.into()})))
}

pub(super) fn not_found(message: impl Into<String>) -> Response {
    fault(StatusCode::NOT_FOUND, message)
}

pub(super) fn bad_request(message: impl Into<String>) -> Response {
    fault(StatusCode::BAD_REQUEST, message)
}

/// The path takes another method.
pub(super) fn wrong_method(allow: &'static str) -> Response {
    let mut response = fault(StatusCode::METHOD_NOT_ALLOWED, format!("use {allow}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

pub(super) fn with(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a client asks for `media` before JSON: it names it, and JSON not before.
pub(super) fn prefers(headers: &HeaderMap, media: &str) -> bool {
    let accepts = headers.get_all(ACCEPT);
    let ranges = accepts.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut named = ranges.map(|range| range.split(';').next().unwrap_or(range).trim().to_ascii_lowercase());
    named.find(|range| range == media || range == "application/json").is_some_and(|range| range == media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_first_is_preferred() {
        let prefers = |accept: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            super::prefers(&headers, "text/html")
        };
        assert!(prefers("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"));
        assert!(prefers("Text/HTML; q=1, application/json"));
        assert!(!prefers("application/json, text/html"));
        assert!(!prefers("*/*"));
        assert!(!super::prefers(&HeaderMap::new(), "text/html"));
    }
}
