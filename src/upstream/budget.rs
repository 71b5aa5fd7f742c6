//! The retry budget (security.md RET-05): retries follow the traffic, so that they never become the traffic.
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// What the budget looks back on.
const WINDOW: Duration = Duration::from_secs(10);

/// Allows so many retries as are a share of the requests of the last 10 s, or a few per second if that is more.
///
/// A request costs one atomic addition. Only a retry looks at the time: it slides two windows along, the one before
/// counting for the part of it that is not yet 10 s ago.
#[derive(Debug)]
pub(crate) struct Budget {
    ratio: f64,
    min_per_second: f64,
    requests: AtomicU64,
    windows: Mutex<Windows>,
}

#[derive(Debug)]
struct Windows {
    start: Instant,
    /// Value of `requests` at `start`.
    requests_before: u64,
    /// Requests and retries per window before `start`.
    previous: (f64, f64),
    retries: f64,
}

impl Budget {
    /// A budget of `ratio` of the requests, and at least `min_per_second` retries a second.
    pub(crate) fn new(ratio: f32, min_per_second: u32) -> Self {
        Self {
            ratio: f64::from(ratio),
            min_per_second: f64::from(min_per_second),
            requests: AtomicU64::new(0),
            windows: Mutex::new(Windows {
                start: Instant::now(),
                requests_before: 0,
                previous: (0.0, 0.0),
                retries: 0.0,
            }),
        }
    }

    /// Counts a request.
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Takes one retry out of the budget, if there is one left.
    pub(crate) fn try_retry(&self) -> bool {
        let mut windows = self.windows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Looked at under the lock: a window that was begun by another thread must not be younger.
        let now = Instant::now();
        let total = self.requests.load(Relaxed);
        windows.slide(now, total);
        let passed = now.duration_since(windows.start).as_secs_f64() / WINDOW.as_secs_f64();
        let old = 1.0 - passed;
        let requests = windows.previous.0 * old + (total - windows.requests_before) as f64;
        let retries = windows.previous.1 * old + windows.retries;
        let allowed = (requests * self.ratio).max(self.min_per_second * WINDOW.as_secs_f64());
        let granted = retries + 1.0 <= allowed;
        if granted {
            windows.retries += 1.0;
        }
        granted
    }
}

impl Windows {
    /// Begins a new window when the current one is over. After a longer time without retries its requests count as if
    /// they had come evenly.
    fn slide(&mut self, now: Instant, total: u64) {
        let passed = now.duration_since(self.start);
        if passed < WINDOW {
            return;
        }
        let windows = passed.as_secs_f64() / WINDOW.as_secs_f64();
        let since = (total - self.requests_before) as f64;
        let retries = if windows < 2.0 { self.retries } else { 0.0 };
        *self = Self {
            start: if windows < 2.0 { self.start + WINDOW } else { now },
            requests_before: total,
            previous: (since / windows, retries),
            retries: 0.0,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sec_ret_05_a_failing_upstream_gets_a_fifth_more() {
        let budget = Budget::new(0.2, 3);
        let mut retries = 0;
        for _ in 0..30_000 {
            budget.request();
            retries += u32::from(budget.try_retry());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!((5_000..=6_060).contains(&retries), "{retries}");
    }

    #[tokio::test(start_paused = true)]
    async fn sec_ret_05_a_quiet_upstream_gets_three_a_second() {
        let budget = Budget::new(0.2, 3);
        let granted = (0..100).filter(|_| budget.try_retry()).count();
        assert_eq!(granted, 30);
        tokio::time::advance(Duration::from_secs(30)).await;
        let granted = (0..100).filter(|_| budget.try_retry()).count();
        assert_eq!(granted, 30);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn never_more_than_share_and_minimum(steps in prop::collection::vec((0u64..3000, 0u32..50, 0u32..50), 1..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let budget = runtime.block_on(async { Budget::new(0.2, 3) });
            runtime.block_on(async {
                let (mut requests, mut retries, start) = (0.0, 0.0, Instant::now());
                for (pause, traffic, wanted) in steps {
                    tokio::time::advance(Duration::from_millis(pause)).await;
                    for _ in 0..traffic {
                        budget.request();
                        requests += 1.0;
                    }
                    retries += (0..wanted).filter(|_| budget.try_retry()).count() as f64;
                    // In any span: the share of all traffic, plus the minimum for the time passed and one window.
                    let seconds = start.elapsed().as_secs_f64() + 10.0;
                    prop_assert!(retries <= 2.0 * (requests * 0.2 + seconds * 3.0) + 1.0);
                }
                Ok(())
            })?;
        }
    }
}
