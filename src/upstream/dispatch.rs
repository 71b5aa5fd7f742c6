//! An upstream, and the way of one request through it: admission, choice of an endpoint, attempts.
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Uri, Version};
use tokio::time::Instant;

use super::admission::{Admission, Permit, Refused};
#[cfg(feature = "client")]
use super::attempt::Plan;
use super::attempt::{Answer, Failure, Outgoing, Reply};
use super::balance::{Groups, Member, Walk};
use super::budget::Budget;
use super::config::{PassHost, UpstreamConfig};
use super::endpoint::Endpoint;
use super::error::Error;
use super::forward::ForwardContext;
use super::held::Held;
use super::retry::{Delivery, RetryPolicy};
use super::service::ServiceEndpoint;
use crate::{Attempt, Body, Request, Response, UpgradeWish};

/// One upstream, compiled. Made by [`Upstreams::compile`](super::Upstreams::compile).
pub struct Upstream {
    pub(super) config: UpstreamConfig,
    pub(super) endpoints: Box<[Endpoint]>,
    pub(super) calls_services: bool,
    /// Name, weight and priority of each endpoint.
    pub(super) members: Box<[(Member, i32)]>,
    pub(super) groups: Arc<Groups>,
    pub(super) admission: Arc<Admission>,
    pub(super) budget: Arc<Budget>,
    pub(super) retry: RetryPolicy,
}

impl Upstream {
    /// What it was built from.
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Whether one of the endpoints is a service of this process.
    pub(crate) fn calls_services(&self) -> bool {
        self.calls_services
    }

    /// Sends a request to one of the endpoints, to another one if that fails and the request may be sent again, and
    /// gives back the response as soon as its head is there.
    ///
    /// Hop-by-hop fields must have come off the request; the connection's own are written here. Dropping the future, or
    /// the response's body before its end, closes the connection to the endpoint.
    ///
    /// # Errors
    /// [`Error`] when there is no response. Whatever an endpoint answers is a response.
    pub async fn send(&self, request: Request, mut forward: ForwardContext<'_>) -> Result<Response, Error> {
        self.exchange(&mut Outgoing::new(request), &mut forward).await
    }

    /// As [`Upstream::send`], with what stays in its owner's future.
    pub(crate) async fn exchange(
        &self,
        request: &mut Outgoing,
        forward: &mut ForwardContext<'_>,
    ) -> Result<Response, Error> {
        let permit = self.admission.enter().await.map_err(|refused| self.overloaded(refused))?;
        self.budget.request();
        let mut attempts = Attempts::new(self);
        loop {
            let Some(endpoint) = self.next(&mut attempts.walk, &request.parts, forward) else {
                return attempts.exhausted(permit);
            };
            self.set_host(endpoint, forward.host, &mut request.parts);
            let began = forward.exchange.is_some().then(Instant::now);
            // In a block of its own: what is in scope during the pause would be part of every future.
            let pause = {
                let ended = match endpoint {
                    #[cfg(feature = "client")]
                    Endpoint::Remote(remote) if self.retry.per_try().is_none() => {
                        let plan = self.plan(forward, &request.parts.method);
                        super::client::send(remote, request, forward, &plan).await
                    }
                    // What is less usual is boxed, so that it does not make every request's future larger.
                    _ => Box::pin(self.attempt(endpoint, request, forward)).await,
                };
                if let (Some(exchange), Some(began)) = (forward.exchange, began) {
                    exchange.add_attempt(describe(endpoint, &ended, began.elapsed()));
                }
                match ended {
                    Ok(reply) if !self.retry.is_failure(reply.head.status()) => return Ok(respond(reply, permit)),
                    ended => match attempts.again(&ended, request) {
                        Again::After(pause) => {
                            attempts.last = Some(Box::new(ended.map_err(|failure| failure.error)));
                            pause
                        }
                        Again::No => {
                            return ended.map(|reply| respond(reply, permit)).map_err(|failure| failure.error);
                        }
                        Again::Late => {
                            let late = |failure: Failure| Error::RetryDeadline { last: Box::new(failure.error) };
                            return ended.map(|reply| respond(reply, permit)).map_err(late);
                        }
                    },
                }
            };
            Box::pin(tokio::time::sleep(pause)).await;
        }
    }

