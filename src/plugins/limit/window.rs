//! Arithmetic of the windows of `limit-count`.
use super::store::Expires;

/// What a window says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The request may pass.
    pub(crate) admitted: bool,
    /// How many more may pass now.
    pub(crate) remaining: u64,
    /// Milliseconds until the window ends; of a request that a sliding window rejected, until one more fits.
    pub(crate) reset: u64,
}

/// The counter of one key, of a fixed or a sliding window. All times are milliseconds of one clock.
///
/// One counter is charged by one kind only, and a sliding one always with the same width.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    /// When the counter says nothing any more: the end of a fixed window, two widths after the beginning of the current
    /// bucket of a sliding one.
    until: u64,
    used: u64,
    previous: u64,
}

impl Expires for Window {
    fn until(&self) -> u64 {
        self.until
    }
}

impl Window {
    /// Counts a request against a fixed window, which begins with its first request and never moves. A rejected request
    /// counts as well.
    pub(crate) fn fixed(&mut self, now: u64, width: u64, limit: u64) -> Verdict {
        if now >= self.until {
            *self = Self { until: now.saturating_add(width), used: 0, previous: 0 };
        }
        self.used = self.used.saturating_add(1);
        Verdict {
            admitted: self.used <= limit,
            remaining: limit.saturating_sub(self.used),
            reset: self.until.saturating_sub(now),
        }
    }

    /// Counts a request against a sliding window, estimated as the current bucket and that part of the one before it which
    /// the window still covers. A rejected request does not count.
    pub(crate) fn sliding(&mut self, now: u64, width: u64, limit: u64) -> Verdict {
        let width = width.max(1);
        // a task that read the time before another one but comes later is taken to come with the current bucket's beginning
        let now = now.max(self.until.saturating_sub(width.saturating_mul(2)));
        let elapsed = now % width;
        let until = (now - elapsed).saturating_add(width.saturating_mul(2));
        if until > self.until {
            let adjacent = until - self.until == width;
            *self = Self { until, used: 0, previous: if adjacent { self.used } else { 0 } };
        }
        let slide = Slide { width, elapsed, used: self.used, previous: self.previous };
        let admitted = slide.fits(limit);
        self.used = self.used.saturating_add(u64::from(admitted));
        Slide { used: self.used, ..slide }.verdict(admitted, limit)
    }
}

/// Two adjacent buckets at one instant; whole numbers throughout, so that nothing is lost to rounding.
#[derive(Clone, Copy)]
pub(crate) struct Slide {
    pub(crate) width: u64,
    /// Since the beginning of the current bucket; less than `width`.
    pub(crate) elapsed: u64,
    pub(crate) used: u64,
    pub(crate) previous: u64,
}

impl Slide {
    /// What is said of a request that was admitted, and is counted in `used`, or was rejected.
    pub(crate) fn verdict(self, admitted: bool, limit: u64) -> Verdict {
        if admitted {
            let reset = self.width.saturating_sub(self.elapsed);
            Verdict { admitted, remaining: self.remaining(limit), reset }
        } else {
            Verdict { admitted, remaining: 0, reset: self.wait(limit) }
        }
    }

    /// `previous` weighted with the rest of the window, times `width`.
    fn weighted(self) -> u128 {
        u128::from(self.previous) * u128::from(self.width - self.elapsed)
    }

    /// Whether the estimate and one more stay within the limit.
    fn fits(self, limit: u64) -> bool {
        (u128::from(self.used) + 1) * u128::from(self.width) + self.weighted()
            <= u128::from(limit) * u128::from(self.width)
    }

    /// What is left below the limit, rounded down.
    fn remaining(self, limit: u64) -> u64 {
        let width = u128::from(self.width);
        let left = (u128::from(limit) * width).saturating_sub(u128::from(self.used) * width + self.weighted());
        u64::try_from(left / width).unwrap_or(u64::MAX)
    }

