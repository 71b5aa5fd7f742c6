//! The body of a request: bounded in bytes, time and depth, and strict.
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::answer::Answer;
use crate::Body;
use crate::syntax::{Bounds, Syntax, json};

/// Bytes of an item: 1.5 MiB.
pub(super) const LIMIT: usize = 1_536 * 1024;
/// How long it may take to come.
const TIME: Duration = Duration::from_secs(30);

/// Reads a whole body.
///
/// # Errors
/// 400 for one that is too long or breaks off, 408 for one that does not come.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, Answer> {
    match tokio::time::timeout(TIME, body.buffer(limit)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(invalid(&error)),
        Err(_) => Err(Answer::error(StatusCode::REQUEST_TIMEOUT, "the request body came too slowly")),
    }
}

/// Reads a body as one JSON value.
///
/// # Errors
/// As [`read`] and [`value`].
pub(super) async fn read_value(body: Body) -> Result<Value, Answer> {
    value(&read(body, LIMIT).await?)
}

/// Reads a body as a document, which may be as long as one in a file.
///
/// # Errors
/// As [`read`] and [`document`].
pub(super) async fn read_document(headers: &HeaderMap, body: Body) -> Result<Value, Answer> {
    let limit = usize::try_from(Bounds::default().document_bytes).unwrap_or(usize::MAX);
    document(headers, &read(body, limit).await?)
}

/// The JSON value that a body is, whatever it is declared as.
///
/// # Errors
/// 400 for an empty one, and for what is no JSON value, has a key twice, or nests too deep.
fn value(bytes: &[u8]) -> Result<Value, Answer> {
    if bytes.trim_ascii().is_empty() {
        return Err(Answer::bad("missing configurations"));
    }
    json::parse(text(bytes)?, Bounds::default().depth()).map_err(|fault| syntax(&fault))
}

/// The document that a body is: YAML if it is declared so, else JSON.
///
/// # Errors
/// As [`value`]; 415 for YAML where it is not compiled in.
fn document(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Answer> {
    if !content_type(headers).ends_with("yaml") {
        return value(bytes);
    }
    #[cfg(feature = "yaml")]
    return crate::syntax::yaml::parse(text(bytes)?, &Bounds::default()).map_err(|fault| syntax(&fault));
    #[cfg(not(feature = "yaml"))]
    Err(Answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "YAML is not compiled in: write JSON"))
}

/// The declared type without parameters, in small letters.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let field = headers.get(http::header::CONTENT_TYPE).and_then(|field| field.to_str().ok()).unwrap_or_default();
    field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn text(bytes: &[u8]) -> Result<&str, Answer> {
    std::str::from_utf8(bytes).map_err(|_| invalid(&"is not UTF-8 text"))
}

fn syntax(fault: &Syntax) -> Answer {
    match fault.line {
        Some(line) => invalid(&format_args!("line {line}: {}", fault.message)),
        None => invalid(&fault.message),
    }
}

fn invalid(why: &dyn std::fmt::Display) -> Answer {
    Answer::bad(format!("invalid request body: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_strict() {
        for (text, ok) in [
            ("{\"a\": [1]}", true),
            ("\"x\"", true),
            ("", false),
            (" \n", false),
            ("{\"a\": 1, \"a\": 2}", false),
            ("{\"a\": 1} x", false),
            ("{", false),
            ("a: 1", false),
        ] {
            assert_eq!(value(text.as_bytes()).is_ok(), ok, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert!(value(deep.as_bytes()).is_err());
        assert!(value(&[b'"', 0xff, b'"']).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_bounded() {
        assert_eq!(read(Body::from(vec![b' '; LIMIT]), LIMIT).await.unwrap().len(), LIMIT);
        assert_eq!(read(Body::from(vec![b' '; LIMIT + 1]), LIMIT).await.unwrap_err().status, 400);
        let never = http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<http_body::Frame<Bytes>, crate::BoxError>,
        >());
        assert_eq!(read(Body::new(never), LIMIT).await.unwrap_err().status, 408);
    }
}
