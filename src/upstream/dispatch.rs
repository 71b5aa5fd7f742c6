//! An upstream, and the way of one request through it: admission, choice of an endpoint, attempts.
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use http::header::{HOST, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Uri, Version};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::admission::{Admission, Permit, Refused};
#[cfg(feature = "client")]
use super::attempt::Plan;
use super::attempt::{Answer, Failure, Outgoing, Reply};
use super::balance::{AffinitySecret, BalancerFactory, Busy, SlowStart, Walk};
use super::budget::Budget;
use super::config::{PassHost, UpstreamConfig};
#[cfg(feature = "client")]
use super::connection_limit::{Bound, ConnectionLimit};
use super::deadline::Deadline;
use super::endpoint::Endpoint;
use super::error::Error;
use super::forward::ForwardContext;
use super::health::HealthWatch;
#[cfg(feature = "client")]
use super::health::Secure;
use super::held::Stay;
#[cfg(feature = "client")]
use super::names::Name;
use super::node::Node;
use super::retry::{Delivery, RetryPolicy};
use super::service::ServiceEndpoint;
use super::set::{EndpointSet, Rules, Slot};
use super::state::States;
use super::upkeep::Upkeep;
use super::watch::Watch;
use crate::held::{Held, HeldStream};
use crate::{Body, BodyError, Request, Response, UpgradeWish, UpgradedIo};

/// One upstream, compiled. Made by [`Upstreams::compile`](super::Upstreams::compile).
pub struct Upstream {
    pub(super) config: UpstreamConfig,
    pub(super) nodes: Box<[Node]>,
    pub(super) calls_services: bool,
    pub(super) factory: Arc<dyn BalancerFactory>,
    /// Where requests can go now.
    pub(super) set: ArcSwap<EndpointSet>,
    /// Held while the next set is made.
    pub(super) refreshing: Mutex<()>,
    /// Told of each new set.
    pub(super) renewed: Arc<Notify>,
    pub(super) states: Arc<States>,
    /// If endpoints are judged.
    pub(super) health: Option<Arc<HealthWatch>>,
    /// For cookies of sessions.
    pub(super) secret: AffinitySecret,
    /// If probes speak TLS.
    #[cfg(feature = "client")]
    pub(super) probe_tls: Option<Arc<dyn Secure>>,
    pub(super) upkeep: Upkeep,
    pub(super) admission: Arc<Admission>,
    #[cfg(feature = "client")]
    pub(super) connections: Option<Arc<ConnectionLimit>>,
    pub(super) budget: Arc<Budget>,
    pub(super) retry: RetryPolicy,
    /// For what the upkeep's tasks hold of it.
    pub(super) me: Weak<Self>,
}

impl Upstream {
    /// What it was built from.
    pub fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Makes the next set of endpoints out of what is known of names and states. Called by whatever changes what may be
    /// picked, never for a request.
    pub(crate) fn refresh(&self) {
        let turn = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.set.load();
        let rules = Rules { config: &self.config, factory: &*self.factory, secret: &self.secret };
        let next = EndpointSet::new(&self.nodes, &self.states, &rules, Some(&before));
        self.tell_panic(before.panics, next.panics);
        self.set.store(Arc::new(next));
        drop(turn);
        self.renewed.notify_waiters();
        if let Some(health) = &self.health {
            health.renewed();
        }
    }