    /// Milliseconds until one more fits; the rest of the bucket when it alone is full.
    fn wait(self, limit: u64) -> u64 {
        let rest = self.width - self.elapsed;
        let Some(free) = limit.checked_sub(self.used.saturating_add(1)) else { return rest };
        if self.previous == 0 {
            return rest;
        }
        // fits as soon as previous * (width - elapsed) <= free * width
        let covered = u128::from(free) * u128::from(self.width) / u128::from(self.previous);
        rest.saturating_sub(u64::try_from(covered).unwrap_or(u64::MAX)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fixed_window_begins_with_its_first_request_and_never_moves() {
        let mut window = Window::default();
        let mut at = |now| window.fixed(now, 1000, 2);
        assert_eq!(at(100), Verdict { admitted: true, remaining: 1, reset: 1000 });
        assert_eq!(at(600), Verdict { admitted: true, remaining: 0, reset: 500 });
        assert_eq!(at(1099), Verdict { admitted: false, remaining: 0, reset: 1 });
        assert_eq!(at(1100), Verdict { admitted: true, remaining: 1, reset: 1000 });
    }

    #[test]
    fn a_fixed_window_counts_what_it_rejects() {
        let mut window = Window::default();
        assert!(window.fixed(0, 1000, 1).admitted);
        assert!(!window.fixed(0, 1000, 1).admitted);
        // the limit comes from a template and is higher now: three were counted with this one
        assert!(!window.fixed(0, 1000, 2).admitted);
        assert!(window.fixed(0, 1000, 4).admitted);
    }

    #[test]
    fn a_sliding_window_weighs_the_bucket_before() {
        let mut window = Window::default();
        for _ in 0..10 {
            assert!(window.sliding(999, 1000, 10).admitted);
        }
        assert_eq!(window.sliding(999, 1000, 10), Verdict { admitted: false, remaining: 0, reset: 1 });
        // at 1050 the 10 weigh 9.5: one more would be 10.5
        assert_eq!(window.sliding(1050, 1000, 10), Verdict { admitted: false, remaining: 0, reset: 50 });
        assert_eq!(window.sliding(1100, 1000, 10), Verdict { admitted: true, remaining: 0, reset: 900 });
        // at 1500 the 10 weigh 5, with the 1 above 6
        assert_eq!(window.sliding(1500, 1000, 10), Verdict { admitted: true, remaining: 3, reset: 500 });
        // two buckets later nothing is left
        assert_eq!(window.sliding(3000, 1000, 10), Verdict { admitted: true, remaining: 9, reset: 1000 });
    }

    #[test]
    fn a_sliding_window_does_not_count_what_it_rejects() {
        let mut window = Window::default();
        for _ in 0..100 {
            window.sliding(0, 1000, 1);
        }
        assert_eq!(window.used, 1);
    }

    #[test]
    fn a_task_that_comes_late_counts_in_the_current_bucket() {
        let mut window = Window::default();
        for _ in 0..5 {
            assert!(window.sliding(1999, 1000, 10).admitted);
        }
        assert!(window.sliding(2000, 1000, 10).admitted);
        // 5 of the bucket before in full, 1 + 1 of this one
        assert_eq!(window.sliding(1999, 1000, 10), Verdict { admitted: true, remaining: 3, reset: 1000 });
    }

    #[test]
    fn extreme_numbers_do_not_overflow() {
        const MOST: u64 = (1 << 53) - 1;
        let mut window = Window::default();
        assert!(window.fixed(u64::MAX - 1, u64::MAX, MOST).admitted);
        let mut window = Window::default();
        assert!(window.sliding(5, MOST * 1000, MOST).admitted);
        assert!(window.sliding(u64::MAX - 9, u64::MAX, 2).admitted);
    }

    proptest! {
        /// Whatever the pauses, no window of the counter admits more than `limit`.
        #[test]
        fn fixed_admits_at_most_the_limit(
            pauses in prop::collection::vec(0_u64..700, 1..300), width in 1_u64..2000, limit in 1_u64..20,
        ) {
            let (mut window, mut now, mut begins, mut admitted) = (Window::default(), 0, None, 0);
            for pause in pauses {
                now += pause;
                if begins.is_none_or(|begins| now >= begins + width) {
                    (begins, admitted) = (Some(now), 0);
                }
                let verdict = window.fixed(now, width, limit);
                admitted += u64::from(verdict.admitted);
                prop_assert!(admitted <= limit);
                prop_assert_eq!(verdict.remaining, limit - admitted);
            }
        }

        /// The estimate over the admitted requests never exceeds the limit, and a request is refused only when it would.
        #[test]
        fn sliding_never_goes_over_its_estimate(
            pauses in prop::collection::vec(0_u64..700, 1..300), width in 1_u64..2000, limit in 1_u64..20,
        ) {
            let (mut window, mut now, mut admitted) = (Window::default(), 0, Vec::<u64>::new());
            for pause in pauses {
                now += pause;
                let bucket = now / width;
                let within = |index: u64| admitted.iter().filter(|at| **at / width == index).count() as u64;
                let previous = bucket.checked_sub(1).map_or(0, within);
                let estimate = within(bucket) * width + previous * (width - now % width);
                let verdict = window.sliding(now, width, limit);
                prop_assert_eq!(verdict.admitted, estimate + width <= limit * width);
                if verdict.admitted {
                    prop_assert!(estimate + width <= limit * width);
                    admitted.push(now);
                }
            }
        }

        /// One more fits after the time that a rejection tells, unless the current bucket alone is full.
        #[test]
        fn sliding_tells_when_one_more_fits(
            used in 0_u64..50, previous in 0_u64..50, elapsed in 0_u64..1000, limit in 1_u64..50,
        ) {
            let slide = Slide { width: 1000, elapsed, used, previous };
            if !slide.fits(limit) && used < limit {
                let wait = slide.wait(limit);
                prop_assert!(wait >= 1);
                let later = elapsed + wait;
                if later < 1000 {
                    let fits = |elapsed| Slide { elapsed, ..slide }.fits(limit);
                    prop_assert!(fits(later) && !fits(later - 1));
                }
            }
        }
    }
}
