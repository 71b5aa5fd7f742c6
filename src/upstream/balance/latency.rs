//! How long an endpoint takes to answer, of late.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// In so many milliseconds the past weighs 1/e of what it did (upstream.md §3.4).
const DECAY_MS: f32 = 10_000.0;

/// What is older is forgotten.
const FORGOTTEN_MS: u32 = 60_000;

/// The exponentially decayed latency of one endpoint (upstream.md §3.4).
///
/// One atomic word: the score in milliseconds and when it was written, in milliseconds since `began`. Recording is one
/// exchange; whoever loses it leaves his sample out, and within one millisecond only the first counts, so at most a
/// thousand a second are taken of a window of ten.
#[derive(Debug)]
pub struct Latency {
    began: Instant,
    word: AtomicU64,
}

/// A [`Latency`] at one moment. The default is that of an endpoint that nothing is known of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Score {
    pub(super) milliseconds: f32,
    pub(super) written: u32,
}

impl Default for Latency {
    fn default() -> Self {
        Self { began: Instant::now(), word: AtomicU64::new(0) }
    }
}

impl Latency {
    /// Takes in that a request which ended at `now` took so long: `s·e^(−Δt/10 s) + took·(1 − e^(−Δt/10 s))`.
    pub fn record(&self, took: Duration, now: Instant) {
        let word = self.word.load(Relaxed);
        let (is, now) = (Score::of(word), self.since_began(now));
        // Not only at the same millisecond: who was a little earlier may come a little later.
        if word != 0 && is.written.wrapping_sub(now) < FORGOTTEN_MS {
            return;
        }
        let kept = if word == 0 { 0.0 } else { decay(now.wrapping_sub(is.written)) };
        let milliseconds = is.milliseconds * kept + took.as_secs_f32() * 1e3 * (1.0 - kept);
        let new = Score { milliseconds, written: now };
        // Lost: another request has just been taken in.
        let _ = self.word.compare_exchange(word, new.word(), Relaxed, Relaxed);
    }

    /// What it is at `now`: it decays towards zero while nothing is recorded, and is zero after 60 s.
    pub fn at(&self, now: Instant) -> Duration {
        let score = self.score();
        let passed = self.since_began(now).wrapping_sub(score.written);
        if passed >= FORGOTTEN_MS {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f32(score.milliseconds * decay(passed) / 1e3).unwrap_or_default()
    }

    pub(super) fn score(&self) -> Score {
        Score::of(self.word.load(Relaxed))
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Wraps after 49 days: a score that is not looked at for so long is fresh again for a minute.
    fn since_began(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.began).as_millis() as u32
    }
}

impl Score {
    fn of(word: u64) -> Self {
        Self { milliseconds: f32::from_bits((word >> 32) as u32), written: word as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.milliseconds.to_bits()) << 32 | u64::from(self.written)
    }

    /// Whether it will be lower than `other` at any later moment. Both decay alike, so there is no need to ask for the time:
    /// the older one is brought to the moment of the newer one, or is forgotten.
    ///
    /// `later` is by how much the clock of `other` began later than this one's.
    pub(super) fn is_below(self, other: Self, later: u32) -> bool {
        let newer = other.written.wrapping_add(later).wrapping_sub(self.written) as i32;
        let aged = |score: Self, by: u32| if by >= FORGOTTEN_MS { 0.0 } else { score.milliseconds * decay(by) };
        if newer >= 0 {
            aged(self, newer.unsigned_abs()) < other.milliseconds
        } else {
            self.milliseconds < aged(other, newer.unsigned_abs())
        }
    }
}

fn decay(milliseconds: u32) -> f32 {
    (-(milliseconds as f32) / DECAY_MS).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn milliseconds(latency: &Latency, now: Instant) -> f32 {
        latency.at(now).as_secs_f32() * 1e3
    }

    #[test]
    fn it_follows_the_formula() {
        let latency = Latency::default();
        let began = latency.began();
        assert_eq!(latency.at(began + SECOND), Duration::ZERO);
        latency.record(SECOND, began + SECOND);
        assert_eq!(milliseconds(&latency, began + SECOND), 1000.0);
        latency.record(SECOND / 2, began + 11 * SECOND);
        let expected = 1000.0 / std::f32::consts::E + 500.0 * (1.0 - 1.0 / std::f32::consts::E);
        assert!((milliseconds(&latency, began + 11 * SECOND) - expected).abs() < 0.1);
        assert!((milliseconds(&latency, began + 21 * SECOND) - expected / std::f32::consts::E).abs() < 0.1);
        assert_eq!(latency.at(began + 71 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_sample_that_comes_late_changes_nothing() {
        let latency = Latency::default();
        let now = latency.began() + SECOND;
        latency.record(SECOND, now);
        latency.record(9 * SECOND, now);
        latency.record(9 * SECOND, now - Duration::from_millis(3));
        assert_eq!(milliseconds(&latency, now), 1000.0);
    }

    #[test]
    fn scores_are_compared_as_they_will_be_at_one_moment() {
        let score = |milliseconds, written| Score { milliseconds, written };
        for (one, other, below) in [
            (score(1.0, 5), score(2.0, 5), true),
            (score(2.0, 5), score(1.0, 5), false),
            // 2 · e^-1 < 1, 4 · e^-1 > 1
            (score(2.0, 5), score(1.0, 10_005), true),
            (score(4.0, 5), score(1.0, 10_005), false),
            (score(1.0, 10_005), score(2.0, 5), false),
            // forgotten
            (score(1e9, 5), score(1.0, 60_005), true),
            (Score::default(), score(1.0, 5), true),
            (Score::default(), Score::default(), false),
        ] {
            assert_eq!(one.is_below(other, 0), below, "{one:?} {other:?}");
        }
        // The other's clock began 10 s later, so what it calls 5 is 10,005 of this one's.
        assert!(score(2.0, 5).is_below(score(1.0, 5), 10_000));
        assert!(!score(1.0, 5).is_below(score(2.0, 5), 10_000_u32.wrapping_neg()));
    }
}
