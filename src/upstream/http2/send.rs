//! One attempt at one remote over HTTP/2.
use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::super::attempt::{Answer, Failure, Outgoing, Plan, Reply};
use super::super::client::Remote;
use super::super::error::Error;
use super::super::forward::ForwardContext;
use super::super::retry::Delivery;
use super::body::{Progress, Streamed, Watched};
use super::connections::Stream;
use crate::hop::strip_hop_by_hop;
use crate::{Body, Request};

/// Field lines of a response (security.md UP-02).
const MAX_FIELDS: usize = 200;

/// Sends `request` on a stream to `remote`, the one at hand if there is one. Upgrades do not exist in HTTP/2: a wish for one is not passed on.
///
/// A connection that was used before and goes away without looking at the request is replaced, once, without counting
/// as an attempt (RET-02).
pub(crate) async fn send(
    remote: &Remote,
    mut at_hand: Option<Stream>,
    request: &mut Outgoing,
    forward: &ForwardContext<'_>,
    plan: &Plan<'_>,
) -> Result<Reply, Failure> {
    let mut replaced = false;
    loop {
        let stream = match at_hand.take() {
            Some(stream) => stream,
            None => {
                let label = remote.label(&request.parts.headers);
                remote.streams().stream(remote, label, plan).await.map_err(Failure::before)?
            }
        };
        let may_replace = !replaced && stream.is_reused();
        match attempt(stream, remote, request, forward, plan).await {
            Err(Attempted { stale: true, .. }) if may_replace && request.payload.is_there() => replaced = true,
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
    let Some(mut message) = message(request, remote, forward, plan) else {
        let reason = "the target is no path";
        return Err(failed(Error::Http2 { endpoint: endpoint(), source: reason.into() }, Delivery::None));
    };
    let progress = Arc::new(Progress::default());
    if !message.body().is_empty() {
        message = message.map(|body| Body::stream(Watched::new(body, Arc::clone(&progress))));
    }
    let answer = stream.sender().try_send_request(message);
    match within(plan.timeouts.read, &progress, answer).await {
        None => Err(failed(Error::ReadTimeout { endpoint: endpoint() }, Delivery::Possible)),
        Some(Ok(response)) => match accept(response) {
            Ok((head, body)) => Ok(reply(head, body, stream, plan)),
            Err(reason) => Err(failed(Error::Malformed { endpoint: endpoint(), reason }, Delivery::Possible)),
        },
        Some(Err(mut error)) => {
            let unsent = error.take_message();
            let refusal = if unsent.is_some() { Some(Refusal::Connection) } else { refusal(error.error()) };
            if let Some(unsent) = unsent {
                request.payload.give_back(unsent.into_body());
            }
            let stale = refusal == Some(Refusal::Connection);
            if stale {
                stream.give_up_connection();
            }
            let delivery = if refusal.is_some() { Delivery::None } else { Delivery::Possible };
            let error = Error::Http2 { endpoint: endpoint(), source: error.into_error().into() };
            Err(Attempted { stale, ..failed(error, delivery) })
        }
    }
}

/// The request as HTTP/2 wants it; `None` if its target does not fit.
fn message(request: &mut Outgoing, remote: &Remote, forward: &ForwardContext<'_>, plan: &Plan<'_>) -> Option<Request> {
    let parts = &request.parts;
    let mut headers = parts.headers.clone();
    strip_hop_by_hop(&mut headers);
    // hyper writes the length out of the body.
    headers.remove(CONTENT_LENGTH);
    let host = headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    forward.insert_fields(&mut headers);
    let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
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
    let mut message = Request::new(request.payload.take(plan.replay_bytes, plan.repeatable)?);
    *message.method_mut() = request.parts.method.clone();
    *message.uri_mut() = uri;
    *message.version_mut() = http::Version::HTTP_2;
    *message.headers_mut() = headers;
    Some(message)
}

type Sent = Result<Response<Incoming>, TrySendError<Request>>;

/// Waits for the response head. The time counts from when the endpoint last took something of the request; while the
/// client is slow with its body it does not count at all.
async fn within(limit: Duration, progress: &Progress, answer: impl Future<Output = Sent>) -> Option<Sent> {
    let mut answer = pin!(answer);
    loop {
        let frames = progress.frames();
        match tokio::time::timeout(limit, &mut answer).await {
            Ok(answer) => return Some(answer),
            Err(_) if progress.is_hungry() || progress.frames() != frames => {}
            Err(_) => return None,
        }
    }
}

fn accept(response: Response<Incoming>) -> Result<(Response<()>, Body), &'static str> {
    let (mut parts, body) = response.into_parts();
    if parts.headers.len() > MAX_FIELDS {
        return Err("too many fields");
    }
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("switch of protocols in HTTP/2");
    }
    strip_hop_by_hop(&mut parts.headers);
    Ok((Response::from_parts(parts, ()), body.into()))
}

fn reply(head: Response<()>, body: Body, stream: Stream, plan: &Plan<'_>) -> Reply {
    let address = stream.address();
    let body = if body.is_empty() {
        Answer::Ready(body)
    } else {
        Answer::Multiplexed(Box::pin(Streamed::new(body, stream, plan.timeouts.read)))
    };
    Reply { head, body, address }
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
fn refusal(error: &hyper::Error) -> Option<Refusal> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return match error.is_remote() {
                true if refused => Some(Refusal::Stream),
                true if error.is_go_away() => Some(Refusal::Connection),
                _ => None,
            };
        }
        source = error.source();
    }
    None
}
