//! Answers that the gateway makes itself: every one comes out of [`answer`].
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, SERVER};
use http::{HeaderValue, StatusCode};

use crate::Body;

/// A response of the gateway.
pub type Response = http::Response<Body>;
/// A request in the gateway.
pub type Request = http::Request<Body>;

/// Why the gateway answered by itself. Becomes a [`Response`] by [`IntoResponse`]; `docs/errors.md` tells every code.
///
/// | variant | status | `code` |
/// |---|---|---|
/// | [`Error::NoRoute`] | 404 | `no_route` |
/// | [`Error::MethodNotAllowed`] | 405 + `Allow` | `method_not_allowed` |
/// | [`Error::BadRequest`] | 400 | `bad_request` |
/// | [`Error::BodyTooLarge`] | 413 | `body_too_large` |
/// | [`Error::RequestTimeout`] | 408 | `request_timeout` |
/// | [`Error::ExpectationFailed`] | 417 | `expectation_failed` |
/// | [`Error::MethodRefused`] | 405 or 501 | `method_refused` |
/// | [`Error::HeadRefused`] | 414, 431 or 505 | `head_refused` |
/// | [`Error::Misdirected`] | 421 | `misdirected` |
/// | [`Error::LoopDetected`] | 508 | `loop_detected` |
/// | [`Error::Upstream`] | 502, 503 or 504 | the reason given |
/// | [`Error::Configuration`] | 404, 502 or 503 | the reason given |
/// | [`Error::Internal`] | 500 | `internal` |
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No route matches.
    #[error("404 Route Not Found")]
    NoRoute,
    /// A route matches but for the method (`method_not_allowed: true`).
    #[error("405 Method Not Allowed")]
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: HeaderValue,
    },
    /// The request is malformed or ambiguous; the text never quotes it.
    #[error("400 Bad Request")]
    BadRequest(&'static str),
    /// The body is longer than the limit.
    #[error("413 Content Too Large")]
    BodyTooLarge,
    /// The body came too slowly.
    #[error("408 Request Timeout")]
    RequestTimeout,
    /// An `Expect` other than `100-continue`.
    #[error("417 Expectation Failed")]
    ExpectationFailed,
    /// A method that is never routed (`TRACE`, `CONNECT`, `PRI`; security.md H1-22).
    #[error("{}", title(*.0))]
    MethodRefused(StatusCode),
    /// The request's head is over a limit or of a version that is not spoken (security.md LIM-01, LIM-02, H1-09).
    #[error("{}", title(*.0))]
    HeadRefused(StatusCode),
    /// The host's certificate demands one of the client, and the connection was made for another host (security.md TLS-02).
    #[error("421 Misdirected Request")]
    Misdirected,
    /// The request went through this gateway too often (security.md HOP-10).
    #[error("508 Loop Detected")]
    LoopDetected,
    /// The upstream side failed.
    #[error("{}", title(*.status))]
    Upstream {
        /// 502, 503 or 504.
        status: StatusCode,
        /// Stable, machine-readable reason, such as `connect_refused`.
        reason: &'static str,
        /// Seconds for `Retry-After`, with a 503.
        retry_after: Option<u32>,
    },
    /// The route leads nowhere (model.md §7.6).
    #[error("{}", title(*.status))]
    Configuration {
        /// 404, 502 or 503.
        status: StatusCode,
        /// Stable, machine-readable reason, such as `upstream_missing`.
        reason: &'static str,
    },
    /// A layer of ours failed or panicked.
    #[error("500 Internal Server Error")]
    Internal(&'static str),
}

impl Error {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::LoopDetected => StatusCode::LOOP_DETECTED,
            Self::MethodRefused(status)
            | Self::HeadRefused(status)
            | Self::Upstream { status, .. }
            | Self::Configuration { status, .. } => *status,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable, machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::BadRequest(_) => "bad_request",
            Self::BodyTooLarge => "body_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::ExpectationFailed => "expectation_failed",
            Self::MethodRefused(_) => "method_refused",
            Self::HeadRefused(_) => "head_refused",
            Self::Misdirected => "misdirected",
            Self::LoopDetected => "loop_detected",
            Self::Upstream { reason, .. } | Self::Configuration { reason, .. } => reason,
            Self::Internal(_) => "internal",
        }
    }
}

/// Response extension on every answer that the gateway made itself: what it was about.
///
/// Layers read it to tell own answers from an upstream's, and `errors: problem` is built from it.
#[derive(Clone, Debug)]
pub struct Fault(Arc<Cause>);

#[derive(Clone, Debug)]
struct Cause {
    code: &'static str,
    source: &'static str,
    message: String,
    /// The answer is what its plugin made it, whatever form errors have.
    verbatim: bool,
}

impl Fault {
    /// The stable, machine-readable code (see [`Error`]; a plugin's rejection has the plugin's name).
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Who answered: `gateway`, or the plugin's name.
    pub fn source(&self) -> &'static str {
        self.0.source
    }

    /// The text for the client.
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

