//! Arithmetic of the leaky bucket of `limit-req`.
use super::store::Expires;

/// How fast a bucket leaks and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Leak {
    /// Requests per second, above 0.
    pub(crate) rate: f64,
    /// Requests above the rate, 0 or more.
    pub(crate) burst: f64,
}

/// What a bucket says of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Admission {
    /// It may pass after so many milliseconds; 0 when the rate is kept.
    After(u64),
    /// The bucket is full.
    Rejected,
}

impl Leak {
    /// The excess after a request that comes `elapsed` milliseconds after the one that left `excess`, both in thousandths
    /// of a request; `None` when the request is rejected.
    pub(crate) fn pour(self, excess: f64, elapsed: u64) -> Option<f64> {
        // rate / s * ms is thousandths of a request
        #[expect(clippy::cast_precision_loss, reason = "above 2^53 ms everything has leaked out anyway")]
        let excess = (excess - self.rate * elapsed as f64 + 1000.0).max(0.0);
        (excess <= self.burst * 1000.0).then_some(excess)
    }

    /// Milliseconds that a request waits which left `excess` thousandths.
    pub(crate) fn delay(self, excess: f64) -> u64 {
        // thousandths of a request / (requests / s) is milliseconds; `as` saturates
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, and not below 0")]
        let delay = (excess / self.rate) as u64;
        delay
    }
}

/// The bucket of one key. All times are milliseconds of one clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// When the bucket is as good as new.
    until: u64,
    last: u64,
    excess: f64,
}

impl Expires for Bucket {
    fn until(&self) -> u64 {
        self.until
    }
}

impl Bucket {
    /// Pours a request in. A rejected one changes nothing.
    pub(crate) fn pour(&mut self, now: u64, leak: Leak) -> Admission {
        // a task that read the time before another one but comes later must not move it back
        let now = now.max(self.last);
        let excess = if now >= self.until { Some(0.0) } else { leak.pour(self.excess, now - self.last) };
        let Some(excess) = excess else { return Admission::Rejected };
        // The next request finds no trace of this one when even its own thousand thousandths have leaked out by then.
        let empty = leak.delay(excess + 1000.0).saturating_add(1);
        *self = Self { until: now.saturating_add(empty), last: now, excess };
        Admission::After(leak.delay(excess))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_passes_and_the_burst_waits() {
        let leak = Leak { rate: 10.0, burst: 2.0 };
        let mut bucket = Bucket::default();
        let mut at = |now| bucket.pour(now, leak);
        assert_eq!(at(0), Admission::After(0));
        assert_eq!(at(0), Admission::After(100));
        assert_eq!(at(0), Admission::After(200));
        assert_eq!(at(0), Admission::Rejected);
        assert_eq!(at(0), Admission::Rejected);
        // 100 ms leak one request out; what was rejected has changed nothing
        assert_eq!(at(100), Admission::After(200));
        assert_eq!(at(10_000), Admission::After(0));
    }

    #[test]
    fn without_burst_the_rate_is_a_distance() {
        let leak = Leak { rate: 4.0, burst: 0.0 };
        let mut bucket = Bucket::default();
        let mut at = |now| bucket.pour(now, leak);
        assert_eq!(at(7), Admission::After(0));
        assert_eq!(at(256), Admission::Rejected);
        assert_eq!(at(257), Admission::After(0));
    }

    #[test]
    fn tiny_and_giant_rates_stay_finite() {
        let mut bucket = Bucket::default();
        let slow = Leak { rate: f64::MIN_POSITIVE, burst: 1.0 };
        assert_eq!(bucket.pour(0, slow), Admission::After(0));
        assert_eq!(bucket.pour(1, slow), Admission::After(u64::MAX));
        let fast = Leak { rate: f64::MAX, burst: f64::MAX };
        assert_eq!(Bucket::default().pour(0, fast), Admission::After(0));
    }

    proptest! {
        /// In no span of time do more pass than rate times span, the burst, and the one that the span begins with.
        #[test]
        fn never_above_rate_and_burst(
            pauses in prop::collection::vec(0_u64..400, 1..200), rate in 0.2_f64..50.0, burst in 0_u32..10,
        ) {
            let leak = Leak { rate, burst: f64::from(burst) };
            let (mut bucket, mut now, mut admitted) = (Bucket::default(), 0_u64, Vec::new());
            for pause in pauses {
                now += pause;
                if bucket.pour(now, leak) != Admission::Rejected {
                    admitted.push(now);
                }
            }
            for (first, begins) in admitted.iter().enumerate() {
                for (last, ends) in admitted.iter().enumerate().skip(first) {
                    let most = rate * (ends - begins) as f64 / 1000.0 + leak.burst + 1.0;
                    prop_assert!((last - first + 1) as f64 <= most + 1e-6);
                }
            }
        }

        /// A request is turned away only when the one before it came too close, and waits as long as the bucket is behind.
        #[test]
        fn forgetting_an_empty_bucket_changes_nothing(
            pauses in prop::collection::vec(0_u64..2000, 1..100), rate in 0.5_f64..20.0, burst in 0_u32..4,
        ) {
            let leak = Leak { rate, burst: f64::from(burst) };
            let (mut bucket, mut now) = (Bucket::default(), 1);
            let mut never_forgotten: Option<(f64, u64)> = None;
            for pause in pauses {
                now += pause;
                let expected = match never_forgotten {
                    None => Some(0.0),
                    Some((excess, last)) => leak.pour(excess, now - last),
                };
                if let Some(excess) = expected {
                    never_forgotten = Some((excess, now));
                }
                let told = expected.map_or(Admission::Rejected, |excess| Admission::After(leak.delay(excess)));
                prop_assert_eq!(bucket.pour(now, leak), told);
            }
        }
    }
}
