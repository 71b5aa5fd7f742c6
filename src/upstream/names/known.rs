//! What is known of a name, and what each look-up makes of it. Pure: the time is handed in.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::config::NamesConfig;
use super::resolve::{Location, Resolved};

/// The wait after a failed look-up, doubled up to [`MAX_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// The longest wait after a failed look-up, and after one that found nothing: what has been lost is back soon.
const MAX_RETRY: Duration = Duration::from_secs(10);

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Known {
    /// No look-up has ended yet.
    #[default]
    Pending,
    /// The last look-up found these.
    Fresh(Arc<[Location]>),
    /// A look-up found these, but the last one did not.
    Stale(Arc<[Location]>, Reason),
    /// There is nothing to go by.
    Nowhere(Reason),
}

/// Why a look-up found nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    pub(crate) kind: io::ErrorKind,
    pub(crate) text: Arc<str>,
}

impl Reason {
    fn new(kind: io::ErrorKind, text: &str) -> Self {
        Self { kind, text: text.into() }
    }
}

impl Known {
    /// Where the name leads.
    pub(crate) fn locations(&self) -> &[Location] {
        match self {
            Self::Fresh(locations) | Self::Stale(locations, _) => locations,
            Self::Pending | Self::Nowhere(_) => &[],
        }
    }

    /// Why the last look-up found nothing.
    pub(crate) const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Stale(_, reason) | Self::Nowhere(reason) => Some(reason),
            Self::Pending | Self::Fresh(_) => None,
        }
    }
}

/// The memory of the task that looks a name up.
#[derive(Debug)]
pub(super) struct Memory {
    known: Known,
    /// Until when the last good answer was good.
    good_until: Instant,
    /// When the last one came of which nothing was missing.
    whole_at: Instant,
    /// Look-ups that failed in a row.
    failures: u32,
}

impl Memory {
    pub(super) fn new(now: Instant) -> Self {
        Self { known: Known::Pending, good_until: now, whole_at: now, failures: 0 }
    }

    pub(super) const fn known(&self) -> &Known {
        &self.known
    }

    /// Takes in what a look-up said. Gives the pause until the next one; `luck` lies between 0 and 1.
    pub(super) fn learn(
        &mut self,
        answer: io::Result<Resolved>,
        config: &NamesConfig,
        now: Instant,
        luck: f64,
    ) -> Duration {
        let pause = match answer {
            Ok(answer) => {
                let (ttl, whole) = (answer.ttl, answer.unknown.is_empty());
                if whole {
                    self.whole_at = now;
                }
                let may_keep = config.max_stale.is_none_or(|most| now.saturating_duration_since(self.whole_at) < most);
                let locations = self.complete(answer, may_keep);
                let ttl = match &*locations {
                    [] => {
                        self.miss(Reason::new(io::ErrorKind::NotFound, "the name leads nowhere"), config, now);
                        ttl.min(MAX_RETRY).max(config.min_ttl)
                    }
                    _ => {
                        let ttl = ttl.min(config.max_ttl).max(config.min_ttl);
                        // A time beyond all calendars is long enough as it is.
                        self.good_until = now.checked_add(ttl).unwrap_or(now);
                        self.known = Known::Fresh(locations);
                        ttl
                    }
                };
                if whole {
                    self.failures = 0;
                    // Up to a tenth earlier, so that gateways which began together don't go on asking together.
                    ttl.mul_f64(1.0 - luck / 10.0).max(config.min_ttl)
                } else {
                    ttl.min(self.back_off(luck))
                }
            }
            Err(error) => {
                self.miss(Reason::new(error.kind(), &error.to_string()), config, now);
                self.back_off(luck)
            }
        };
        match (&self.known, config.max_stale) {
            (Known::Stale(..), Some(most)) => {
                pause.min(most.saturating_sub(now.saturating_duration_since(self.good_until)))
            }
            _ => pause,
        }
    }

    /// All locations, in an order that tells the same answer from another: servers turn theirs on purpose. Targets that
    /// could not be looked up are where they were, for as long as that may be gone by.
    fn complete(&self, answer: Resolved, may_keep: bool) -> Arc<[Location]> {
        let before = self.known.locations().iter().filter(|_| may_keep);
        let kept = before.filter(|one| one.host.as_ref().is_some_and(|host| answer.unknown.contains(host))).cloned();
        let mut locations: Vec<_> = answer.locations.into_iter().chain(kept).collect();
        let first_family = locations.first().map(|first| first.address.is_ipv6());
        locations.sort_by(|a, b| {
            let key =
                |one: &Location| (one.priority, Some(one.address.is_ipv6()) != first_family, one.address, one.port);
            key(a).cmp(&key(b)).then_with(|| a.host.cmp(&b.host))
        });
        locations.dedup_by(|a, b| (a.priority, a.address, a.port) == (b.priority, b.address, b.port));
        locations.into()
    }

    /// Nothing was found: what was found before stays, for as long as it may.
    fn miss(&mut self, reason: Reason, config: &NamesConfig, now: Instant) {
        let may_stay = config
            .max_stale
            .is_none_or(|most| now < self.good_until || now.saturating_duration_since(self.good_until) < most);
        self.known = match std::mem::take(&mut self.known) {
            Known::Fresh(locations) | Known::Stale(locations, _) if may_stay => Known::Stale(locations, reason),
            _ => Known::Nowhere(reason),
        };
    }

