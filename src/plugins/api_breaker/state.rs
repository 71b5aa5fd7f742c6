//! One breaker: pure arithmetic on a time in milliseconds.
use super::counts::{Counts, Volume};
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

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It passes; [`Breaker::count`] wants to see this again with the answer.
    Pass(Pass),
    /// It does not pass for so many milliseconds, as far as is known.
    Open(u64),
}

/// As what a request passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pass {
    /// How often the breaker had opened by then.
    opened: u32,
    /// The round of probes that it belongs to, if it finds out how the upstream is; [`Breaker::end_probe`] is due when
    /// it has.
    pub(super) round: Option<u32>,
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
    /// How often it opened at all.
    opened: u32,
    /// Until when it is open, if it opened at all.
    open_until: u64,
    probes: Probes,
    counts: Counts,
    forgotten_at: u64,
}

/// Probes under way.
#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    /// Counts up whenever those under way are given up.
    round: u32,
    /// How many of this round there are.
    under_way: u32,
    /// When the last one began.
    begun: u64,
}

/// How long a request waits for the probes of others.
const WHILE_PROBED: u64 = 1000;

/// How long others wait for a probe without an answer: a client who sends slowly, or an upstream that hangs, is not to
/// keep the breaker shut for everybody.
const PATIENCE: u64 = 10_000;

impl Breaker {
    /// Whether a request may pass.
    pub(super) fn admit(&mut self, now: u64, policy: &Policy) -> Admission {
        let pass = Pass { opened: self.opened, round: None };
        if self.openings == 0 {
            return Admission::Pass(pass);
        }
        if self.is_open(now) {
            return Admission::Open(self.open_until - now);
        }
        match policy.probes {
            None => Admission::Pass(pass),
            Some(most) => match self.probes.begin(most, now, policy) {
                Some(round) => Admission::Pass(Pass { round: Some(round), ..pass }),
                None => Admission::Open(WHILE_PROBED),
            },
        }
    }

    /// A probe came to its end, whatever it found out.
    pub(super) fn end_probe(&mut self, round: u32) {
        if self.probes.round == round {
            self.probes.under_way = self.probes.under_way.saturating_sub(1);
        }
    }

    /// Takes note of an answer.
    pub(super) fn count(&mut self, health: Health, pass: Pass, now: u64, policy: &Policy) {
        // What was asked before it opened tells nothing about the time since.
        if self.is_open(now) || pass.opened != self.opened {
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
                if pass.round.is_some() || self.is_due(policy) {
                    self.open(now, policy);
                }
            }
            Health::Healthy if self.unhealthy == 0 => {}
            Health::Healthy => {
                self.healthy += 1;
                if self.healthy >= policy.successes {
                    self.close();
                }
            }
        }
    }

    /// Whether an unhealthy answer opens it.
    fn is_due(&self, policy: &Policy) -> bool {
        let in_a_row = self.unhealthy.is_multiple_of(policy.failures);
        match policy.volume {
            None => in_a_row,
            // A share is one of all answers: healthy ones between count for it, and do not begin it anew.
            Some(volume) if volume.ratio > 0.0 && self.openings == 0 => {
                self.counts.unhealthy() >= policy.failures && self.counts.reach(volume)
            }
            Some(volume) => in_a_row && self.counts.reach(volume),
        }
    }

    fn close(&mut self) {
        if self.openings > 0 {
            self.counts = Counts::default();
        }
        (self.unhealthy, self.healthy, self.openings, self.open_until) = (0, 0, 0, 0);
    }

    fn is_open(&self, now: u64) -> bool {
        self.openings > 0 && self.open_until > now
    }

    fn open(&mut self, now: u64, policy: &Policy) {
        self.openings = self.openings.saturating_add(1);
        self.opened = self.opened.wrapping_add(1);
        self.probes = Probes { round: self.probes.round.wrapping_add(1), ..Probes::default() };
        let pause = 1000_u64.checked_shl(self.openings.min(32)).unwrap_or(u64::MAX);
        self.open_until = now + pause.min(policy.longest);
        self.forgotten_at = self.forgotten_at.max(self.open_until + policy.longest);
    }
}

