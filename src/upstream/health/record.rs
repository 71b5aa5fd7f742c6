//! The health of one endpoint, as all tasks of the process see it.
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use tokio::time::Instant;

use super::super::config::UpstreamKey;
use super::ejection::Ejection;
use super::machine::{HealthCounters, HealthState, Record, Report, Thresholds};

/// Set while the endpoint is taken out for being an outlier, whatever its state.
const OUTLIER: u64 = 1 << 34;
/// Set while the state is unusable by what attempts reported; probes have no such limit as these have.
const BY_TRAFFIC: u64 = 1 << 35;

/// The health of one endpoint of one upstream. Reports come from requests and from probes; whether it is usable is one
/// load, and so is a report that changes nothing.
pub(crate) struct Health {
    of: Subject,
    /// The [`Record`], and the two flags above it.
    word: AtomicU64,
    /// Attempts of the current interval of outlier detection in the upper half, failed ones in the lower.
    window: AtomicU64,
    /// Failed attempts in a row.
    streak: AtomicU32,
    kept: Mutex<Kept>,
}

/// Who this is about, for logs.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) upstream: UpstreamKey,
    /// `host:port` as configured, or `service name`.
    pub(crate) endpoint: Arc<str>,
    /// Of a node that is a name.
    pub(crate) address: Option<IpAddr>,
}

/// What only the tasks that keep an upstream up look at.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) ejection: Ejection,
    /// When the last probe began, and the host that it named.
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "nobody probes"))]
    pub(super) probed: Option<(Instant, HeaderValue)>,
}

/// Who reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "nobody probes"))]
    Probe,
    Traffic,
}

/// What is known of an endpoint's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthStatus {
    /// The state by reports. Default `healthy`.
    pub state: HealthState,
    /// What led there.
    pub counters: HealthCounters,
    /// Whether it is taken out for a while because it did worse than the others.
    pub is_outlier: bool,
}

impl HealthStatus {
    /// Whether requests go there, as long as there are others that are usable.
    pub const fn is_usable(&self) -> bool {
        self.state.is_usable() && !self.is_outlier
    }
}

impl Health {
    /// A healthy one.
    pub(crate) fn new(of: Subject) -> Self {
        Self {
            of,
            word: AtomicU64::new(0),
            window: AtomicU64::new(0),
            streak: AtomicU32::new(0),
            kept: Mutex::default(),
        }
    }

    /// Whether requests may go there.
    pub(crate) fn is_usable(&self) -> bool {
        is_usable(self.word.load(Relaxed))
    }

    pub(crate) fn status(&self) -> HealthStatus {
        let bits = self.word.load(Relaxed);
        let Record { state, counters } = Record::from_bits(bits);
        HealthStatus { state, counters, is_outlier: bits & OUTLIER != 0 }
    }

    /// Forgets everything: nothing judges the endpoint any more, or it is another one.
    #[cfg_attr(not(feature = "client"), allow(dead_code, reason = "nobody probes"))]
    pub(crate) fn reset(&self) {
        self.word.store(0, Relaxed);
        self.window.store(0, Relaxed);
        self.streak.store(0, Relaxed);
        *self.kept() = Kept::default();
    }

    /// Whether traffic, rather than probes, has taken it out.
    pub(super) fn is_ejected(&self) -> bool {
        self.word.load(Relaxed) & (OUTLIER | BY_TRAFFIC) != 0
    }

    /// Takes a report; says whether it changed if requests may go there.
    ///
    /// `may_eject` is asked before traffic takes the endpoint out. What it gives is held until that is done.
    pub(super) fn report<G>(
        &self,
        report: Report,
        thresholds: &Thresholds,
        side: Side,
        may_eject: impl Fn() -> Option<G>,
    ) -> bool {
        let mut bits = self.word.load(Relaxed);
        let mut leave = None;
        loop {
            let before = Record::from_bits(bits);
            let mut after = before.after(report, thresholds);
            if side == Side::Traffic && before.state.is_usable() && !after.state.is_usable() {
                leave = leave.or_else(&may_eject);
                if leave.is_none() {
                    after.state = HealthState::MostlyHealthy;
                }
            }
            if after == before {
                return false;
            }
            let by_traffic = match (before.state.is_usable(), after.state.is_usable()) {
                (_, true) => 0,
                (true, false) if side == Side::Traffic => BY_TRAFFIC,
                (true, false) => 0,
                (false, false) => bits & BY_TRAFFIC,
            };
            let new = after.to_bits() | (bits & OUTLIER) | by_traffic;
            match self.word.compare_exchange_weak(bits, new, Relaxed, Relaxed) {
                Ok(_) => return self.told(bits, new, cause(report, side)),
                Err(now) => bits = now,
            }
        }
    }

    /// Takes it out as an outlier; says whether it changed if requests may go there.
    pub(crate) fn eject(&self, cause: &'static str) -> bool {
        let before = self.word.fetch_or(OUTLIER, Relaxed);
        self.told(before, before | OUTLIER, cause)
    }

