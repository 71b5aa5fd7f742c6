//! What is noted of one attempt, however it ends.
use std::time::Duration;

use tokio::time::Instant;

use super::Upstream;
use super::attempt::{Failure, Reply};
use super::balance::Latency;
use super::error::Error;
use super::set::{EndpointSet, Slot};
use crate::{Attempt, Exchange};

/// What a failure counts for at least, for a balancer that heeds latency.
const FAILURE: Duration = Duration::from_secs(1);

/// Watches an attempt from the choice of its endpoint to the response head or the failure.
pub(super) struct Watch<'a> {
    upstream: &'a Upstream,
    /// If the limit of requests follows latency.
    sent: Option<Instant>,
    /// If the balancer heeds latency.
    weighed: Option<(&'a Latency, Instant)>,
    /// If a layer wants to know.
    noted: Option<Noted<'a>>,
}

impl<'a> Watch<'a> {
    pub(super) fn begin(
        upstream: &'a Upstream,
        set: &EndpointSet,
        slot: &'a Slot,
        exchange: Option<&'a Exchange>,
    ) -> Self {
        let endpoint = &slot.endpoint;
        let noted = exchange.map(|exchange| Noted {
            exchange,
            began: Instant::now(),
            // What stands here unless something else comes of it: the client went away, time was over, or another attempt
            // was answered.
            attempt: Attempt {
                reason: Some("abandoned"),
                address: endpoint.address(),
                ..Attempt::new(endpoint.name().clone())
            },
        });
        let weighed = set.groups.heeds_latency().then(|| (slot.member.load.latency(), Instant::now()));
        Self { upstream, sent: upstream.admission.clock(), weighed, noted }
    }

    pub(super) fn end(mut self, ended: &Result<Reply, Failure>) {
        if let Some(noted) = &mut self.noted {
            let attempt = &mut noted.attempt;
            (attempt.status, attempt.reason, attempt.address) = match ended {
                Ok(reply) => (Some(reply.head.status()), None, reply.address),
                Err(failure) => (None, Some(failure.error.reason()), failure.address),
            };
        }
        if let Some((latency, began)) = self.weighed {
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