    /// Writes into the log when health begins not to be heeded, and when that is over.
    fn tell_panic(&self, before: bool, now: bool) {
        #[cfg(feature = "tracing")]
        match (before, now) {
            (false, true) => {
                tracing::error!(upstream = %self.config.key, "too few endpoints are usable, so all are used")
            }
            (true, false) => tracing::info!(upstream = %self.config.key, "enough endpoints are usable again"),
            _ => {}
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (before, now);
    }

    /// Begins what it does beside requests, if that is anything. Without a runtime around the first request does it.
    pub(crate) fn keep_up(&self) {
        if self.upkeep.is_due() {
            self.upkeep.start(|tasks| {
                #[cfg(feature = "client")]
                for name in self.nodes.iter().filter_map(Node::name) {
                    tasks.spawn(follow(Arc::clone(name), Weak::clone(&self.me)));
                }
                if let Some(slow_start) = self.config.slow_start {
                    tasks.spawn(grow(slow_start, Weak::clone(&self.me), Arc::clone(&self.renewed)));
                }
            });
        }
        self.states.keeper().take(self);
    }

    /// The endpoints for a request. Waits only while there is none and a name is being looked up.
    async fn endpoints_now(&self, limit: Duration) -> Arc<EndpointSet> {
        if self.upkeep.is_due() {
            self.keep_up();
        }
        let looked_up = async {
            loop {
                let mut renewed = pin!(self.renewed.notified());
                renewed.as_mut().enable();
                let set = self.set.load_full();
                if !set.awaits_names {
                    return set;
                }
                renewed.await;
            }
        };
        tokio::time::timeout(limit, looked_up).await.unwrap_or_else(|_| self.set.load_full())
    }

    /// Why there is no endpoint.
    fn no_endpoint(&self) -> Error {
        #[cfg(feature = "client")]
        for name in self.nodes.iter().filter_map(Node::name) {
            if let Some(source) = name.failure() {
                return Error::Resolve { endpoint: Arc::clone(name.host()), source };
            }
        }
        let upstream = self.config.key.clone();
        let judged = self.health.is_some() && self.set.load().len() > 0;
        if judged { Error::NoneUsable { upstream } } else { Error::NoEndpoint { upstream } }
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
        let total = forward.timeouts.unwrap_or(&self.config.timeouts).total;
        match Deadline::of(&request.parts, total, self.config.max_grpc_timeout) {
            None => self.pass(request, forward, None).await,
            Some(deadline) => Box::pin(self.pass_by(deadline, request, forward)).await,
        }
    }

    /// Passes a request whose time is over at `deadline`, whatever it is at then.
    async fn pass_by(
        &self,
        deadline: Deadline,
        request: &mut Outgoing,
        forward: &ForwardContext<'_>,
    ) -> Result<Response, Error> {
        let passed = tokio::time::timeout_at(deadline.until, self.pass(request, forward, Some(deadline))).await;
        let passed = passed.unwrap_or_else(|_| Err(Error::Deadline { upstream: self.config.key.clone() }));
        passed.map(|response| response.map(|body| deadline.bound(body)))
    }

    async fn pass(
        &self,
        request: &mut Outgoing,
        forward: &ForwardContext<'_>,
        deadline: Option<Deadline>,
    ) -> Result<Response, Error> {
        let permit = self.admission.enter().await.map_err(|refused| self.overloaded(refused))?;
        self.budget.request();
        let mut set = self.set.load_full();
        if self.upkeep.is_due() || set.awaits_names {
            let limit = forward.timeouts.unwrap_or(&self.config.timeouts).connect;
            set = Box::pin(self.endpoints_now(limit)).await;
        }
        let mut attempts = Attempts::new(self, set.len(), deadline);
        loop {
            let next = match set.wanted(&request.parts.headers) {
                Some(wanted) if attempts.made == 0 => set.groups.stay(&mut attempts.walk, wanted),
                _ => None,
            };
            let next = next.or_else(|| set.groups.next(&mut attempts.walk, &request.parts, forward.client));
            let Some(slot) = next.and_then(|index| set.slots.get(index)) else {
                return attempts.exhausted(permit);
            };
            // The connection of an answer that was not good enough may be the one that this attempt has to wait for.
            attempts.last = None;
            // In a block of its own: what is in scope during the pause would be part of every future.
            let pause = {
                let twice = if attempts.made == 0 { self.may_hedge(request, forward) } else { None };
                let Tried { ended, busy } = match twice {
                    None => self.try_at(&set, slot, request, forward, deadline).await,
                    Some(twice) => Box::pin(self.hedge(twice, &set, slot, &mut attempts, forward)).await,
                };
                match ended {
                    Ok(reply) if !self.retry.is_failure(&reply.head) => return Ok(respond(reply, permit, busy)),
                    ended => match attempts.again(&ended, request) {
                        Again::After(pause) => {
                            // Not while it waits: the next pick must not see it at the endpoint that failed.
                            drop(busy);
                            attempts.last = Some(Box::new(ended.map_err(|failure| failure.error)));
                            pause
                        }
                        Again::No => {
                            return ended.map(|reply| respond(reply, permit, busy)).map_err(|failure| failure.error);
                        }
                        Again::Late => {
                            let late = |failure: Failure| Error::RetryDeadline { last: Box::new(failure.error) };
                            return ended.map(|reply| respond(reply, permit, busy)).map_err(late);
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

    /// The `Host` that it gives requests, as far as that can be told beforehand: `None` where they keep theirs, and of
    /// several nodes under `pass_host: node` the first one's.
    pub(crate) fn own_host(&self) -> Option<HeaderValue> {
        match &self.config.pass_host {
            PassHost::Pass => None,
            PassHost::Node => self.set.load().slots.first()?.endpoint.host().cloned(),
            PassHost::Rewrite(host) => Some(host.clone()),
        }
    }

    /// One attempt at an endpoint, and all that is noted of it.
    pub(super) async fn try_at(
        &self,
        set: &EndpointSet,
        slot: &Slot,
        request: &mut Outgoing,
        forward: &ForwardContext<'_>,
        deadline: Option<Deadline>,
    ) -> Tried {
        let endpoint = &slot.endpoint;
        let busy = set.groups.counts_load().then(|| slot.member.load.enter());
        self.set_host(endpoint, forward.host, &mut request.parts);
        if let Some(deadline) = deadline {
            deadline.tell(&mut request.parts.headers);
        }
        let wanted = set.wanted(&request.parts.headers);
        let own = deadline.and_then(Deadline::of_the_upstream);
        let watch = Watch::begin(self, set, slot, own, forward.exchange);
        let mut ended = match endpoint {
            #[cfg(feature = "client")]
            Endpoint::Remote(remote) if self.retry.per_try().is_none() => {
                let plan = self.plan(forward, &request.parts.method);
                super::client::send(remote, request, forward, &plan).await
            }
            // What is less usual is boxed, so that it does not make every request's future larger.
            _ => Box::pin(self.attempt(endpoint, request, forward)).await,
        };
        watch.end(&ended);
        if let (Some(affinity), Ok(reply)) = (&set.affinity, &mut ended) {
            affinity.mark(reply.head.headers_mut(), wanted, slot.index);
        }
        Tried { ended, busy }
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
            connections: self.connections.as_ref().map(|limit| Bound { limit, upstream: self }),
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
        // A service is not asked twice, unless its answer can be taken for a failure, or it can be given up.
        let again = self.retry.judges_answers() || self.retry.per_try().is_some();
        let record = again && self.retry.is_repeatable(&outgoing.parts.method);
        let Some(body) = outgoing.payload.take(self.retry.replay_bytes(), record) else {
            return Err(failed(Error::RequestBody(BodyError::Incomplete)));
        };
        let parts = if again {
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

impl Drop for Upstream {
    fn drop(&mut self) {
        // Who keeps it up waits for news.
        if let Some(health) = &self.health {
            health.renewed();
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("key", &self.config.key).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// An attempt that has ended, and the place at its endpoint that an answer keeps.
pub(super) struct Tried {
    pub(super) ended: Result<Reply, Failure>,
    busy: Option<Busy>,
}

/// The attempts of one request.
pub(super) struct Attempts<'a> {
    upstream: &'a Upstream,
    /// When the time of the request is over.
    pub(super) deadline: Option<Deadline>,
    walk: Walk,
    /// How many there may be.
    most: u32,
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
    fn new(upstream: &'a Upstream, endpoints: usize, deadline: Option<Deadline>) -> Self {
        let until = upstream.retry.timeout().map(|limit| Instant::now() + limit);
        let most = upstream.retry.attempts(endpoints);
        Self { upstream, deadline, walk: Walk::default(), most, made: 0, until, last: None }
    }

    /// Another endpoint for an attempt beside the one that runs, if there may be one.
    pub(super) fn beside<'s>(
        &mut self,
        set: &'s EndpointSet,
        request: &Outgoing,
        forward: &ForwardContext<'_>,
    ) -> Option<&'s Slot> {
        // A single endpoint would be picked again.
        if set.len() < 2 || self.made + 1 >= self.most {
            return None;
        }
        // Picked before it is paid for, and remembered only once it is.
        let mut walk = self.walk.clone();
        let next = set.groups.next(&mut walk, &request.parts, forward.client)?;
        if !self.upstream.budget.try_retry() {
            return None;
        }
        self.walk = walk;
        self.made += 1;
        set.slots.get(next)
    }

    /// Whether another attempt is made after one that failed or whose status counts as a failure.
    fn again(&mut self, ended: &Result<Reply, Failure>, request: &Outgoing) -> Again {
        self.made += 1;
        let policy = &self.upstream.retry;
        let (retryable, delivery) = match ended {
            Ok(_) => (true, Delivery::Possible),
            Err(failure) => (policy.is_retried(&failure.error), failure.delivery),
        };
        let may = retryable
            && self.made < self.most
            && request.payload.is_there()
            && policy.may_resend(&request.parts.method, delivery);
        if !may {
            return Again::No;
        }
        let pause = policy.pause(self.made, ended.as_ref().ok().map(|reply| &reply.head));
        if self.until.is_some_and(|until| until.saturating_duration_since(Instant::now()) < pause) {
            Again::Late
        } else if self.upstream.budget.try_retry() {
            Again::After(pause)
        } else {
            Again::No
        }
    }

    /// There is no endpoint (left).
    fn exhausted(self, permit: Permit<'_>) -> Result<Response, Error> {
        match self.last.map(|last| *last) {
            None => Err(self.upstream.no_endpoint()),
            Some(Ok(reply)) => Ok(respond(reply, permit, None)),
            Some(Err(last)) => Err(Error::Exhausted { last: Box::new(last) }),
        }
    }
}

/// The response for the client. What is still to be read of it holds its place in the upstream; a tunnel does not.
fn respond(reply: Reply, permit: Permit<'_>, busy: Option<Busy>) -> Response {
    let Reply { head, body, .. } = reply;
    let (mut parts, ()) = head.into_parts();
    // What the endpoint speaks is between it and us; a host's server would take it for what to speak to the client.
    parts.version = Version::HTTP_11;
    let body = match body {
        Answer::Ready(body) => body,
        #[cfg(feature = "client")]
        Answer::Stream(mut body) => {
            body.hold(Stay::of(permit, busy));
            Body::boxed(body)
        }
        #[cfg(feature = "http2")]
        Answer::Multiplexed(mut body) => {
            body.hold(Stay::of(permit, busy));
            Body::boxed(body)
        }
        Answer::Foreign(body) if body.as_bytes().is_some() => body,
        Answer::Foreign(body) => Body::stream(Held::new(body, Stay::of(permit, busy))),
        Answer::Tunnel(io) => {
            parts.extensions.insert(match busy {
                Some(busy) => held(&io, busy),
                None => io,
            });
            Body::empty()
        }
    };
    Response::from_parts(parts, body)
}

/// A tunnel that keeps its endpoint busy.
fn held(io: &UpgradedIo, busy: Busy) -> UpgradedIo {
    let Some((stream, early)) = io.take() else { return io.clone() };
    let tunnel = UpgradedIo::new(HeldStream::new(stream, busy), early);
    match io.idle_timeout() {
        Some(limit) => tunnel.with_idle_timeout(limit),
        None => tunnel,
    }
}

/// Has endpoints of an upstream that start slowly get more from time to time.
async fn grow(slow_start: SlowStart, upstream: Weak<Upstream>, renewed: Arc<Notify>) {
    loop {
        let mut newer = pin!(renewed.notified());
        newer.as_mut().enable();
        let Some(step) = upstream.upgrade().map(|upstream| upstream.set.load().next_step(&slow_start)) else { return };
        match step {
            // Until there is a new one.
            None => newer.await,
            Some(step) => tokio::select! {
                () = newer => {}
                () = tokio::time::sleep(step) => {
                    let Some(upstream) = upstream.upgrade() else { return };
                    upstream.refresh();
                }
            },
        }
    }
}

/// Has an upstream know of each change of a name.
#[cfg(feature = "client")]
async fn follow(name: Arc<Name>, upstream: Weak<Upstream>) {
    let mut changes = name.follow();
    loop {
        match upstream.upgrade() {
            Some(upstream) => upstream.refresh(),
            None => return,
        }
        changes.next().await;
    }
}

fn authority(uri: &Uri) -> Option<HeaderValue> {
    uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok())
}
