//! What attempts say of endpoints, and what time does to those that are out.
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

use super::config::HealthConfig;
use super::later::later;
use super::machine::Report;
use super::outcome::Outcome;
use super::record::{Health, Side};

/// Judges the endpoints of one upstream by its traffic, and lets back in who was taken out for a time.
#[derive(Debug)]
pub(crate) struct Judge {
    config: HealthConfig,
    /// Held from the count of those that are out until another one is. Nobody waits for it: whoever finds it taken
    /// leaves the matter to the next failure.
    leaving: Mutex<()>,
    /// As many are out as may be.
    full: AtomicBool,
    /// When outliers are looked for next.
    compare_at: Mutex<Option<Instant>>,
}

impl Judge {
    pub(crate) fn new(config: HealthConfig) -> Self {
        Self { config, leaving: Mutex::new(()), full: AtomicBool::new(false), compare_at: Mutex::new(None) }
    }

    pub(crate) fn config(&self) -> &HealthConfig {
        &self.config
    }

    /// Whether outcomes of attempts matter.
    pub(crate) fn hears_traffic(&self) -> bool {
        self.config.passive.is_some() || self.config.outlier.is_some()
    }

    /// Takes the outcome of one attempt; says whether it changed if requests may go to the endpoint. `crowd` gives all
    /// endpoints of the upstream.
    pub(crate) fn observe<'h, C>(&self, health: &Health, outcome: Outcome, crowd: impl Fn() -> C) -> bool
    where
        C: Iterator<Item = &'h Health>,
    {
        let mut changed = false;
        if let Some(passive) = &self.config.passive {
            let report = match outcome {
                Outcome::Status(_) if !passive.judges_statuses => Some(Report::Success),
                _ => outcome.report(&passive.healthy_statuses, &passive.unhealthy_statuses),
            };
            if let Some(report) = report {
                changed |= health.report(report, &passive.thresholds, Side::Traffic, || self.may_leave(crowd()));
            }
        }
        if let Some(outlier) = &self.config.outlier {
            let streak = health.count(outcome.is_failure());
            let enough = outlier.consecutive_failures;
            if enough > 0
                && streak >= enough
                && !health.status().is_outlier
                && let Some(_leaving) = self.may_leave(crowd())
            {
                changed |= health.eject("too many failures in a row");
            }
        }
        if changed {
            self.full.store(false, Relaxed);
        }
        changed
    }

