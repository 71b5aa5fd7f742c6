//! Which requests may be sent again, and when (upstream.md §4, security.md RET-01 to RET-06).
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, Response, StatusCode};

use super::config::{RetriedFailures, RetryConfig};
use super::error::Error;
use crate::grpc;

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

    /// Whether another endpoint may do better where one failed like this.
    pub(crate) fn is_retried(&self, error: &Error) -> bool {
        let RetriedFailures { connect, reset, timeout } = self.config.failures;
        match error {
            Error::Resolve { .. }
            | Error::Connect { .. }
            | Error::ConnectTimeout { .. }
            | Error::Tls { .. }
            | Error::TlsOfHost { .. }
            | Error::TlsTimeout { .. } => connect,
            Error::SendTimeout { .. } | Error::ReadTimeout { .. } => timeout,
            _ => error.is_retryable() && reset,
        }
    }

    /// Whether an endpoint's own answer counts as a failure.
    pub(crate) fn is_failure(&self, answer: &Response<()>) -> bool {
        self.config.statuses.contains(&answer.status())
            || !self.config.grpc_statuses.is_empty()
                && grpc_status(answer).is_some_and(|status| self.config.grpc_statuses.contains(&status))
    }

    /// Whether any answer of an endpoint counts as a failure.
    pub(crate) fn judges_answers(&self) -> bool {
        !self.config.statuses.is_empty() || !self.config.grpc_statuses.is_empty()
    }

    /// When a second attempt goes alongside the first.
    pub(crate) fn hedge_after(&self) -> Option<Duration> {
        self.config.hedge_after
    }

    /// The wait before retry number `retry` (from 1): the back-off, or as long as a 429 or 503 says by `Retry-After` if
    /// that is more, but never longer than any retry waits.
    pub(crate) fn pause(&self, retry: u32, answer: Option<&Response<()>>) -> Duration {
        let told = answer.and_then(retry_after).unwrap_or_default().min(self.config.backoff_max);
        self.backoff(retry).max(told)
    }

    /// A random part of a bound that doubles ("full jitter").
    fn backoff(&self, retry: u32) -> Duration {
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

/// `grpc-status` of a response without a message.
fn grpc_status(answer: &Response<()>) -> Option<u8> {
    answer.headers().get(grpc::STATUS)?.to_str().ok()?.parse().ok()
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3). As a date it is not read: the endpoint's clock may be wrong.
fn retry_after(answer: &Response<()>) -> Option<Duration> {
    if !matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let seconds = answer.headers().get(RETRY_AFTER).map(HeaderValue::to_str)?.ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn answer(status: u16, field: (&'static str, &'static str)) -> Response<()> {
        Response::builder().status(status).header(field.0, field.1).body(()).unwrap()
    }

    #[test]
    fn what_is_named_is_retried_and_by_default_every_failure() {
        let refused = Error::Connect { endpoint: "a:1".into(), source: io::ErrorKind::ConnectionRefused.into() };
        let closed = Error::Closed { endpoint: "a:1".into(), source: None };
        let late = Error::ReadTimeout { endpoint: "a:1".into() };
        let malformed = Error::Malformed { endpoint: "a:1".into(), reason: "x" };
        let judge = |failures| {
            let policy = RetryPolicy::new(RetryConfig { failures, ..RetryConfig::default() });
            [&refused, &closed, &late, &malformed].map(|error| policy.is_retried(error))
        };
        assert_eq!(judge(RetriedFailures::default()), [true, true, true, false]);
        let only_connect = RetriedFailures { connect: true, reset: false, timeout: false };
        assert_eq!(judge(only_connect), [true, false, false, false]);
    }

    #[test]
    fn answers_fail_by_their_status_or_that_of_the_call() {
        let config =
            RetryConfig { statuses: vec![StatusCode::BAD_GATEWAY], grpc_statuses: vec![14], ..RetryConfig::default() };
        let policy = RetryPolicy::new(config);
        for (status, grpc, fails) in [(502, "0", true), (503, "0", false), (200, "14", true), (200, "x", false)] {
            assert_eq!(policy.is_failure(&answer(status, ("grpc-status", grpc))), fails, "{status} {grpc}");
        }
    }

    #[test]
    fn sec_ret_04_a_retry_after_is_heard_within_bounds() {
        let policy = RetryPolicy::new(RetryConfig { backoff_base: Duration::ZERO, ..RetryConfig::default() });
        let pause = |status, text| policy.pause(1, Some(&answer(status, ("retry-after", text)))).as_millis();
        assert_eq!((pause(503, "1"), pause(429, "3600"), pause(503, "0"), pause(500, "1")), (1000, 1000, 0, 0));
        assert_eq!((pause(503, "-1"), pause(503, "Fri, 31 Dec 1999 23:59:59 GMT"), pause(503, "1.5")), (0, 0, 0));
    }

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
