//! What is noted of one attempt, however it ends.
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::Upstream;
use super::attempt::{Failure, Reply};
use super::balance::Latency;
use super::error::Error;
use super::health::Outcome;
use super::set::{EndpointSet, Slot};
use crate::{Attempt, Exchange};

/// What a failure counts for at least, for a balancer that heeds latency.
const FAILURE: Duration = Duration::from_secs(1);

/// Watches an attempt from the choice of its endpoint to the response head or the failure.
pub(super) struct Watch<'a> {
    upstream: &'a Upstream,
    set: &'a EndpointSet,
    slot: &'a Slot,
    /// When the time that the upstream gives a request is over, if it gives one.
    until: Option<Instant>,
    ended: bool,
    /// If the limit of requests follows latency.
    sent: Option<Instant>,
    /// If the balancer heeds latency.
    weighed: Option<(&'a Latency, Instant)>,
    /// If a layer wants to know. Boxed: it would be part of every request's future.
    noted: Option<Box<Noted<'a>>>,
}

impl<'a> Watch<'a> {
    pub(super) fn begin(
        upstream: &'a Upstream,
        set: &'a EndpointSet,
        slot: &'a Slot,
        until: Option<Instant>,
        exchange: Option<&'a Exchange>,
    ) -> Self {
        let endpoint = &slot.endpoint;
        let noted = exchange.map(|exchange| {
            // What stands here unless something else comes of it: the client went away, time was over, or another attempt
            // was answered.
            let attempt = Attempt {
                reason: Some("abandoned"),
                address: endpoint.address(),
                ..Attempt::new(endpoint.name().clone())
            };
            Box::new(Noted { exchange, began: Instant::now(), attempt })
        });
        let weighed = set.groups.heeds_latency().then(|| (slot.member.load.latency(), Instant::now()));
        Self { upstream, set, slot, until, ended: false, sent: upstream.admission.clock(), weighed, noted }
    }

    pub(super) fn end(mut self, ended: &Result<Reply, Failure>) {
        self.ended = true;
        let seen = ended.as_ref().map(|reply| reply.head.status()).map_err(|failure| &failure.error);
        self.tell_health(seen);
        if let Some(noted) = &mut self.noted {
            let attempt = &mut noted.attempt;
            (attempt.status, attempt.reason, attempt.address) = match ended {
                Ok(reply) => (Some(reply.head.status()), None, reply.address),
                Err(failure) => (None, Some(failure.error.reason()), failure.address),
            };
        }
        // What is the client's fault, or ours, is no latency of the endpoint.
        if let Some((latency, began)) = self.weighed
            && Outcome::of(seen).is_some()
        {
            let now = Instant::now();
            let took = now - began;
            // Without it an endpoint that refuses at once would be the fastest one, and be picked again and again.
            latency.record(if ended.is_ok() { took } else { took.max(FAILURE) }, now);
        }
        // An endpoint that fails at once is not a fast one.
        let shows_latency = match ended {
            Ok(reply) => !reply.head.status().is_server_error(),
            Err(failure) => matches!(failure.error, Error::ReadTimeout { .. } | Error::SendTimeout { .. }),
        };
        if shows_latency {
            self.upstream.admission.answered(self.sent);
        }
    }

    fn tell_health(&self, seen: Result<StatusCode, &Error>) {
        if let Some(health) = &self.upstream.health
            && health.hears_traffic()
        {
            health.observe(self.set, self.slot, seen);
        }
    }
}

/// An attempt that was given up has lasted so long at least. It says nothing of the endpoint's health, for a client may go
/// away when it likes, unless it was the upstream's own time that was over.
impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let now = Instant::now();
        if let Some((latency, began)) = self.weighed {
            latency.record(now - began, now);
        }
        if self.until.is_some_and(|until| now >= until) {
            self.tell_health(Err(&Error::ReadTimeout { endpoint: Arc::clone(&self.slot.member.name) }));
        }
    }
}

/// The entry of a layer's list, written when it is dropped.
struct Noted<'a> {
    exchange: &'a Exchange,
    began: Instant,
    attempt: Attempt,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.attempt.took = self.began.elapsed();
        self.exchange.add_attempt(self.attempt.clone());
    }
}