impl Probes {
    /// The round of a probe that may begin.
    fn begin(&mut self, most: u32, now: u64, policy: &Policy) -> Option<u32> {
        let patience = PATIENCE.min(policy.longest);
        if self.under_way >= most {
            if now.saturating_sub(self.begun) < patience {
                return None;
            }
            (self.round, self.under_way) = (self.round.wrapping_add(1), 0);
        }
        self.under_way += 1;
        self.begun = now;
        Some(self.round)
    }
}

impl Expires for Breaker {
    fn until(&self) -> u64 {
        self.forgotten_at
    }
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { failures: 3, successes: 2, longest: 10_000, probes: None, volume: None };

    fn passed(breaker: &mut Breaker, now: u64, policy: &Policy) -> Pass {
        match breaker.admit(now, policy) {
            Admission::Pass(pass) => pass,
            open => panic!("{open:?}"),
        }
    }

    /// Requests that pass and are answered at once.
    fn answer(breaker: &mut Breaker, health: Health, now: u64, policy: &Policy) {
        let pass = passed(breaker, now, policy);
        pass.round.into_iter().for_each(|round| breaker.end_probe(round));
        breaker.count(health, pass, now, policy);
    }

    fn fail(breaker: &mut Breaker, now: u64, times: u32, policy: &Policy) {
        (0..times).for_each(|_| answer(breaker, Health::Unhealthy, now, policy));
    }

    #[test]
    fn it_opens_for_longer_each_time_and_closes_after_successes() {
        let mut breaker = Breaker::default();
        fail(&mut breaker, 0, 2, &POLICY);
        let mut now = 0;
        for (failures, pause) in [(1, 2000), (3, 4000), (3, 8000), (3, 10_000), (3, 10_000)] {
            fail(&mut breaker, now, failures, &POLICY);
            assert_eq!(breaker.admit(now, &POLICY), Admission::Open(pause));
            assert_eq!(breaker.admit(now + pause - 1, &POLICY), Admission::Open(1));
            now += pause;
            passed(&mut breaker, now, &POLICY);
        }
        answer(&mut breaker, Health::Healthy, now, &POLICY);
        fail(&mut breaker, now, 1, &POLICY);
        answer(&mut breaker, Health::Healthy, now, &POLICY);
        answer(&mut breaker, Health::Healthy, now, &POLICY);
        fail(&mut breaker, now, 3, &POLICY);
        assert_eq!(breaker.admit(now, &POLICY), Admission::Open(2000), "it had been closed");
    }

    #[test]
    fn what_was_asked_before_it_opened_does_not_count() {
        let mut breaker = Breaker::default();
        let before = passed(&mut breaker, 0, &POLICY);
        fail(&mut breaker, 0, 3, &POLICY);
        for now in [1999, 2000] {
            (0..9).for_each(|_| breaker.count(Health::Healthy, before, now, &POLICY));
            (0..9).for_each(|_| breaker.count(Health::Unhealthy, before, now, &POLICY));
        }
        assert_eq!(breaker.admit(1999, &POLICY), Admission::Open(1));
        fail(&mut breaker, 2000, 3, &POLICY);
        assert_eq!(breaker.admit(2000, &POLICY), Admission::Open(4000), "it opened for the second time");
    }

    #[test]
    fn probes_are_few_and_one_that_fails_opens_it_at_once() {
        let policy = Policy { probes: Some(2), ..POLICY };
        let mut breaker = Breaker::default();
        fail(&mut breaker, 0, 3, &policy);
        let [first, second] = [(); 2].map(|()| passed(&mut breaker, 2000, &policy));
        assert_eq!((first.round.is_some(), breaker.admit(2000, &policy)), (true, Admission::Open(WHILE_PROBED)));
        breaker.end_probe(first.round.unwrap());
        breaker.count(Health::Unhealthy, first, 2000, &policy);
        assert_eq!(breaker.admit(2000, &policy), Admission::Open(4000));
        let third = passed(&mut breaker, 6000, &policy);
        breaker.end_probe(second.round.unwrap());
        let fourth = passed(&mut breaker, 6000, &policy);
        assert_eq!(breaker.admit(6000, &policy), Admission::Open(WHILE_PROBED), "the second is none of these");
        for probe in [third, fourth] {
            breaker.count(Health::Healthy, probe, 6000, &policy);
        }
        assert_eq!(passed(&mut breaker, 6000, &policy).round, None, "it is closed");
    }

