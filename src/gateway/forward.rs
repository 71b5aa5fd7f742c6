//! The end of every chain: the upstream, or the answer when there is no route.
use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderValue, TE};

use super::answer::ready;
use super::fork::forget_aside;
use super::route::{Forward, Route};
use super::websocket::judge_handshake;
use crate::error::{Error, IntoResponse, Request, Response};
use crate::plugin::{ChoiceStands, CopyOf, UpstreamChoice};
use crate::request::{
    Arrival, Consumer, PathRules, SharedFacts, ShownAs, client_addr, drop_what_is_written, told_client,
};
use crate::upgrade::UpgradeOnly;
use crate::upstream::{ForwardContext, Forwarded, Outgoing};
use crate::{ConnectInfo, Exchange, Next, UpgradeWish, interim};

/// The answer to a request that no layer stands before.
pub(super) fn direct(
    route: Arc<Route>,
    request: Request,
    connection: Option<ConnectInfo>,
    arrival: Arrival,
    via: Arc<str>,
) -> impl Future<Output = Response> + Send {
    let mut request = Outgoing::new(request);
    // What the future owns is only lent further on: each move of a request would make it larger by another one.
    async move {
        forward(&route.forward, &mut request, Client::arrived(&arrival), connection.as_ref(), &arrival, &via).await
    }
}

/// The end of a route's chain.
pub(super) fn end(target: &Arc<Forward>, via: &Arc<str>) -> Next {
    let (target, via) = (Arc::clone(target), Arc::clone(via));
    Next::from_call(move |mut request: Request| {
        let (target, via) = (Arc::clone(&target), Arc::clone(&via));
        let Some(SharedFacts(facts)) = request.extensions().get().cloned() else {
            return ready(Error::Internal("facts_missing").into_response());
        };
        let refusal = match facts.given.as_ref().map(|given| given.settle(&mut request)) {
            Some(Err(error)) => Some(error.into_response()),
            // What may not be asked for may not be rewritten to (security.md PATH-07).
            Some(Ok(true)) => PathRules::ask_again(&request),
            Some(Ok(false)) | None => None,
        };
        if let Some(response) = refusal {
            return ready(response);
        }
        if facts.connection.is_some() {
            drop_what_is_written(request.headers_mut());
        }
        let client = Client { ip: client_addr(&request), told: told_client(&request) };
        let mut request = Outgoing::new(request);
        Box::pin(async move {
            forward(&target, &mut request, client, facts.connection.as_ref(), &facts.arrival, &via).await
        })
    })
}

/// Request extension: why no route was found, for the end of the global rules' chain.
#[derive(Clone)]
struct Unrouted(Error);

/// Leaves word of why no route was found.
pub(super) fn unrouted(request: &mut Request, error: Error) {
    request.extensions_mut().insert(Unrouted(error));
}

/// The end of the chain of requests without a route.
pub(super) fn unrouted_end() -> Next {
    Next::from_fn(|mut request| {
        let error = request.extensions_mut().remove::<Unrouted>().map_or(Error::NoRoute, |unrouted| unrouted.0);
        std::future::ready(error.into_response())
    })
}

/// Whom the upstream is told of as the client.
#[derive(Clone, Copy)]
struct Client {
    ip: Option<IpAddr>,
    /// The address that a layer found out: it stands for the peer, too.
    told: Option<IpAddr>,
}

impl Client {
    fn arrived(arrival: &Arrival) -> Self {
        Self { ip: arrival.client, told: None }
    }
}

