//! One attempt at one remote over HTTP/2.
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Response, StatusCode, Uri};
use http_body::Body as _;

use super::super::attempt::{Answer, Failure, Outgoing, Plan, Reply};
use super::super::client::Remote;
use super::super::error::Error;
use super::super::forward::ForwardContext;
use super::super::retry::Delivery;
use super::body::{Streamed, Uploading};
use super::call::{Called, Failed, call};
use super::connections::Stream;
use crate::hop::strip_hop_by_hop;
use crate::{Body, BodyError, grpc};

/// Connections that may go away under one attempt.
const REPLACEMENTS: u32 = 3;

/// Sends `request` on a stream to `remote`, the one at hand if there is one. Upgrades do not exist in HTTP/2: a wish for one
/// is not passed on.
///
/// A connection that was used before and goes away without looking at the request is replaced, without counting as an
/// attempt (RET-02). That may happen more than once in a row: endpoints that limit the age of connections end many at
/// about the same time.
pub(crate) async fn send(
    remote: &Remote,
    mut at_hand: Option<Stream>,
    request: &mut Outgoing,
    forward: &ForwardContext<'_>,
    plan: &Plan<'_>,
) -> Result<Reply, Failure> {
    let mut left = REPLACEMENTS;
    loop {
        let stream = match at_hand.take() {
            Some(stream) => stream,
            None => {
                let label = remote.label(&request.parts.headers);
                remote.streams().stream(remote, label, plan).await.map_err(Failure::before)?
            }
        };
        let may_replace = left > 0 && stream.is_reused();
        match attempt(stream, remote, request, forward, plan).await {
            Err(Attempted { stale: true, .. }) if may_replace && request.payload.is_there() => left -= 1,
            ended => return ended.map_err(|attempted| attempted.failure),
        }
    }
}

struct Attempted {
    failure: Failure,
    /// The connection is over, and the request was not looked at.
    stale: bool,
}

async fn attempt(
    stream: Stream,
    remote: &Remote,
    request: &mut Outgoing,
    forward: &ForwardContext<'_>,
    plan: &Plan<'_>,
) -> Result<Reply, Attempted> {
    let endpoint = || Arc::clone(&remote.name);
    let address = stream.address();
    let failed = |error, delivery| Attempted { failure: Failure { error, delivery, address }, stale: false };
    let Some(head) = head(request, remote, forward) else {
        let reason = "the target is no path";
        return Err(failed(Error::Http2 { endpoint: endpoint(), source: reason.into() }, Delivery::None));
    };
    // Whatever the method: what the endpoint did not look at is sent again (RET-01).
    let Some(body) = request.payload.take(plan.replay_bytes, true) else {
        return Err(failed(Error::RequestBody(BodyError::Incomplete), Delivery::None));
    };
    let head = with_length(head, &body);
    let (error, refusal) = match call(stream.sender(), head, body, forward, plan).await {
        Ok(called) => {
            return reply(called, stream, plan)
                .map_err(|reason| failed(Error::Malformed { endpoint: endpoint(), reason }, Delivery::Possible));
        }
        Err(Failed::SendLate) => return Err(failed(Error::SendTimeout { endpoint: endpoint() }, Delivery::Possible)),
        Err(Failed::Late) => return Err(failed(Error::ReadTimeout { endpoint: endpoint() }, Delivery::Possible)),
        Err(Failed::Malformed(reason)) => {
            return Err(failed(Error::Malformed { endpoint: endpoint(), reason }, Delivery::Possible));
        }
        Err(Failed::Body(error)) => return Err(failed(Error::RequestBody(error), Delivery::Possible)),
        Err(Failed::Unsent(error, body)) => {
            request.payload.give_back(body);
            (error, Some(Refusal::Connection))
        }
        Err(Failed::Stream(error, body)) => {
            if let Some(body) = body {
                request.payload.give_back(body);
            }
            let refusal = refusal(&error);
            (error, refusal)
        }
    };
    let stale = refusal == Some(Refusal::Connection);
    if stale {
        stream.give_up_connection();
    }
    let delivery = if refusal.is_some() { Delivery::None } else { Delivery::Possible };
    let error = Error::Http2 { endpoint: endpoint(), source: error.into() };
    Err(Attempted { stale, ..failed(error, delivery) })
}

/// The request's head as HTTP/2 wants it; `None` if its target does not fit.
fn head(request: &Outgoing, remote: &Remote, forward: &ForwardContext<'_>) -> Option<http::Request<()>> {
    let parts = &request.parts;
    let mut headers = parts.headers.clone();
    strip_hop_by_hop(&mut headers);
    let host = headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    forward.insert_fields(&mut headers);
    if grpc::is_grpc(&headers) {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(if remote.scheme().is_secure() { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = host.or_else(|| Authority::try_from(&*remote.name).ok());
    uri.path_and_query = match forward.target {
        Some(target) => Some(PathAndQuery::try_from(target).ok()?),
        None => Some(parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))),
    };
    let uri = Uri::from_parts(uri).ok()?;
    let mut message = http::Request::new(());
    *message.method_mut() = request.parts.method.clone();
    *message.uri_mut() = uri;
    *message.version_mut() = http::Version::HTTP_2;
    *message.headers_mut() = headers;
    Some(message)
}

/// Tells the length of the body, if it is known; a promise that nobody keeps is none.
fn with_length(mut head: http::Request<()>, body: &Body) -> http::Request<()> {
    let promised = head.headers_mut().remove(CONTENT_LENGTH).is_some();
    if let Some(length) = body.size_hint().exact().filter(|length| promised || *length > 0) {
        head.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    head
}

/// The reply that a response makes, unless it breaks a rule.
fn reply(called: Called, stream: Stream, plan: &Plan<'_>) -> Result<Reply, &'static str> {
    let (mut parts, body) = called.response.into_parts();
    if parts.headers.len() > plan.answers.header_count {
        return Err("too many fields");
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("switch of protocols in HTTP/2");
    }
    strip_hop_by_hop(&mut parts.headers);
    let address = stream.address();
    let body = if body.is_end_stream() {
        Answer::Ready(Body::empty())
    } else {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        // An endpoint that refuses the request does not get the rest of it (UP-07).
        let upload = called.upload.filter(|_| parts.status.as_u16() < 400).map(Uploading::start);
        Answer::Multiplexed(Box::pin(Streamed::new(body, length, upload, stream, plan.timeouts.read)))
    };
    Ok(Reply { head: Response::from_parts(parts, ()), body, address })
}

/// Who did not look at a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The endpoint refused the stream.
    Stream,
    /// The connection is over, or ends before this stream.
    Connection,
}

/// How the endpoint said that it did not look at the request, if it did (RFC 9113 §8.7; security.md RET-01).
fn refusal(error: &h2::Error) -> Option<Refusal> {
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    match error.is_remote() {
        true if refused => Some(Refusal::Stream),
        true if error.is_go_away() => Some(Refusal::Connection),
        _ => None,
    }
}