    fn overloaded(&self, refused: Refused) -> Error {
        Error::Overloaded { upstream: self.config.key.clone(), waited: refused == Refused::Waited }
    }

    fn next(&self, walk: &mut Walk, parts: &Parts, forward: &ForwardContext<'_>) -> Option<&Endpoint> {
        self.groups.next(walk, parts, forward.client).and_then(|index| self.endpoints.get(index))
    }

    /// Sets `Host` as `told`, else as `pass_host` says (upstream.md §5).
    fn set_host(&self, endpoint: &Endpoint, told: Option<&HeaderValue>, parts: &mut Parts) {
        let headers: &mut HeaderMap = &mut parts.headers;
        let host = match &self.config.pass_host {
            _ if told.is_some() => told.cloned(),
            PassHost::Pass if headers.contains_key(HOST) => return,
            // Over HTTP/2 the client's host is the authority; HTTP/1.0 clients may send none.
            PassHost::Pass => authority(&parts.uri).or_else(|| endpoint.host().cloned()),
            PassHost::Node => endpoint.host().cloned(),
            PassHost::Rewrite(host) => Some(host.clone()),
        };
        if let Some(host) = host {
            headers.insert(HOST, host);
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        request: &mut Outgoing,
        forward: &ForwardContext<'_>,
    ) -> Result<Reply, Failure> {
        let attempt = async {
            match endpoint {
                #[cfg(feature = "client")]
                Endpoint::Remote(remote) => {
                    let plan = self.plan(forward, &request.parts.method);
                    super::client::send(remote, request, forward, &plan).await
                }
                Endpoint::Service(service) => self.call(service, request, forward).await,
            }
        };
        let Some(limit) = self.retry.per_try() else { return attempt.await };
        tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            let error = Error::ReadTimeout { endpoint: Arc::clone(endpoint.name()) };
            Err(Failure { error, delivery: Delivery::Possible, address: None })
        })
    }

    #[cfg(feature = "client")]
    fn plan<'a>(&'a self, forward: &'a ForwardContext<'_>, method: &http::Method) -> Plan<'a> {
        Plan {
            timeouts: forward.timeouts.unwrap_or(&self.config.timeouts),
            keepalive: &self.config.keepalive,
            answers: &self.config.answers,
            repeatable: self.retry.is_repeatable(method),
            replay_bytes: self.retry.replay_bytes(),
        }
    }

    /// Calls a service of this process with what would be sent over the network.
    async fn call(
        &self,
        service: &Arc<ServiceEndpoint>,
        outgoing: &mut Outgoing,
        forward: &ForwardContext<'_>,
    ) -> Result<Reply, Failure> {
        let failed = |error| Failure { error, delivery: Delivery::Possible, address: None };
        let body = outgoing.payload.take(self.retry.replay_bytes()).unwrap_or_default();
        // A service is not asked twice, unless its answer can be taken for a failure.
        let parts = if self.retry.judges_statuses() {
            outgoing.parts.clone()
        } else {
            std::mem::replace(&mut outgoing.parts, Request::default().into_parts().0)
        };
        let mut request = Request::from_parts(parts, body);
        if let Some(target) = forward.target.and_then(|target| target.parse::<Uri>().ok()) {
            *request.uri_mut() = target;
        }
        forward.insert_fields(request.headers_mut());
        if let Some(protocol) = forward.upgrade {
            request.extensions_mut().insert(UpgradeWish(protocol.clone()));
        }
        let endpoint = || Arc::clone(&service.name);
        let response = service.call(request).await.map_err(|_| failed(Error::Panicked { endpoint: endpoint() }))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS && forward.upgrade.is_none() {
            let reason = "switch of protocols that was not asked for";
            return Err(failed(Error::Malformed { endpoint: endpoint(), reason }));
        }
        let (parts, body) = response.into_parts();
        Ok(Reply { head: http::Response::from_parts(parts, ()), body: Answer::Foreign(body), address: None })
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("key", &self.config.key).field("endpoints", &self.endpoints).finish()
    }
}

