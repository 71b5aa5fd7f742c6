//! When a certificate is renewed, and when what failed is tried again. Pure.
use std::time::{Duration, SystemTime};

const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
}

impl Life {
    fn length(self) -> Duration {
        self.to.duration_since(self.from).unwrap_or_default()
    }

    /// When it is renewed: when `share` of its life is left, or up to a tenth of that earlier by `lot` (0–1), so that what
    /// was ordered together is not renewed at one moment.
    pub(super) fn renewal(self, share: f64, lot: f64) -> SystemTime {
        let left = self.length().mul_f64((share * (1.0 + 0.1 * lot)).clamp(0.0, 1.0));
        self.to.checked_sub(left).unwrap_or(self.from)
    }

    /// How long after it came another one may be ordered at the soonest, whatever the dates say: a wrong clock, or an
    /// authority of very short lives, must not lead to an order after the other.
    pub(super) fn rest(self) -> Duration {
        (self.length() / 20).clamp(FIRST_PAUSE, Duration::from_secs(60 * 60))
    }
}

/// How long after the `failures`-th failure in a row the next try is due: from a minute, doubled each time, up to six
/// hours, of which `lot` (0–1) takes up to a half away. What the authority asked for (`Retry-After`) is kept to.
pub(super) fn pause(failures: u32, asked: Option<Duration>, lot: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let own = doubled.min(LONGEST_PAUSE).mul_f64(1.0 - 0.5 * lot.clamp(0.0, 1.0));
    // Nobody is believed who asks for more than a day.
    own.max(asked.unwrap_or_default().min(Duration::from_secs(24 * 60 * 60)))
}

/// A number from 0 to 1, another one each time.
pub(super) fn lot() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_third_of_the_life_is_left() {
        let from = SystemTime::UNIX_EPOCH;
        let life = Life { from, to: from + 90 * DAY };
        assert_eq!(life.renewal(1.0 / 3.0, 0.0), from + 60 * DAY);
        assert_eq!(life.renewal(1.0 / 3.0, 1.0), from + 57 * DAY);
        let backwards = Life { from: life.to, to: life.from };
        assert_eq!(backwards.renewal(0.3, 0.5), from);
    }

    #[test]
    fn pauses_grow_to_six_hours() {
        let minutes = |failures, asked| pause(failures, asked, 0.0).as_secs() / 60;
        assert_eq!(
            [1, 2, 3, 9, 10, 40, u32::MAX].map(|failures| minutes(failures, None)),
            [1, 2, 4, 256, 360, 360, 360]
        );
        assert_eq!(minutes(1, Some(2 * DAY / 48)), 60, "what is asked for is kept to");
        assert_eq!(minutes(1, Some(100 * DAY)), 24 * 60);
        assert_eq!(pause(1, None, 1.0), Duration::from_secs(30));
    }

    proptest! {
        #[test]
        fn a_renewal_lies_within_the_life(seconds in 0_u64..100_000_000, share in 0.0..1.0_f64, lot in 0.0..1.0_f64) {
            let from = SystemTime::UNIX_EPOCH + DAY;
            let life = Life { from, to: from + Duration::from_secs(seconds) };
            let renewal = life.renewal(share, lot);
            prop_assert!(renewal >= life.from && renewal <= life.to);
            prop_assert!(pause(seconds as u32, None, lot) <= LONGEST_PAUSE);
            prop_assert!(pause(seconds as u32, None, lot) >= FIRST_PAUSE / 2);
        }
    }
}
