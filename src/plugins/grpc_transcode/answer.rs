//! From the answer of a service to one of HTTP.
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRAILER};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use prost_reflect::DynamicMessage;

use super::call::with_trailers;
use super::end::End;
use super::large::LARGE;
use super::layer::{Call, NAME};
use super::lines::{Line, Lines};
use super::messages::Messages;
use super::to_json;
use crate::error::{Error, Fault, IntoResponse as _, Response, reject_error_msg};
use crate::hop;
use crate::{Body, BodyError, grpc};

/// Fields of a service's head that tell of its messages.
const OF_MESSAGES: [&str; 3] = ["grpc-encoding", "grpc-accept-encoding", "trailer"];

impl Call {
    /// Answers with what the service says; with its trailers as such if the client takes any.
    pub(super) async fn end(&self, response: Response, takes_trailers: bool) -> Response {
        // What a plugin or the gateway itself says is for the client already.
        if response.extensions().get::<Fault>().is_some() {
            return response;
        }
        let (mut head, body) = response.into_parts();
        let end = End::told(&head.headers);
        if end.is_none() && (head.status != StatusCode::OK || !grpc::is_grpc(&head.headers)) {
            let status = if head.status.as_u16() >= 400 { head.status } else { StatusCode::BAD_GATEWAY };
            return reject_error_msg(status, NAME, "the upstream speaks no gRPC");
        }
        head.status = StatusCode::OK;
        for name in OF_MESSAGES {
            head.headers.remove(name);
        }
        head.headers.remove(CONTENT_LENGTH);
        head.headers.remove(CONTENT_TYPE);
        match end {
            Some(end) if end.code == 0 && self.streams => Response::from_parts(self.as_lines(head), Body::empty()),
            Some(end) if end.code == 0 => broken("the upstream sends no message"),
            Some(end) => self.failed(head, &end, None),
            None if self.streams => self.begin_lines(head, body).await,
            None => self.single(head, body, takes_trailers).await,
        }
    }

    /// A single message as JSON.
    async fn single(&self, mut head: Parts, body: Body, takes_trailers: bool) -> Response {
        let (message, trailers) = match self.read(body).await {
            Ok(read) => read,
            Err(refusal) => return refusal,
        };
        let end = trailers.as_ref().and_then(End::told).unwrap_or_else(End::untold);
        if end.code != 0 {
            return self.failed(head, &end, trailers.as_ref());
        }
        let Some(message) = message else { return broken("the upstream sends no message") };
        let Some(json) = self.json(message).await else {
            return broken("the upstream sends a message that cannot be told");
        };
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let json = Bytes::from(json);
        let mut trailers = trailers.filter(|_| takes_trailers).unwrap_or_default();
        hop::strip_trailers(&mut trailers);
        let body = match trailers.is_empty() {
            false => {
                let names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
                if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
                    head.headers.insert(TRAILER, names);
                }
                with_trailers(json, trailers)
            }
            true => Body::from(json),
        };
        Response::from_parts(head, body)
    }

    /// Reads the one message of an answer, and what stands behind it.
    async fn read(&self, mut body: Body) -> Result<(Option<Bytes>, Option<HeaderMap>), Response> {
        let mut messages = Messages::new(self.max_resp_body_size);
        let (mut message, mut trailers) = (None, None);
        while let Some(frame) = body.frame().await {
            match frame.map_err(unread)?.into_data() {
                Ok(data) => messages.push(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
            while let Some(next) = messages.next().map_err(broken)? {
                if message.replace(next).is_some() {
                    return Err(broken("the upstream sends more than one message"));
                }
            }
        }
        if messages.is_empty() { Ok((message, trailers)) } else { Err(broken("the upstream ends inside of a message")) }
    }

    /// The JSON of a message; `None` if it is none of its kind, or would become too long.
    pub(super) async fn json(&self, message: Bytes) -> Option<Vec<u8>> {
        if message.len() <= LARGE {
            return self.json_here(message);
        }
        let call = self.clone();
        self.bench.run(move || call.json_here(message)).await.flatten()
    }

    /// The same on this thread.
    pub(super) fn json_here(&self, message: Bytes) -> Option<Vec<u8>> {
        let message = DynamicMessage::decode(self.output.clone(), message).ok()?;
        let json = match &self.told {
            None => to_json::text(&message, self.style, self.max_resp_body_size),
            Some(field) => to_json::field_text(&message, field, self.style, self.max_resp_body_size),
        };
        json.ok()
    }

    /// A stream of messages, a line each. It begins with the first one: a call that fails before it has a status of its own.
    async fn begin_lines(&self, head: Parts, body: Body) -> Response {
        let mut lines = Lines::new(self.clone(), body);
        match lines.first().await {
            Line::Broken(error) => unread(error),
            Line::End(end) if end.code != 0 => {
                let trailers = lines.into_trailers();
                self.failed(head, &end, trailers.as_ref())
            }
            Line::End(_) => Response::from_parts(self.as_lines(head), Body::empty()),
            Line::Text(text) => Response::from_parts(self.as_lines(head), lines.into_body(text)),
        }
    }

    fn as_lines(&self, mut head: Parts) -> Parts {
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        head
    }

    /// The answer for a status other than 0: the one of HTTP that stands for it, and in the body what is to be told.
    fn failed(&self, mut head: Parts, end: &End, trailers: Option<&HeaderMap>) -> Response {
        head.status = end.http_status();
        for (name, value) in trailers.into_iter().flatten() {
            head.headers.append(name, value.clone());
        }
        if !self.show_status_in_body {
            return Response::from_parts(head, Body::empty());
        }
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let json = end.json(self.status_detail.as_ref(), self.style);
        Response::from_parts(head, Body::from(json.to_string()))
    }
}

/// The answer to what a service should not say.
fn broken(reason: impl std::fmt::Display) -> Response {
    reject_error_msg(StatusCode::BAD_GATEWAY, NAME, reason)
}

/// The answer for a body of a service that broke off.
fn unread(error: BodyError) -> Response {
    let (status, reason) = match error {
        BodyError::Timeout => (StatusCode::GATEWAY_TIMEOUT, "body_failed"),
        _ => (StatusCode::BAD_GATEWAY, "body_failed"),
    };
    Error::Upstream { status, reason, retry_after: None }.into_response()
}
