//! Which requests may be sent again, and when (upstream.md §4, security.md RET-01 to RET-06).
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use http::{Method, StatusCode};

use super::config::RetryConfig;

/// What an endpoint may have seen of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Certainly no byte of it, or the endpoint said that it did not look at it.
    None,
    /// Perhaps all of it.
    Possible,
}

/// The rules of one upstream.
#[derive(Clone, Debug)]
pub(crate) struct RetryPolicy {
    config: RetryConfig,
}

impl RetryPolicy {
    pub(crate) fn new(config: RetryConfig) -> Self {
        Self { config }
    }

    /// Attempts per request with so many endpoints, the first included.
    pub(crate) fn attempts(&self, endpoints: usize) -> u32 {
        self.config.retries.unwrap_or(u32::from(endpoints > 1)).saturating_add(1)
    }

    /// The time for one attempt, when it is bounded.
    pub(crate) fn per_try(&self) -> Option<Duration> {
        self.config.per_try
    }

    /// How long after the first attempt another one may begin.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        (!self.config.timeout.is_zero()).then_some(self.config.timeout)
    }

    /// The largest body at hand that is kept for another attempt.
    pub(crate) fn replay_bytes(&self) -> usize {
        self.config.replay_bytes
    }

    /// Whether `method` may be delivered twice.
    pub(crate) fn is_repeatable(&self, method: &Method) -> bool {
        is_idempotent(method) || self.config.methods.contains(method)
    }

    /// Whether a request that failed may be sent again, its body being at hand.
    pub(crate) fn may_resend(&self, method: &Method, delivery: Delivery) -> bool {
        delivery == Delivery::None || self.is_repeatable(method)
    }

    /// Whether an endpoint's own answer counts as a failure.
    pub(crate) fn is_failure(&self, status: StatusCode) -> bool {
        self.config.statuses.contains(&status)
    }

    /// Whether any answer of an endpoint counts as a failure.
    pub(crate) fn judges_statuses(&self) -> bool {
        !self.config.statuses.is_empty()
    }

    /// The wait before retry number `retry` (from 1): a random part of a bound that doubles ("full jitter").
    pub(crate) fn backoff(&self, retry: u32) -> Duration {
        let doubled = 1u32.checked_shl(retry.saturating_sub(1)).unwrap_or(u32::MAX);
        let bound = self.config.backoff_base.saturating_mul(doubled).min(self.config.backoff_max);
        let random = RandomState::new().hash_one(retry) >> 32;
        bound.mul_f64(random as f64 / f64::from(u32::MAX))
    }
}

/// The methods of RET-01. Any other, known or not, may be one that is not safe to repeat.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_ret_01_only_listed_methods_are_sent_twice() {
        let policy = RetryPolicy::new(RetryConfig { methods: vec![Method::PATCH], ..RetryConfig::default() });
        for (method, twice) in [("GET", true), ("PUT", true), ("PATCH", true), ("POST", false), ("LOCK", false)] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(policy.may_resend(&method, Delivery::Possible), twice, "{method}");
            assert!(policy.may_resend(&method, Delivery::None));
        }
    }

    #[test]
    fn sec_ret_04_one_retry_when_there_is_another_node() {
        let attempts =
            |retries, nodes| RetryPolicy::new(RetryConfig { retries, ..RetryConfig::default() }).attempts(nodes);
        assert_eq!((attempts(None, 1), attempts(None, 2), attempts(None, 9)), (1, 2, 2));
        assert_eq!((attempts(Some(0), 9), attempts(Some(3), 1)), (1, 4));
    }

    #[test]
    fn sec_ret_04_back_off_is_random_and_bounded() {
        let policy = RetryPolicy::new(RetryConfig::default());
        for retry in 1..40 {
            let bound = Duration::from_millis(25 << (retry - 1).min(6)).min(Duration::from_secs(1));
            assert!(policy.backoff(retry) <= bound);
        }
        let waits: std::collections::HashSet<_> = (0..20).map(|_| policy.backoff(5)).collect();
        assert!(waits.len() > 10);
    }
}
