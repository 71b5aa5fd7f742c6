//! Answers that are not the origin's.
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

use super::AuthzKeycloakPlugin;
use super::error::Unasked;
use crate::Response;
use crate::body::Body;
use crate::error::{answer_of, reject, reject_empty};
use crate::plugin::Plugin as _;

const NAME: &str = AuthzKeycloakPlugin::NAME;
/// The fields of an answer of Keycloak that clients get with it.
const FIELDS: [HeaderName; 5] = [CONTENT_TYPE, CACHE_CONTROL, PRAGMA, WWW_AUTHENTICATE, RETRY_AFTER];

/// There is no token, or nothing that looks like one.
pub(super) fn unauthenticated(message: &'static str) -> Response {
    let mut response = reject(StatusCode::UNAUTHORIZED, NAME, message);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keycloak\""));
    response
}

/// Nobody may have that: as Keycloak says it, or elsewhere.
pub(super) fn denied(elsewhere: Option<&HeaderValue>) -> Response {
    const DENIED: &str = "{\"error\":\"access_denied\",\"error_description\":\"not_authorized\"}\n";
    let json = HeaderValue::from_static("application/json");
    let (status, (name, value), body) = match elsewhere {
        Some(at) => (StatusCode::TEMPORARY_REDIRECT, (LOCATION, at.clone()), Body::empty()),
        None => (StatusCode::FORBIDDEN, (CONTENT_TYPE, json), Body::from(DENIED)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(name, value);
    answer_of(NAME, response)
}

/// An answer of Keycloak for the client: its status, body and those of its fields that belong to them.
pub(super) fn passed_on(answer: http::Response<Bytes>) -> Response {
    let (mut head, body) = answer.into_parts();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = head.status;
    for name in FIELDS {
        if let Some(value) = head.headers.remove(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    answer_of(NAME, response)
}

/// An answer with a token in it: nobody keeps it (RFC 6749 §5.1).
pub(super) fn with_token(answer: http::Response<Bytes>) -> Response {
    let mut response = passed_on(answer);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// There is no decision.
pub(super) fn unavailable(error: &Unasked) -> Response {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = NAME, error = error as &dyn std::error::Error, "Keycloak gave no decision");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
    reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME)
}