    /// Whether traffic may take out another one of `crowd`.
    fn may_leave<'h>(&self, crowd: impl Iterator<Item = &'h Health>) -> Option<MutexGuard<'_, ()>> {
        let leaving = match self.leaving.try_lock() {
            Ok(leaving) => leaving,
            Err(std::sync::TryLockError::Poisoned(leaving)) => leaving.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        // What was refused is refused until a verdict falls: nobody looks at thousands of endpoints for each failure.
        if self.full.load(Relaxed) {
            return None;
        }
        let (out, all) = crowd.fold((0, 0), |(out, all), health| (out + usize::from(health.is_ejected()), all + 1));
        let allowed = self.config.ejection.allows(out, all);
        self.full.store(!allowed, Relaxed);
        allowed.then_some(leaving)
    }

    /// Starts the clock of those who are newly out, lets in whose time is over, and compares endpoints when it is time
    /// to. Says whether any became usable or unusable, and when to call again if nothing happens before.
    ///
    /// `counted` are those that get requests.
    pub(crate) fn settle(&self, crowd: &[&Health], counted: &[&Health], now: Instant) -> (bool, Option<Instant>) {
        self.full.store(false, Relaxed);
        let mut changed = self.compare(crowd, counted, now);
        let mut next = *self.compare_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for health in crowd {
            let status = health.status();
            let mut kept = health.kept();
            // Probes bring back whom reports took out, if they reach it: services of the process are not probed.
            let by_time = self.config.active.is_none() || kept.probed.is_none();
            let waits = status.is_outlier || (by_time && !status.state.is_usable());
            let ejection = &mut kept.ejection;
            if !waits {
                ejection.end(now);
                continue;
            }
            let until = ejection.until(now, &self.config.ejection);
            if until > now {
                next = Some(next.map_or(until, |next| next.min(until)));
                continue;
            }
            ejection.end(now);
            drop(kept);
            changed |= if by_time { health.readmit() } else { health.readmit_outlier() };
        }
        (changed, next)
    }

    /// Takes out those that did worse than the others in the interval that is over.
    fn compare(&self, crowd: &[&Health], counted: &[&Health], now: Instant) -> bool {
        let Some(outlier) = &self.config.outlier else { return false };
        let mut compare_at = self.compare_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = compare_at.is_none_or(|at| at <= now);
        if !due {
            return false;
        }
        let is_first = compare_at.replace(later(now, outlier.interval)).is_none();
        let windows: Vec<_> = crowd.iter().map(|health| health.take_window()).collect();
        if is_first {
            return false;
        }
        let worst = outlier.find(&windows);
        let mut changed = false;
        for health in worst.into_iter().filter_map(|index| crowd.get(index)) {
            if !health.status().is_outlier
                && let Some(_leaving) = self.may_leave(counted.iter().copied())
            {
                changed |= health.eject("it does worse than the others");
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::super::config::{ActiveConfig, PassiveConfig};
    use super::super::machine::HealthState;
    use super::super::outlier::OutlierConfig;
    use super::super::record::tests::health;
    use super::*;

    const OK: Outcome = Outcome::Status(StatusCode::OK);
    const ERROR: Outcome = Outcome::Status(StatusCode::INTERNAL_SERVER_ERROR);

    fn crowd(size: usize) -> Vec<Health> {
        (0..size).map(|index| health(&format!("{index}"))).collect()
    }

    /// Has `crowd[index]` do the same `times` times.
    fn tell(judge: &Judge, crowd: &[Health], index: usize, outcome: Outcome, times: usize) -> bool {
        (0..times).fold(false, |changed, _| judge.observe(&crowd[index], outcome, || crowd.iter()) || changed)
    }

    fn settle(judge: &Judge, crowd: &[Health], now: Instant) -> (bool, Option<Instant>) {
        let crowd: Vec<_> = crowd.iter().collect();
        judge.settle(&crowd, &crowd, now)
    }

    #[test]
    fn sec_hc_01_whom_traffic_alone_took_out_returns_by_time() {
        let judge = Judge::new(HealthConfig::new().with_passive(PassiveConfig::default()));
        let (crowd, now) = (crowd(3), Instant::now());
        assert!(!tell(&judge, &crowd, 0, Outcome::Broken, 1));
        assert!(tell(&judge, &crowd, 0, Outcome::Broken, 1));
        let thirty = Duration::from_secs(30);
        assert_eq!(settle(&judge, &crowd, now), (false, Some(now + thirty)));
        assert_eq!(settle(&judge, &crowd, now + thirty / 2), (false, Some(now + thirty)));
        assert_eq!(settle(&judge, &crowd, now + thirty), (true, None));
        assert_eq!(crowd[0].status().state, HealthState::MostlyHealthy);
        // It is on probation: one failure, and it is out for twice as long.
        assert!(tell(&judge, &crowd, 0, Outcome::Broken, 1));
        let then = now + thirty;
        assert_eq!(settle(&judge, &crowd, then), (false, Some(then + 2 * thirty)));
        assert_eq!(settle(&judge, &crowd, then + 2 * thirty), (true, None));
        assert!(!tell(&judge, &crowd, 0, OK, 1));
        assert!(!tell(&judge, &crowd, 0, Outcome::Broken, 1));
    }

    #[test]
    fn sec_hc_01_traffic_leaves_half_of_them_in() {
        let judge = Judge::new(HealthConfig::new().with_passive(PassiveConfig::default()));
        let crowd = crowd(4);
        for index in 0..4 {
            tell(&judge, &crowd, index, ERROR, 50);
        }
        assert_eq!(crowd.iter().filter(|health| health.is_usable()).count(), 2);
        // When one of them is well again, another may go.
        tell(&judge, &crowd, 0, OK, 5);
        tell(&judge, &crowd, 3, ERROR, 1);
        assert_eq!([0, 1, 2, 3].map(|index| crowd[index].is_usable()), [true, false, true, false]);
    }

    #[test]
    fn with_probes_time_brings_nobody_back() {
        let config = HealthConfig::new().with_passive(PassiveConfig::default()).with_active(ActiveConfig::default());
        let (judge, crowd, now) = (Judge::new(config), crowd(4), Instant::now());
        // One that probes do not reach comes back by time nevertheless.
        crowd[0].kept().probed = Some((now, http::HeaderValue::from_static("a.test")));
        for index in [0, 1] {
            tell(&judge, &crowd, index, Outcome::Timeout, 7);
            settle(&judge, &crowd, now);
        }
        assert!(!crowd[0].is_usable() && !crowd[1].is_usable());
        settle(&judge, &crowd, now + Duration::from_secs(900));
        assert!(!crowd[0].is_usable() && crowd[1].is_usable());
    }

    #[test]
    fn an_outlier_is_out_for_a_time() {
        let outlier = OutlierConfig { min_requests: 10, ..OutlierConfig::default() };
        let (judge, crowd, now) = (Judge::new(HealthConfig::new().with_outlier(outlier)), crowd(6), Instant::now());
        let (ten, thirty) = (Duration::from_secs(10), Duration::from_secs(30));
        assert_eq!(settle(&judge, &crowd, now), (false, Some(now + ten)));
        // Never five in a row, but a third of all.
        for _ in 0..20 {
            tell(&judge, &crowd, 5, ERROR, 1);
            for index in 0..6 {
                tell(&judge, &crowd, index, OK, 2);
            }
        }
        assert_eq!(settle(&judge, &crowd, now + ten), (true, Some(now + 2 * ten)));
        assert!(crowd[5].status().is_outlier && !crowd[5].is_usable());
        assert!(settle(&judge, &crowd, now + ten + thirty).0);
        assert!(tell(&judge, &crowd, 5, ERROR, 5));
        assert!(!tell(&judge, &crowd, 5, ERROR, 5));
        let (_, next) = settle(&judge, &crowd, now + ten + thirty);
        assert_eq!(next, Some(now + 2 * ten + thirty));
    }

    #[test]
    fn a_missing_status_is_no_news() {
        let judge = Judge::new(HealthConfig::new().with_passive(PassiveConfig::default()));
        let crowd = crowd(2);
        tell(&judge, &crowd, 0, Outcome::Status(StatusCode::NOT_FOUND), 99);
        assert_eq!(crowd[0].status(), Default::default());
        let tcp = PassiveConfig { judges_statuses: false, ..PassiveConfig::default() };
        let judge = Judge::new(HealthConfig::new().with_passive(tcp));
        tell(&judge, &crowd, 0, Outcome::Broken, 1);
        tell(&judge, &crowd, 0, ERROR, 5);
        assert_eq!(crowd[0].status().state, HealthState::Healthy);
    }
}
