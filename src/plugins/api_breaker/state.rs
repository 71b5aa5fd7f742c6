//! One breaker: pure arithmetic on a time in milliseconds.
use crate::plugins::limit::Expires;

/// What a block says of its breakers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) failures: u32,
    pub(super) successes: u32,
    /// The longest that a breaker stays open, in milliseconds.
    pub(super) longest: u64,
    /// How many requests at a time are probes; `None` when all pass.
    pub(super) probes: Option<u32>,
    pub(super) volume: Option<Volume>,
}

/// How much must have been asked, and have failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Volume {
    pub(super) requests: u32,
    pub(super) ratio: f64,
    /// In milliseconds.
    pub(super) window: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Pass,
    /// It passes and finds out how the upstream is; [`Breaker::end_probe`] is due when it has.
    Probe,
    /// It does not pass for so many milliseconds, as far as is known.
    Open(u64),
}

/// How an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Healthy,
    Unhealthy,
}

/// A breaker.
#[derive(Clone, Debug, Default)]
pub(super) struct Breaker {
    unhealthy: u32,
    healthy: u32,
    /// How often it opened since it was closed.
    openings: u32,
    /// Until when it is open, if it opened at all.
    open_until: u64,
    /// Probes under way.
    probes: u32,
    counts: Counts,
    forgotten_at: u64,
}

/// How long a request waits for the probes of others.
const WHILE_PROBED: u64 = 1000;

impl Breaker {
    /// Whether a request may pass.
    pub(super) fn admit(&mut self, now: u64, policy: &Policy) -> Admission {
        if self.openings == 0 {
            return Admission::Pass;
        }
        if self.is_open(now) {
            return Admission::Open(self.open_until - now);
        }
        match policy.probes {
            None => Admission::Pass,
            Some(most) if self.probes < most => {
                self.probes += 1;
                Admission::Probe
            }
            Some(_) => Admission::Open(WHILE_PROBED),
        }
    }

    /// A probe came to its end, whatever it found out.
    pub(super) fn end_probe(&mut self) {
        self.probes = self.probes.saturating_sub(1);
    }

    /// Takes note of an answer.
    pub(super) fn count(&mut self, health: Health, is_probe: bool, now: u64, policy: &Policy) {
        // What was asked before it opened tells nothing about the time since.
        if self.is_open(now) {
            return;
        }
        self.forgotten_at = self.forgotten_at.max(now + policy.longest);
        if let Some(volume) = policy.volume {
            self.counts.add(health, now, volume.window);
        }
        match health {
            Health::Unhealthy => {
                self.unhealthy = self.unhealthy.saturating_add(1);
                self.healthy = 0;
                let due = self.unhealthy.is_multiple_of(policy.failures);
                if is_probe || due && policy.volume.is_none_or(|volume| self.counts.reach(volume)) {
                    self.open(now, policy);
                }
            }
            Health::Healthy if self.unhealthy == 0 => {}
            Health::Healthy => {
                self.healthy += 1;
                if self.healthy >= policy.successes {
                    (self.unhealthy, self.healthy, self.openings, self.open_until) = (0, 0, 0, 0);
                }
            }
        }
    }

    fn is_open(&self, now: u64) -> bool {
        self.openings > 0 && self.open_until > now
    }

    fn open(&mut self, now: u64, policy: &Policy) {
        self.openings = self.openings.saturating_add(1);
        let pause = 1000_u64.checked_shl(self.openings.min(32)).unwrap_or(u64::MAX);
        self.open_until = now + pause.min(policy.longest);
        self.forgotten_at = self.forgotten_at.max(self.open_until + policy.longest);
    }
}

impl Expires for Breaker {
    fn until(&self) -> u64 {
        self.forgotten_at
    }
}

/// Answers of two windows, the current one and the one before it.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Number of the current window.
    window: u64,
    current: Tally,
    before: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    all: u32,
    unhealthy: u32,
}

impl Counts {
    fn add(&mut self, health: Health, now: u64, length: u64) {
        let window = now / length.max(1);
        if window != self.window {
            let follows = window == self.window + 1;
            self.before = if follows { self.current } else { Tally::default() };
            self.current = Tally::default();
            self.window = window;
        }
        self.current.all = self.current.all.saturating_add(1);
        self.current.unhealthy = self.current.unhealthy.saturating_add(u32::from(health == Health::Unhealthy));
    }

    fn reach(&self, volume: Volume) -> bool {
        let all = self.current.all.saturating_add(self.before.all);
        let unhealthy = self.current.unhealthy.saturating_add(self.before.unhealthy);
        all >= volume.requests && f64::from(unhealthy) >= volume.ratio * f64::from(all)
    }
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { failures: 3, successes: 2, longest: 10_000, probes: None, volume: None };

