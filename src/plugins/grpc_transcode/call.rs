//! From a request to a call.
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use prost::Message as _;
use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value};

use super::annotations::BodyOf;
use super::layer::{Call, NAME};
use super::messages::framed;
use super::to_json::has_own_json;
use super::{arguments, from_json};
use crate::request::rewrite_target;
use crate::{Body, BodyError, Error, IntoResponse as _, Request, Response, grpc, reject_error_msg};

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What an annotation says of a request.
pub(super) struct Bound<'a> {
    pub(super) body: &'a BodyOf,
    /// Fields and their values, out of the path.
    pub(super) variables: Vec<(&'a str, String)>,
}

/// What a body is taken for.
enum Content {
    Json,
    Form,
}

impl Call {
    /// Turns a request into a call of the method.
    ///
    /// # Errors
    /// The answer to one that is none.
    pub(super) async fn begin(&self, request: &mut Request, bound: Option<Bound<'_>>) -> Result<(), Response> {
        let json = match bound {
            None => self.arguments(request).await?,
            Some(bound) => self.bound_arguments(request, bound).await?,
        };
        let message = from_json::message(&self.input, json).map_err(bad)?;
        rewrite_target(request, self.path.clone()).map_err(Error::into_response)?;
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        // They would tell of the body that is gone, or of a message that is not compressed.
        for name in [CONTENT_LENGTH, CONTENT_ENCODING, ENCODING] {
            headers.remove(name);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(deadline) = &self.deadline {
            headers.insert(grpc::TIMEOUT, deadline.clone());
        }
        *request.body_mut() = framed(&message.encode_to_vec()).into();
        Ok(())
    }

    /// The fields of the message: those of the body, and those of the query that the body does not have.
    async fn arguments(&self, request: &mut Request) -> Result<Value, Response> {
        let body = std::mem::take(request.body_mut());
        let mut fields = Map::new();
        if !body.is_empty() {
            let content = content(request)?;
            let body = body.buffer(self.max_req_body_size).await.map_err(unread)?;
            match content {
                Content::Json => match json(&self.input, &body)? {
                    Value::Object(object) => fields = object,
                    other => return Ok(other),
                },
                Content::Form => arguments::add(&body, &self.input, &mut fields),
            }
        }
        if let Some(query) = request.uri().query() {
            arguments::add(query.as_bytes(), &self.input, &mut fields);
        }
        Ok(Value::Object(fields))
    }

    /// As an annotation has it: fields out of the path, of the body, and of the query.
    async fn bound_arguments(&self, request: &mut Request, bound: Bound<'_>) -> Result<Value, Response> {
        let body = std::mem::take(request.body_mut());
        let mut fields = Map::new();
        if !body.is_empty() && *bound.body != BodyOf::Nothing {
            let content = content(request)?;
            let body = body.buffer(self.max_req_body_size).await.map_err(unread)?;
            match (bound.body, content) {
                (BodyOf::Field(name), Content::Json) => {
                    let json = serde_json::from_slice(&body);
                    let json = json.map_err(|error| bad(format!("the body is no JSON: {error}")))?;
                    fields.insert(name.clone(), json);
                }
                (_, Content::Json) => match json(&self.input, &body)? {
                    Value::Object(object) => fields = object,
                    other => return Ok(other),
                },
                (_, Content::Form) => arguments::add(&body, &self.input, &mut fields),
            }
        }
        for (name, value) in bound.variables {
            arguments::set(&mut fields, &self.input, name, Value::String(value));
        }
        if let Some(query) = request.uri().query().filter(|_| *bound.body != BodyOf::Message) {
            arguments::add(query.as_bytes(), &self.input, &mut fields);
        }
        Ok(Value::Object(fields))
    }
}

fn bad(reason: impl std::fmt::Display) -> Response {
    reject_error_msg(StatusCode::BAD_REQUEST, NAME, reason)
}

fn json(input: &MessageDescriptor, body: &Bytes) -> Result<Value, Response> {
    let json: Value = serde_json::from_slice(body).map_err(|error| bad(format!("the body is no JSON: {error}")))?;
    if json.is_object() || has_own_json(input) { Ok(json) } else { Err(bad("the body is to be an object")) }
}

/// What the body of a request is; a form if nothing is said of it.
fn content(request: &Request) -> Result<Content, Response> {
    let unsupported = || reject_error_msg(StatusCode::UNSUPPORTED_MEDIA_TYPE, NAME, "415 Unsupported Media Type");
    let coding = request.headers().get(CONTENT_ENCODING);
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(unsupported());
    }
    let Some(kind) = request.headers().get(CONTENT_TYPE) else { return Ok(Content::Form) };
    let kind = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match &*kind.to_ascii_lowercase() {
        b"application/json" => Ok(Content::Json),
        b"application/x-www-form-urlencoded" => Ok(Content::Form),
        _ => Err(unsupported()),
    }
}

fn unread(error: BodyError) -> Response {
    let error = match error {
        BodyError::TooLarge { .. } => Error::BodyTooLarge,
        BodyError::Timeout => Error::RequestTimeout,
        _ => Error::BadRequest("the body failed"),
    };
    error.into_response()
}

/// An answer's body with trailers behind it.
pub(super) fn with_trailers(data: Bytes, trailers: http::HeaderMap) -> Body {
    Body::stream(Trailed { data: Some(data), trailers: Some(trailers) })
}

struct Trailed {
    data: Option<Bytes>,
    trailers: Option<http::HeaderMap>,
}

impl http_body::Body for Trailed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        let data = self.data.take().map(http_body::Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(http_body::Frame::trailers));
        std::task::Poll::Ready(frame.map(Ok))
    }
}