    /// The pause after another failure.
    fn back_off(&mut self, luck: f64) -> Duration {
        let pause = FIRST_RETRY.saturating_mul(1 << self.failures.min(16)).min(MAX_RETRY);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(1.0 - luck / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn found(last: &[u8], ttl: u64) -> io::Result<Resolved> {
        let addresses = last.iter().map(|last| IpAddr::from([10, 0, 0, *last]));
        Ok(Resolved::addresses(addresses, Duration::from_secs(ttl)))
    }

    fn lost() -> io::Result<Resolved> {
        Err(io::ErrorKind::TimedOut.into())
    }

    fn addresses(memory: &Memory) -> Vec<String> {
        memory.known().locations().iter().map(|one| one.address.to_string()).collect()
    }

    #[tokio::test]
    async fn an_answer_holds_for_its_time_within_bounds() {
        let config = NamesConfig { min_ttl: 2 * SECOND, max_ttl: 60 * SECOND, ..NamesConfig::default() };
        let now = Instant::now();
        let mut memory = Memory::new(now);
        for (ttl, luck, pause) in [(30, 0.0, 30.0), (30, 1.0, 27.0), (0, 1.0, 2.0), (2, 1.0, 2.0), (3600, 0.5, 57.0)] {
            assert_eq!(memory.learn(found(&[1], ttl), &config, now, luck).as_secs_f64(), pause, "{ttl}, {luck}");
        }
    }

    #[tokio::test]
    async fn the_last_good_answer_stays_and_retries_back_off() {
        let (config, now) = (NamesConfig::default(), Instant::now());
        let mut memory = Memory::new(now);
        let pauses: Vec<_> = (0..7).map(|_| memory.learn(lost(), &config, now, 0.0).as_secs_f64()).collect();
        assert_eq!(pauses, [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]);
        assert!(matches!(memory.known(), Known::Nowhere(reason) if reason.kind == io::ErrorKind::TimedOut));
        memory.learn(found(&[2, 1], 5), &config, now, 0.0);
        assert_eq!(addresses(&memory), ["10.0.0.1", "10.0.0.2"]);
        // A year later.
        let now = now + 365 * 86400 * SECOND;
        assert_eq!(memory.learn(lost(), &config, now, 1.0).as_secs_f64(), 0.25);
        assert!(matches!(memory.known(), Known::Stale(..)));
        assert_eq!(memory.learn(found(&[], 90), &config, now, 0.0), MAX_RETRY, "a name that vanished is looked for");
        assert_eq!(memory.known().reason().unwrap().kind, io::ErrorKind::NotFound);
        assert_eq!(addresses(&memory).len(), 2);
        memory.learn(found(&[3], 5), &config, now, 0.0);
        assert_eq!((addresses(&memory), memory.known().reason()), (vec![String::from("10.0.0.3")], None));
    }

    #[tokio::test]
    async fn the_last_good_answer_goes_when_it_is_too_old() {
        let config = NamesConfig { max_stale: Some(3 * SECOND), ..NamesConfig::default() };
        let now = Instant::now();
        let mut memory = Memory::new(now);
        memory.learn(found(&[1], 5), &config, now, 0.0);
        // Its 5 s, and 3 more.
        assert_eq!(memory.learn(found(&[], 60), &config, now + 6 * SECOND, 0.0), 2 * SECOND, "not a moment later");
        assert_eq!(addresses(&memory).len(), 1);
        memory.learn(found(&[], 60), &config, now + 8 * SECOND, 0.0);
        assert!(matches!(memory.known(), Known::Nowhere(_)));
        memory.learn(found(&[1], 5), &config, now + 9 * SECOND, 0.0);
        assert_eq!(addresses(&memory).len(), 1);
    }

    #[tokio::test]
    async fn targets_that_could_not_be_looked_up_stay_where_they_were() {
        let (config, now) = (NamesConfig::default(), Instant::now());
        let target = |host: &str, last| {
            let address = IpAddr::from([10, 0, 0, last]);
            Location { host: Some(host.into()), port: Some(80), ..Location::new(address) }
        };
        let answer = |locations, unknown: &[&str]| {
            let unknown = unknown.iter().map(|host| Arc::from(*host)).collect();
            Ok(Resolved { unknown, ..Resolved::new(locations, 30 * SECOND) })
        };
        let mut memory = Memory::new(now);
        memory.learn(answer(vec![target("a", 1), target("b", 2), target("c", 3)], &[]), &config, now, 0.0);
        let pause = memory.learn(answer(vec![target("a", 4)], &["b", "d"]), &config, now, 0.0);
        assert_eq!(addresses(&memory), ["10.0.0.2", "10.0.0.4"]);
        assert_eq!(pause, FIRST_RETRY, "the rest is asked for soon");
        memory.learn(answer(vec![], &["b"]), &config, now, 0.0);
        assert_eq!(addresses(&memory), ["10.0.0.2"]);
    }

    proptest! {
        /// The order of an answer and what stands twice in it change nothing; the preferred family stays first.
        #[test]
        fn the_same_answer_is_the_same(last in proptest::collection::vec(0..20u8, 1..20), turn in 0..20usize) {
            let now = Instant::now();
            let known = |last: &[u8]| {
                let mut memory = Memory::new(now);
                let v6 = last.iter().map(|last| IpAddr::from([0, 0, 0, 0, 0, 0, 0, u16::from(*last)]));
                let v4 = last.iter().map(|last| IpAddr::from([10, 0, 0, *last]));
                let answer = Resolved::addresses(v4.chain(v6), SECOND);
                memory.learn(Ok(answer), &NamesConfig::default(), now, 0.0);
                memory.known().clone()
            };
            let mut turned = last.clone();
            turned.rotate_left(turn % last.len());
            turned.push(last[0]);
            prop_assert_eq!(known(&last), known(&turned));
            prop_assert!(known(&last).locations().is_sorted_by_key(|one| one.address.is_ipv6()));
        }
    }
}
