//! [`Answer`]: what an operation has to say, before it becomes a response.
use http::header::{CONTENT_TYPE, ETAG, HeaderName, RETRY_AFTER, SERVER};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::store::StoreError;
use crate::{Body, Response};

/// The revision of the store that a write made, or that a list was read at.
pub(super) const REVISION: HeaderName = HeaderName::from_static("x-tollgate-revision");
const API_VERSION: HeaderName = HeaderName::from_static("x-api-version");

/// A status with what goes along. Refusals are answers too.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Content,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
pub(super) enum Content {
    Nothing,
    Json(Value),
    Text(String),
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: Value) -> Self {
        Self { status, body: Content::Json(body), fields: Vec::new() }
    }

    pub(super) fn ok(body: Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, body: Content::Nothing, fields: Vec::new() }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, body: Content::Text(text.into()), fields: Vec::new() }
    }

    /// `{"error_msg":"…"}`.
    pub(super) fn error(status: StatusCode, message: impl Into<String>) -> Self {
        Self::json(status, json!({ "error_msg": message.into() }))
    }

    /// 400 with `{"error_msg":"…"}`.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found() -> Self {
        Self::json(StatusCode::NOT_FOUND, json!({ "message": "Key not found" }))
    }

    /// A thread that was to judge panicked.
    pub(super) fn internal() -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error")
    }

    pub(super) fn precondition_failed(field: &str) -> Self {
        Self::error(StatusCode::PRECONDITION_FAILED, format!("the item is not what {field} asks for"))
    }

    pub(super) fn conflict() -> Self {
        Self::error(StatusCode::CONFLICT, "value changed before overwritten")
    }

    pub(super) fn too_many(seconds: u64) -> Self {
        Self::error(StatusCode::TOO_MANY_REQUESTS, "too many failed credentials").with(RETRY_AFTER, seconds.into())
    }

    #[must_use]
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    #[must_use]
    pub(super) fn with_revision(self, revision: u64) -> Self {
        self.with(REVISION, revision.into())
    }

    #[must_use]
    pub(super) fn with_etag(self, modified: u64) -> Self {
        match HeaderValue::try_from(etag(modified)) {
            Ok(value) => self.with(ETAG, value),
            Err(_) => self,
        }
    }

    /// The response. One to `HEAD` has the fields and no body.
    pub(super) fn into_response(self, method: &Method) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("v3"));
        headers.insert(SERVER, HeaderValue::from_static("tollgate"));
        headers.extend(self.fields);
        let (text, form) = match self.body {
            Content::Nothing => return response,
            Content::Json(mut body) => {
                body.sort_all_objects();
                (format!("{body}\n"), "application/json")
            }
            Content::Text(text) => (text, "text/plain; charset=utf-8"),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form));
        if method == Method::HEAD {
            headers.insert(http::header::CONTENT_LENGTH, text.len().into());
        } else {
            *response.body_mut() = text.into();
        }
        response
    }
}

/// A store that does not do what it is asked for.
impl From<StoreError> for Answer {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::conflict(),
            other => Self::error(StatusCode::SERVICE_UNAVAILABLE, other.to_string()),
        }
    }
}

/// The entity tag of an item that was changed last at this revision.
pub(super) fn etag(modified: u64) -> String {
    format!("\"{modified}\"")
}

/// Whether a field such as `If-Match` or `If-None-Match` names an item: its entity tag, or `*` for any that there is.
pub(super) fn names(field: &str, modified: Option<u64>) -> bool {
    let own = modified.map(etag);
    field.split(',').map(str::trim).any(|tag| match (tag, &own) {
        ("*", own) => own.is_some(),
        (tag, Some(own)) => tag.strip_prefix("W/").unwrap_or(tag) == own,
        (_, None) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_items() {
        for (field, modified, expected) in [
            ("\"7\"", Some(7), true),
            ("W/\"7\"", Some(7), true),
            ("\"8\", \"7\"", Some(7), true),
            ("*", Some(7), true),
            ("7", Some(7), false),
            ("\"8\"", Some(7), false),
            ("", Some(7), false),
            ("*", None, false),
            ("\"7\"", None, false),
        ] {
            assert_eq!(names(field, modified), expected, "{field} {modified:?}");
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let response = Answer::not_found().into_response(&Method::HEAD);
        assert!(response.body().is_empty());
        assert_eq!(response.headers()["content-length"], "28");
        assert_eq!(response.headers()["x-api-version"], "v3");
    }
}