    /// Lets it have requests again, after a time: the next failure will take it out at once, a success clears its
    /// account.
    pub(super) fn readmit(&self) -> bool {
        let back = |bits: u64| {
            let mut record = Record::from_bits(bits);
            if !record.state.is_usable() {
                record.state = HealthState::MostlyHealthy;
            }
            record.to_bits()
        };
        self.streak.store(0, Relaxed);
        match self.word.fetch_update(Relaxed, Relaxed, |bits| Some(back(bits))) {
            Ok(before) | Err(before) => self.told(before, back(before), "time"),
        }
    }

    /// Lets an outlier have requests again, if its state allows.
    pub(super) fn readmit_outlier(&self) -> bool {
        self.streak.store(0, Relaxed);
        let before = self.word.fetch_and(!OUTLIER, Relaxed);
        self.told(before, before & !OUTLIER, "time")
    }

    /// Counts an attempt for outlier detection, and gives the number of failures in a row.
    pub(super) fn count(&self, failed: bool) -> u32 {
        self.window.fetch_add(1 << 32 | u64::from(failed), Relaxed);
        if failed {
            return self.streak.fetch_add(1, Relaxed).saturating_add(1);
        }
        if self.streak.load(Relaxed) != 0 {
            self.streak.store(0, Relaxed);
        }
        0
    }

    /// Attempts and failed ones since the last call.
    pub(super) fn take_window(&self) -> (u32, u32) {
        let window = self.window.swap(0, Relaxed);
        ((window >> 32) as u32, window as u32)
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a change of usability into the log.
    fn told(&self, before: u64, after: u64, cause: &'static str) -> bool {
        let (was, is) = (is_usable(before), is_usable(after));
        if was == is {
            return false;
        }
        let Subject { upstream, endpoint, address } = &self.of;
        #[cfg(feature = "tracing")]
        {
            let (state, address) = (Record::from_bits(after).state, address.map(tracing::field::display));
            if is {
                tracing::info!(%upstream, %endpoint, address, %state, cause, "an endpoint is usable again");
            } else {
                tracing::warn!(%upstream, %endpoint, address, %state, cause, "an endpoint is not usable");
            }
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (upstream, endpoint, address, cause);
        true
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("of", &self.of).field("status", &self.status()).finish_non_exhaustive()
    }
}

fn is_usable(bits: u64) -> bool {
    bits & OUTLIER == 0 && Record::from_bits(bits).state.is_usable()
}

/// A word for logs.
fn cause(report: Report, side: Side) -> &'static str {
    match (side, report) {
        (Side::Probe, Report::Success) => "probes succeed",
        (Side::Probe, Report::HttpFailure) => "probes have a bad status",
        (Side::Probe, Report::TcpFailure) => "probes get no connection",
        (Side::Probe, Report::Timeout) => "probes time out",
        (Side::Traffic, Report::Success) => "requests succeed",
        (Side::Traffic, Report::HttpFailure) => "requests have a bad status",
        (Side::Traffic, Report::TcpFailure) => "requests get no connection",
        (Side::Traffic, Report::Timeout) => "requests time out",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const ONE: Thresholds = Thresholds { successes: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 };

    pub(in super::super) fn health(name: &str) -> Health {
        let upstream = UpstreamKey::new("upstream", "1");
        Health::new(Subject { upstream, endpoint: name.into(), address: None })
    }

    fn yes() -> Option<()> {
        Some(())
    }

    #[test]
    fn only_a_change_of_usability_is_told() {
        let (health, two) = (health("a"), Thresholds { tcp_failures: 2, ..ONE });
        assert!(!health.report(Report::Success, &two, Side::Probe, yes));
        assert!(!health.report(Report::TcpFailure, &two, Side::Probe, yes));
        assert!(health.report(Report::TcpFailure, &two, Side::Probe, yes));
        assert!(!health.is_usable() && !health.is_ejected());
        assert!(health.report(Report::Success, &two, Side::Traffic, yes));
        assert!(health.is_usable());
    }

    #[test]
    fn traffic_takes_out_only_who_may_leave() {
        let health = health("a");
        assert!(!health.report(Report::HttpFailure, &ONE, Side::Traffic, || None::<()>));
        assert_eq!(health.status().state, HealthState::MostlyHealthy);
        assert!(health.report(Report::HttpFailure, &ONE, Side::Traffic, yes));
        assert!(health.is_ejected());
        // A probe that fails, too, does not make it the probes' verdict; one that succeeds ends it.
        assert!(!health.report(Report::Timeout, &ONE, Side::Probe, yes));
        assert!(health.is_ejected());
        assert!(health.report(Report::Success, &ONE, Side::Probe, yes));
        assert!(!health.is_ejected());
    }

    #[test]
    fn an_outlier_that_is_unhealthy_stays_out() {
        let health = health("a");
        assert!(health.eject("test"));
        assert!(!health.report(Report::TcpFailure, &ONE, Side::Probe, yes));
        assert!(!health.readmit_outlier());
        assert!(!health.is_usable());
        assert!(health.readmit());
        assert_eq!(health.status().state, HealthState::MostlyHealthy);
    }

    #[test]
    fn attempts_are_counted() {
        let health = health("a");
        assert_eq!([true, true, false, true].map(|failed| health.count(failed)), [1, 2, 0, 1]);
        assert_eq!(health.take_window(), (4, 3));
        assert_eq!(health.take_window(), (0, 0));
    }
}