/// What can be an answer to a client.
pub trait IntoResponse {
    /// Makes the answer.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for std::convert::Infallible {
    fn into_response(self) -> Response {
        match self {}
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = answer(self.status(), self.code(), "gateway", Wording::ErrorMsg, self.to_string());
        match self {
            Self::MethodNotAllowed { allow } => {
                response.headers_mut().insert(ALLOW, allow);
            }
            Self::Upstream { retry_after: Some(seconds), .. } => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ => {}
        }
        response
    }
}

/// A plugin's rejection: `{"message":"…"}` as JSON, with a [`Fault`] that names the plugin.
pub fn reject(status: StatusCode, plugin: &'static str, message: impl fmt::Display) -> Response {
    answer(status, plugin, plugin, Wording::Message, message.to_string())
}

/// As [`reject`], with `{"error_msg":"…"}`.
pub fn reject_error_msg(status: StatusCode, plugin: &'static str, message: impl fmt::Display) -> Response {
    answer(status, plugin, plugin, Wording::ErrorMsg, message.to_string())
}

/// As [`reject`], with the text itself as `text/plain`.
pub fn reject_text(status: StatusCode, plugin: &'static str, text: impl fmt::Display) -> Response {
    answer(status, plugin, plugin, Wording::Text, text.to_string())
}

/// As [`reject`], without a body.
pub fn reject_empty(status: StatusCode, plugin: &'static str) -> Response {
    answer(status, plugin, plugin, Wording::Nothing, title(status))
}

/// Marks an answer that a plugin made by itself, such as a redirect or a mocked body, as the plugin's own: with a
/// [`Fault`], as [`reject`] does, and with `Server` if it has none.
#[must_use]
pub fn answer_of(plugin: &'static str, mut response: Response) -> Response {
    response.headers_mut().entry(SERVER).or_insert(HeaderValue::from_static("tollgate"));
    let message = title(response.status());
    let cause = Cause { code: plugin, source: plugin, message, verbatim: true };
    response.extensions_mut().insert(Fault(Arc::new(cause)));
    response
}

/// Says of an answer that its body is what a plugin made of it, so that no other form of errors replaces it.
pub(crate) fn keep_as_it_is(response: &mut Response) {
    if let Some(Fault(cause)) = response.extensions_mut().get_mut() {
        Arc::make_mut(cause).verbatim = true;
    }
}

/// How the text is told.
#[derive(Clone, Copy)]
enum Wording {
    Message,
    ErrorMsg,
    Text,
    Nothing,
}

/// The one place where bodies of our own answers are made.
fn answer(status: StatusCode, code: &'static str, source: &'static str, wording: Wording, message: String) -> Response {
    let json = |key: &str| {
        let mut text = serde_json::json!({ key: message }).to_string();
        text.push('\n');
        Some((text, "application/json"))
    };
    let told = match wording {
        Wording::Message => json("message"),
        Wording::ErrorMsg => json("error_msg"),
        Wording::Text => Some((message.clone(), "text/plain; charset=utf-8")),
        Wording::Nothing => None,
    };
    let mut response = Response::default();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some((_, content_type)) = told {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(SERVER, HeaderValue::from_static("tollgate"));
    response.extensions_mut().insert(Fault(Arc::new(Cause { code, source, message, verbatim: false })));
    if let Some((text, _)) = told {
        *response.body_mut() = Body::from(Bytes::from(text));
    }
    response
}

/// Turns an answer of ours into `application/problem+json` (RFC 9457); any other response passes unchanged.
pub fn into_problem(response: Response) -> Response {
    let Some(fault) = response.extensions().get::<Fault>().filter(|fault| !fault.0.verbatim).cloned() else {
        return response;
    };
    let status = response.status();
    let body = serde_json::json!({
        "code": fault.code(),
        "detail": fault.message(),
        "status": status.as_u16(),
        "title": status.canonical_reason().unwrap_or("Error"),
        "type": "about:blank",
    });
    let (mut parts, _) = response.into_parts();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.remove(http::header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(format!("{body}\n")))
}

/// `404 Not Found`, as the text of an answer.
fn title(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_the_catalogues() {
        let response = Error::NoRoute.into_response();
        assert_eq!(response.status(), 404);
        assert_eq!(response.body().as_bytes(), Some(&b"{\"error_msg\":\"404 Route Not Found\"}\n"[..]));
        assert_eq!(response.extensions().get::<Fault>().map(Fault::code), Some("no_route"));
        let response = reject(StatusCode::UNAUTHORIZED, "key-auth", "Missing API key in request");
        assert_eq!(response.body().as_bytes(), Some(&b"{\"message\":\"Missing API key in request\"}\n"[..]));
    }

    #[test]
    fn problems_have_status_title_and_code() {
        let error =
            Error::Upstream { status: StatusCode::SERVICE_UNAVAILABLE, reason: "no_endpoint", retry_after: Some(1) };
        let response = into_problem(error.into_response());
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "1");
        let body: serde_json::Value = serde_json::from_slice(response.body().as_bytes().unwrap()).unwrap();
        assert_eq!(body["status"], 503);
        assert_eq!(body["code"], "no_endpoint");
    }

    #[test]
    fn foreign_answers_are_no_problems() {
        let response = into_problem(Response::new(Body::from("mine")));
        assert_eq!(response.body().as_bytes(), Some(&b"mine"[..]));
    }
}
