//! One attempt at one remote over HTTP/1.
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::super::attempt::{Answer, Failure, Outgoing, Plan, Reply};
use super::super::error::Error;
use super::super::forward::ForwardContext;
#[cfg(feature = "http2")]
use super::super::http2;
#[cfg(feature = "http2")]
use super::super::protocol::Wire;
use super::super::retry::Delivery;
use super::super::tls::is_of_tls;
#[cfg(feature = "http2")]
use super::agree::Agreed;
use super::exchange::{Broken, Exchange, Head};
use super::incoming::{Incoming, close_or_keep};
use super::remote::{Lease, Remote};
use super::upload::Upload;
use crate::body::EndsWithConnection;
use crate::http1::{Decoder, DecoderLimits, Framing, ParsedResponse};
use crate::net::IoStream;
use crate::{BodyError, UpgradedIo};

/// Sends `request` to `remote`, over an idle or a new connection.
///
/// An idle connection that turns out dead is replaced by a new one, once, without counting as an attempt (RET-02).
pub(crate) async fn send(
    remote: &Arc<Remote>,
    request: &mut Outgoing,
    forward: &ForwardContext<'_>,
    plan: &Plan<'_>,
) -> Result<Reply, Failure> {
    // What is rare is boxed: it would make the future of every request larger by kilobytes.
    #[cfg(feature = "http2")]
    let lease = match remote.wire() {
        Wire::Http1 => None,
        Wire::Http2 => return Box::pin(http2::send(remote, None, request, forward, plan)).await,
        // Upgrades do not exist in HTTP/2.
        Wire::Either if forward.upgrade.is_some() => None,
        Wire::Either => match remote.agree(remote.label(&request.parts.headers), plan).await? {
            Agreed::Http1(lease) => Some(lease),
            Agreed::Http2(stream) => {
                return Box::pin(http2::send(remote, Some(stream), request, forward, plan)).await;
            }
        },
    };
    #[cfg(not(feature = "http2"))]
    let lease = None;
    let label = remote.label(&request.parts.headers);
    let lease = match lease {
        Some(lease) => Some(lease),
        None => remote.idle(label, plan).await,
    };
    let mut lease = match lease {
        Some(lease) => lease,
        None => Box::pin(remote.connect(label, plan)).await.map_err(Failure::before)?,
    };
    loop {
        // In a block of its own: what is in scope while another connection is made would be part of every future.
        {
            let Some(body) = request.payload.take(plan.replay_bytes, plan.repeatable) else {
                return Err(Failure::before(Error::RequestBody(BodyError::Incomplete)));
            };
            let parts = &request.parts;
            let path = || parts.uri.path_and_query().map(|target| target.as_str());
            let target = forward.target.or_else(path).unwrap_or("/");
            let upload = Upload::new(&parts.method, body);
            let mut exchange = Exchange::new(&lease.io, Head { parts, target, forward }, plan, upload);
            let ended = poll_fn(|cx| exchange.poll(cx)).await;
            let sent = exchange.is_sent();
            let Exchange { upload, carry, .. } = exchange;
            match ended {
                Ok(response) => return Ok(reply(lease, response, carry, (!sent).then_some(upload), plan)),
                Err(broken) => {
                    // A used connection that ended before it brought anything.
                    let stale = lease.is_reused() && matches!(broken, Broken::Closed { stale: true, .. });
                    let failure = failed(broken, upload, &lease, request);
                    if !stale || !is_safe(&failure, request, plan) {
                        return Err(failure);
                    }
                }
            }
        }
        // It may have the only place that there is for a connection.
        drop(lease);
        let label = remote.label(&request.parts.headers);
        lease = Box::pin(remote.connect(label, plan)).await.map_err(Failure::before)?;
    }
}

/// What became of a request that got no answer; a body that was not begun goes back to it.
fn failed(broken: Broken, upload: Upload, lease: &Lease, request: &mut Outgoing) -> Failure {
    let delivery = if upload.written() == 0 { Delivery::None } else { Delivery::Possible };
    if let Some(body) = upload.into_untouched() {
        request.payload.give_back(body);
    }
    Failure { error: describe(broken, &lease.remote.name), delivery, address: lease.io.peer() }
}

/// Whether sending once more cannot do harm.
fn is_safe(failure: &Failure, request: &Outgoing, plan: &Plan<'_>) -> bool {
    request.payload.is_there() && (plan.repeatable || failure.delivery == Delivery::None)
}

/// `upload` is there when the endpoint answered before it had all of the request.
fn reply(lease: Lease, response: ParsedResponse, mut carry: Bytes, upload: Option<Upload>, plan: &Plan<'_>) -> Reply {
    let ParsedResponse { mut head, framing, keep_alive, .. } = response;
    if framing == Framing::Close {
        head.extensions_mut().insert(EndsWithConnection);
    }
    let address = lease.io.peer();
    if head.status() == StatusCode::SWITCHING_PROTOCOLS {
        lease.io.disarm();
        let tunnel = UpgradedIo::new(IoStream(lease.into_io()), carry).with_idle_timeout(plan.timeouts.read);
        return Reply { head, body: Answer::Tunnel(tunnel), address };
    }
    // An endpoint that takes the request while it answers, as an echo does, gets the rest of it; one that refuses it, will
    // not have another request, or has said all it has to say, does not (UP-07).
    let goes_on = keep_alive && head.status().as_u16() < 400 && !framing.is_empty();
    let keep = keep_alive && (goes_on || upload.is_none());
    let upload = upload.filter(|_| goes_on).map(Box::new);
    let whole = match framing {
        Framing::None => Some(0),
        Framing::Length(length) => usize::try_from(length).ok().filter(|length| *length <= carry.len()),
        Framing::Chunked | Framing::Close => None,
    };
    let body = match whole {
        Some(length) if upload.is_none() => {
            let body = carry.split_to(length);
            close_or_keep(lease, keep, &carry);
            Answer::Ready(body.into())
        }
        _ => {
            let decoder = Decoder::new(framing, DecoderLimits::response());
            Answer::Stream(Box::pin(Incoming::new(lease, decoder, carry, upload, keep, plan.timeouts.read)))
        }
    };
    Reply { head, body, address }
}

fn describe(broken: Broken, endpoint: &Arc<str>) -> Error {
    let endpoint = Arc::clone(endpoint);
    match broken {
        Broken::SendTimeout => Error::SendTimeout { endpoint },
        Broken::ReadTimeout => Error::ReadTimeout { endpoint },
        // In TLS 1.3 it is told after the handshake that our certificate is not taken.
        Broken::Closed { source: Some(source), .. } if is_of_tls(&source) => Error::Tls { endpoint, source },
        Broken::Closed { source, .. } => Error::Closed { endpoint, source },
        Broken::Malformed(reason) => Error::Malformed { endpoint, reason },
        Broken::RequestBody(error) => Error::RequestBody(error),
    }
}