    #[test]
    fn a_probe_without_an_answer_keeps_nobody_out_for_long() {
        for (longest, patience) in [(300_000, 10_000), (3000, 3000)] {
            let policy = Policy { probes: Some(1), longest, ..POLICY };
            let mut breaker = Breaker::default();
            fail(&mut breaker, 0, 3, &policy);
            let silent = passed(&mut breaker, 2000, &policy);
            assert_eq!(breaker.admit(2000 + patience - 1, &policy), Admission::Open(WHILE_PROBED));
            let next = passed(&mut breaker, 2000 + patience, &policy);
            breaker.end_probe(silent.round.unwrap());
            assert_eq!(breaker.admit(2000 + patience, &policy), Admission::Open(WHILE_PROBED), "one at a time");
            breaker.end_probe(next.round.unwrap());
            (0..2).for_each(|_| breaker.count(Health::Healthy, next, 2000 + patience, &policy));
            assert_eq!(passed(&mut breaker, 2000 + patience, &policy).round, None, "it is closed");
        }
    }

    #[test]
    fn few_requests_or_few_failures_do_not_open_it() {
        let volume = Volume { requests: 10, ratio: 0.5, window: 1000 };
        let policy = Policy { volume: Some(volume), ..POLICY };
        let mut breaker = Breaker::default();
        // Nine requests each, and the first nine are long over.
        fail(&mut breaker, 0, 9, &policy);
        fail(&mut breaker, 2000, 9, &policy);
        fail(&mut breaker, 3000, 1, &policy);
        assert_eq!(breaker.admit(3000, &policy), Admission::Open(2000));
        fail(&mut breaker, 5000, 3, &policy);
        answer(&mut breaker, Health::Healthy, 5000, &policy);
        answer(&mut breaker, Health::Healthy, 5000, &policy);
        fail(&mut breaker, 5000, 9, &policy);
        assert_eq!(breaker.admit(5000, &policy), Admission::Pass(Pass { opened: 1, round: None }), "counts began anew");
    }

    #[test]
    fn a_share_alone_decides_however_failures_are_spread() {
        for (every, ratio, opens) in [(10, 0.1, true), (10, 0.2, false), (3, 0.5, false), (2, 0.5, true)] {
            let volume = Volume { requests: 40, ratio, window: 10_000 };
            let policy = Policy { successes: 3, volume: Some(volume), ..POLICY };
            let mut breaker = Breaker::default();
            let mut at = 0;
            while at < 100 && matches!(breaker.admit(0, &policy), Admission::Pass(_)) {
                let health = if at % every == 0 { Health::Unhealthy } else { Health::Healthy };
                answer(&mut breaker, health, 0, &policy);
                at += 1;
            }
            assert_eq!(matches!(breaker.admit(0, &policy), Admission::Open(_)), opens, "1 in {every}, {ratio}");
        }
    }

    proptest! {
        /// It never stays shut for longer than it may, whatever becomes of probes, and never opens without a failure.
        #[test]
        fn it_always_recovers(steps in prop::collection::vec((0_u64..5000, any::<Option<bool>>(), any::<bool>()), 1..200)) {
            let policy = Policy { probes: Some(1), ..POLICY };
            let mut breaker = Breaker::default();
            let (mut now, mut failures) = (0, 0);
            let mut shut_since: Option<u64> = None;
            for (pause, answer, ends) in steps {
                now += pause;
                match breaker.admit(now, &policy) {
                    Admission::Open(rest) => {
                        prop_assert!(failures > 0 && rest > 0 && rest <= policy.longest);
                        // The time that it is open, and then the patience with one probe.
                        let since = *shut_since.get_or_insert(now);
                        prop_assert!(now - since < 2 * policy.longest);
                    }
                    Admission::Pass(pass) => {
                        prop_assert!(failures > 0 || pass == Pass::default());
                        shut_since = None;
                        // Some probes are never heard of again.
                        if let Some(round) = pass.round.filter(|_| ends) {
                            breaker.end_probe(round);
                        }
                        let health = match answer {
                            Some(true) => Health::Healthy,
                            Some(false) => Health::Unhealthy,
                            None => continue,
                        };
                        failures += u32::from(health == Health::Unhealthy);
                        breaker.count(health, pass, now, &policy);
                    }
                }
            }
        }
    }
}