/// The attempts of one request.
struct Attempts<'a> {
    upstream: &'a Upstream,
    walk: Walk,
    made: u32,
    /// Set when there is a limit on when another one may begin.
    until: Option<Instant>,
    /// How the last one ended.
    last: Option<Box<Result<Reply, Error>>>,
}

enum Again {
    /// After so long.
    After(Duration),
    /// The client gets what there is.
    No,
    /// It would begin too late.
    Late,
}

impl<'a> Attempts<'a> {
    fn new(upstream: &'a Upstream) -> Self {
        let until = upstream.retry.timeout().map(|limit| Instant::now() + limit);
        Self { upstream, walk: Walk::default(), made: 0, until, last: None }
    }

    /// Whether another attempt is made after one that failed or whose status counts as a failure.
    fn again(&mut self, ended: &Result<Reply, Failure>, request: &Outgoing) -> Again {
        self.made += 1;
        let policy = &self.upstream.retry;
        let (retryable, delivery) = match ended {
            Ok(_) => (true, Delivery::Possible),
            Err(failure) => (failure.error.is_retryable(), failure.delivery),
        };
        let may = retryable
            && self.made < policy.attempts()
            && request.payload.is_there()
            && policy.may_resend(&request.parts.method, delivery);
        if !may {
            Again::No
        } else if self.until.is_some_and(|until| Instant::now() > until) {
            Again::Late
        } else if self.upstream.budget.try_retry() {
            Again::After(policy.backoff(self.made))
        } else {
            Again::No
        }
    }

    /// There is no endpoint (left).
    fn exhausted(self, permit: Permit<'_>) -> Result<Response, Error> {
        match self.last.map(|last| *last) {
            None => Err(Error::NoEndpoint { upstream: self.upstream.config.key.clone() }),
            Some(Ok(reply)) => Ok(respond(reply, permit)),
            // Names that do not resolve are left out; when none is left there is no endpoint (upstream.md §2).
            Some(Err(error @ Error::Resolve { .. })) => Err(error),
            Some(Err(last)) => Err(Error::Exhausted { last: Box::new(last) }),
        }
    }
}

/// The response for the client. What is still to be read of it holds its place in the upstream; a tunnel does not.
fn respond(reply: Reply, permit: Permit<'_>) -> Response {
    let Reply { head, body, .. } = reply;
    let (mut parts, ()) = head.into_parts();
    // What the endpoint speaks is between it and us; a host's server would take it for what to speak to the client.
    parts.version = Version::HTTP_11;
    let body = match body {
        Answer::Ready(body) => body,
        #[cfg(feature = "client")]
        Answer::Stream(mut body) => {
            body.hold(permit.into_owned());
            Body::boxed(body)
        }
        #[cfg(feature = "http2")]
        Answer::Multiplexed(mut body) => {
            body.hold(permit.into_owned());
            Body::boxed(body)
        }
        Answer::Foreign(body) if body.as_bytes().is_some() => body,
        Answer::Foreign(body) => Body::stream(Held::new(body, permit.into_owned())),
        Answer::Tunnel(io) => {
            parts.extensions.insert(io);
            Body::empty()
        }
    };
    Response::from_parts(parts, body)
}

fn authority(uri: &Uri) -> Option<HeaderValue> {
    uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
}

fn describe(endpoint: &Endpoint, ended: &Result<Reply, Failure>, took: Duration) -> Attempt {
    let (status, reason, address): (_, _, Option<SocketAddr>) = match ended {
        Ok(reply) => (Some(reply.head.status()), None, reply.address),
        Err(failure) => (None, Some(failure.error.reason()), failure.address),
    };
    Attempt { endpoint: Arc::clone(endpoint.name()), address, status, reason, took }
}