/// Sends a request to its upstream; a failure becomes an answer here and nowhere else.
async fn forward(
    target: &Forward,
    request: &mut Outgoing,
    client: Client,
    connection: Option<&ConnectInfo>,
    arrival: &Arrival,
    via: &str,
) -> Response {
    // Taken out: a gateway that is an in-process endpoint of this one has choices of its own.
    let choice = request.parts.extensions.remove::<UpstreamChoice>();
    let copy = choice.as_ref().and_then(|_| {
        request.parts.extensions.remove::<ChoiceStands>();
        request.parts.extensions.remove::<CopyOf>()
    });
    let upstream = match (&choice, &target.target) {
        (Some(UpstreamChoice(upstream)), _) | (None, Ok(upstream)) => upstream,
        (None, Err(error)) => return error.clone().into_response(),
    };
    if upstream.calls_services()
        && let Some(consumer) = request.parts.extensions.get_mut::<Consumer>()
    {
        consumer.leave();
    }
    // Other protocols are not passed on: the request goes on as plain HTTP (security.md UPG-01).
    let wish = request.parts.extensions.remove::<UpgradeWish>();
    let only = wish.is_some() && request.parts.extensions.remove::<UpgradeOnly>().is_some();
    let wish = wish.filter(|wish| target.websocket && wish.is_websocket());
    if only && wish.is_none() {
        // Nor is a `CONNECT` a request for a page (H2-07).
        return Error::MethodRefused(StatusCode::METHOD_NOT_ALLOWED).into_response();
    }
    if wish.is_some()
        && let Err(error) = judge_handshake(&request.parts.method, &request.parts.headers)
    {
        return error.into_response();
    }
    if arrival.trailers {
        request.parts.headers.remove(TE);
    }
    let reported = arrival.reported.as_deref();
    let shown = request.parts.extensions.remove::<Box<ShownAs>>();
    let shown = shown.as_deref();
    let of_original = copy.and_then(|CopyOf(choice)| match (&choice, &target.target) {
        (Some(UpstreamChoice(upstream)), _) | (None, Ok(upstream)) => upstream.own_host(),
        (None, Err(_)) => None,
    });
    let port = connection.and_then(|connection| connection.local).map(|local| Digits::of(local.port()));
    // Attempts are written down only for a layer that asked.
    let exchange = request.parts.extensions.get::<Exchange>().cloned();
    let mut context = ForwardContext {
        host: shown.and_then(|shown| shown.host.as_ref()).or(of_original.as_ref()),
        client: client.ip,
        forwarded: connection.map(|connection| {
            let proto: &[u8] = if connection.tls { b"https" } else { b"http" };
            Forwarded {
                client: client.ip.unwrap_or_else(|| connection.ip()),
                peer: client.told.unwrap_or_else(|| connection.ip()),
                prior: reported.and_then(|reported| reported.forwarded_for.as_ref()),
                proto: shown
                    .and_then(|shown| shown.proto.as_ref())
                    .or_else(|| reported?.proto.as_ref())
                    .map_or(proto, HeaderValue::as_bytes),
                host: shown
                    .and_then(|shown| shown.forwarded_host.as_ref())
                    .or_else(|| reported?.host.as_ref())
                    .or(arrival.host.as_ref())
                    .map_or(&[], HeaderValue::as_bytes),
                port: shown
                    .and_then(|shown| shown.port.as_ref())
                    .or_else(|| reported?.port.as_ref())
                    .map_or_else(|| port.as_ref().map(Digits::as_bytes).unwrap_or_default(), HeaderValue::as_bytes),
            }
        }),
        via: Some(via),
        upgrade: wish.as_ref().map(|wish| &wish.0),
        trailers: arrival.trailers,
        timeouts: target.timeouts.as_ref(),
        exchange: exchange.as_ref(),
        interim: Some(&interim::offer),
        ..ForwardContext::default()
    };
    match upstream.exchange(request, &mut context).await {
        Ok(mut response) => {
            if upstream.calls_services() {
                forget_aside(&mut response);
            }
            response
        }
        Err(error) => {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                upstream = upstream.config().key.as_str(),
                reason = error.reason(),
                error = &error as &dyn std::error::Error,
                "upstream failed"
            );
            Error::from(error).into_response()
        }
    }
}

/// A port in decimal, without an allocation.
struct Digits([u8; 5], usize);

impl Digits {
    fn of(port: u16) -> Self {
        let mut digits = [0; 5];
        let mut rest = port;
        let mut from = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            from -= 1;
            if rest == 0 {
                break;
            }
        }
        Self(digits, from)
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.get(self.1..).unwrap_or_default()
    }
}
