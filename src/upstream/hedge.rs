//! A second attempt beside a slow one, at another endpoint: the first answer wins, the other is given up.
//!
//! It shortens the tail of latencies that one endpoint's pause makes. It is for requests that may be delivered twice and
//! whose body is at hand, counts as a retry, and comes out of the retry budget, so that a slow upstream is not made slower
//! by twice the load.
use std::pin::pin;
use std::time::Duration;

use super::Upstream;
use super::attempt::Outgoing;
use super::dispatch::{Attempts, Tried};
use super::forward::ForwardContext;
use super::set::{EndpointSet, Slot};

/// A request that may be sent twice.
pub(super) struct Twice {
    /// How long the first attempt is alone.
    after: Duration,
    copies: [Outgoing; 2],
}

impl Upstream {
    /// A copy of the request for each of two attempts, if there may be two. Boxed: it would be part of every request's
    /// future.
    pub(super) fn may_hedge(&self, request: &Outgoing, forward: &ForwardContext<'_>) -> Option<Box<Twice>> {
        let after = self.retry.hedge_after()?;
        if forward.upgrade.is_some() || !self.retry.is_repeatable(&request.parts.method) {
            return None;
        }
        let copy = || request.copy(self.retry.replay_bytes());
        Some(Box::new(Twice { after, copies: [copy()?, copy()?] }))
    }

    /// Sends one of the copies to `slot`, and after a while the other one elsewhere.
    pub(super) async fn hedge(
        &self,
        twice: Box<Twice>,
        set: &EndpointSet,
        slot: &Slot,
        attempts: &mut Attempts<'_>,
        forward: &ForwardContext<'_>,
    ) -> Tried {
        let Twice { after, copies: [mut one, mut two] } = *twice;
        let mut first = pin!(self.try_at(set, slot, &mut one, forward, attempts.deadline));
        if let Ok(tried) = tokio::time::timeout(after, first.as_mut()).await {
            return tried;
        }
        let Some(other) = attempts.beside(set, &two, forward) else { return first.await };
        let mut second = pin!(self.try_at(set, other, &mut two, forward, attempts.deadline));
        // A failure of one does not end the other.
        tokio::select! {
            tried = first.as_mut() => if self.is_answered(&tried) { tried } else { second.await },
            tried = second.as_mut() => if self.is_answered(&tried) { tried } else { first.await },
        }
    }

    fn is_answered(&self, tried: &Tried) -> bool {
        tried.ended.as_ref().is_ok_and(|reply| !self.retry.is_failure(&reply.head))
    }
}