    fn fail(breaker: &mut Breaker, now: u64, times: u32, policy: &Policy) {
        (0..times).for_each(|_| breaker.count(Health::Unhealthy, false, now, policy));
    }

    #[test]
    fn it_opens_for_longer_each_time_and_closes_after_successes() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 0, 2, &POLICY);
        assert_eq!(breaker.admit(0, &POLICY), Admission::Pass);
        let mut now = 0;
        for (failures, pause) in [(1, 2000), (3, 4000), (3, 8000), (3, 10_000), (3, 10_000)] {
            fail(&mut breaker, now, failures, &POLICY);
            assert_eq!(breaker.admit(now, &POLICY), Admission::Open(pause));
            assert_eq!(breaker.admit(now + pause - 1, &POLICY), Admission::Open(1));
            now += pause;
            assert_eq!(breaker.admit(now, &POLICY), Admission::Pass);
        }
        breaker.count(Health::Healthy, false, now, &POLICY);
        fail(&mut breaker, now, 1, &POLICY);
        breaker.count(Health::Healthy, false, now, &POLICY);
        breaker.count(Health::Healthy, false, now, &POLICY);
        fail(&mut breaker, now, 3, &POLICY);
        assert_eq!(breaker.admit(now, &POLICY), Admission::Open(2000), "it had been closed");
    }

    #[test]
    fn answers_from_before_it_opened_do_not_count() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 0, 300, &POLICY);
        assert_eq!(breaker.admit(0, &POLICY), Admission::Open(2000));
        (0..9).for_each(|_| breaker.count(Health::Healthy, false, 1999, &POLICY));
        assert_eq!(breaker.admit(1999, &POLICY), Admission::Open(1));
    }

    #[test]
    fn probes_are_few_and_one_that_fails_opens_it_at_once() {
        let policy = Policy { probes: Some(2), ..POLICY };
        let mut breaker = Breaker::default();
        fail(&mut breaker, 0, 3, &policy);
        let admitted: Vec<_> = (0..3).map(|_| breaker.admit(2000, &policy)).collect();
        assert_eq!(admitted, [Admission::Probe, Admission::Probe, Admission::Open(WHILE_PROBED)]);
        breaker.end_probe();
        breaker.count(Health::Unhealthy, true, 2000, &policy);
        assert_eq!(breaker.admit(2000, &policy), Admission::Open(4000));
        breaker.end_probe();
        assert_eq!(breaker.admit(6000, &policy), Admission::Probe);
        for _ in 0..2 {
            breaker.count(Health::Healthy, true, 6000, &policy);
        }
        assert_eq!(breaker.admit(6000, &policy), Admission::Pass);
    }

    #[test]
    fn few_requests_or_few_failures_do_not_open_it() {
        let volume = Volume { requests: 10, ratio: 0.5, window: 1000 };
        let policy = Policy { volume: Some(volume), ..POLICY };
        let mut breaker = Breaker::default();
        fail(&mut breaker, 0, 9, &policy);
        assert_eq!(breaker.admit(0, &policy), Admission::Pass, "nine requests");
        fail(&mut breaker, 2000, 9, &policy);
        assert_eq!(breaker.admit(2000, &policy), Admission::Pass, "the first nine are long over");
        fail(&mut breaker, 3000, 3, &policy);
        assert_eq!(breaker.admit(3000, &policy), Admission::Open(2000));

        let mut breaker = Breaker::default();
        for at in 0..100 {
            let health = if at % 3 == 0 { Health::Unhealthy } else { Health::Healthy };
            breaker.count(health, false, 0, &Policy { successes: 3, ..policy });
        }
        assert_eq!(breaker.admit(0, &policy), Admission::Pass, "a third failed");
    }

    proptest! {
        /// It never stays open for longer than it may, and never opens without a failure.
        #[test]
        fn it_always_recovers(steps in prop::collection::vec((0_u64..5000, any::<Option<bool>>()), 1..200)) {
            let policy = Policy { probes: Some(1), ..POLICY };
            let mut breaker = Breaker::default();
            let (mut now, mut failures) = (0, 0);
            for (pause, answer) in steps {
                now += pause;
                let admission = breaker.admit(now, &policy);
                prop_assert!(failures > 0 || admission == Admission::Pass);
                if let Admission::Open(rest) = admission {
                    prop_assert!(rest > 0 && rest <= policy.longest);
                    continue;
                }
                let is_probe = admission == Admission::Probe;
                if is_probe {
                    breaker.end_probe();
                }
                match answer {
                    Some(true) => breaker.count(Health::Healthy, is_probe, now, &policy),
                    Some(false) => {
                        failures += 1;
                        breaker.count(Health::Unhealthy, is_probe, now, &policy);
                    }
                    None => {}
                }
            }
            prop_assert!(!matches!(breaker.admit(now + policy.longest, &policy), Admission::Open(_)));
        }
    }
}
