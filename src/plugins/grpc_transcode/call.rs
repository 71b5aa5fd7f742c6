//! From a request to a call.
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use prost::Message as _;
use serde_json::{Map, Value};

use super::annotations::BodyOf;
use super::large::LARGE;
use super::layer::{Call, NAME};
use super::messages::framed;
use super::to_json::has_own_json;
use super::{arguments, from_json};
use crate::plugin::bodies::{Misread, Unread};
use crate::request::rewrite_target;
use crate::{Body, BodyError, Error, IntoResponse as _, Request, Response, grpc, reject_empty, reject_error_msg};

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What an annotation says of a request.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) body: BodyOf,
    /// Fields and their values, out of the path.
    pub(super) variables: Vec<(Arc<str>, String)>,
}

/// What a body is taken for.
enum Content {
    Json,
    Form,
}

/// What a client said of the message.
struct Said {
    body: Option<(Content, Bytes)>,
    uri: Uri,
    bound: Option<Bound>,
}

impl Said {
    /// Bytes that are to be read.
    fn len(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |(_, body)| body.len());
        body + self.uri.query().map_or(0, str::len)
    }
}

impl Call {
    /// Turns a request into a call of the method.
    ///
    /// # Errors
    /// The answer to one that is none.
    pub(super) async fn begin(&self, request: &mut Request, bound: Option<Bound>) -> Result<(), Response> {
        let body = self.body(request, bound.as_ref()).await?;
        let said = Said { body, uri: request.uri().clone(), bound };
        let message = if said.len() <= LARGE {
            self.message(said)?
        } else {
            let call = self.clone();
            let made = self.bench.run(move || call.message(said)).await;
            made.unwrap_or_else(|| Err(reject_empty(StatusCode::INTERNAL_SERVER_ERROR, NAME)))?
        };
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
        *request.body_mut() = message.into();
        Ok(())
    }

    /// The whole body, where it counts.
    async fn body(&self, request: &mut Request, bound: Option<&Bound>) -> Result<Option<(Content, Bytes)>, Response> {
        let body = std::mem::take(request.body_mut());
        if body.is_empty() || bound.is_some_and(|bound| bound.body == BodyOf::Nothing) {
            return Ok(None);
        }
        let content = content(request)?;
        let collected = self.bodies.collect(body, self.max_req_body_size).await;
        Ok(Some((content, collected.map_err(unread)?)))
    }

    /// The message that is sent, with its head.
    fn message(&self, said: Said) -> Result<Bytes, Response> {
        let message = from_json::message(&self.input, self.fields(said)?).map_err(bad)?;
        Ok(framed(&message.encode_to_vec()))
    }

    /// The fields of the message: those of the body, then as an annotation has it those of the path, and those of the query
    /// that are not there yet.
    fn fields(&self, Said { body, uri, bound }: Said) -> Result<Value, Response> {
        let mut fields = Map::new();
        let (is_of, variables) = bound.map(|bound| (bound.body, bound.variables)).unzip();
        match (body, &is_of) {
            (None, _) => {}
            (Some((Content::Json, body)), Some(BodyOf::Field(name))) => {
                fields.insert(name.to_string(), self.json_of(&body)?);
            }
            (Some((Content::Json, body)), _) => match self.whole(&body)? {
                Value::Object(object) => fields = object,
                other => return Ok(other),
            },
            (Some((Content::Form, body)), _) => arguments::add(&body, &self.input, &mut fields),
        }
        for (name, value) in variables.unwrap_or_default() {
            arguments::set(&mut fields, &self.input, &name, Value::String(value));
        }
        if let Some(query) = uri.query().filter(|_| is_of != Some(BodyOf::Message)) {
            arguments::add(query.as_bytes(), &self.input, &mut fields);
        }
        Ok(Value::Object(fields))
    }

    fn json_of(&self, body: &Bytes) -> Result<Value, Response> {
        self.bodies.json(body).map_err(|misread| match misread {
            Misread::Malformed(error) => bad(format!("the body is no JSON: {error}")),
            misread => bad(misread),
        })
    }

    /// A body that is the message.
    fn whole(&self, body: &Bytes) -> Result<Value, Response> {
        let json = self.json_of(body)?;
        if json.is_object() || has_own_json(&self.input) { Ok(json) } else { Err(bad("the body is to be an object")) }
    }
}

fn bad(reason: impl std::fmt::Display) -> Response {
    reject_error_msg(StatusCode::BAD_REQUEST, NAME, reason)
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

fn unread(unread: Unread) -> Response {
    match unread {
        Unread::TooLarge(_) => Error::BodyTooLarge.into_response(),
        unread => unread.into_response(NAME),
    }
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
