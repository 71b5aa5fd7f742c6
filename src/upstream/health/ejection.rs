//! For how long an endpoint is out that nothing but time brings back (security.md HC-01).
use std::time::Duration;

use tokio::time::Instant;

use super::later::later;

/// How traffic takes endpoints out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EjectionConfig {
    /// How long the first time. Default 30 s.
    pub time: Duration,
    /// How long at most, as the time doubles with each that follows soon. Default 300 s.
    pub max_time: Duration,
    /// How many of 100 endpoints may be out by traffic's verdict at a time; one may always, unless this is 0. Default
    /// 50.
    pub max_percent: u8,
}

impl Default for EjectionConfig {
    fn default() -> Self {
        Self { time: Duration::from_secs(30), max_time: Duration::from_secs(300), max_percent: 50 }
    }
}

impl EjectionConfig {
    /// Whether another one of `total` may leave while `out` are out.
    pub(super) fn allows(&self, out: usize, total: usize) -> bool {
        let most = match total * usize::from(self.max_percent) / 100 {
            0 if self.max_percent > 0 => 1,
            most => most,
        };
        out < most
    }
}

/// The times of one endpoint outside.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    until: Option<Instant>,
    lasted: Duration,
    /// When the last one was over.
    back: Option<Instant>,
}

impl Ejection {
    /// When this one is over; begins it if there is none.
    ///
    /// It takes twice as long as the one before if the endpoint had not been back for as long as it was out.
    pub(super) fn until(&mut self, now: Instant, config: &EjectionConfig) -> Instant {
        if let Some(until) = self.until {
            return until;
        }
        let soon = self.back.is_some_and(|back| now.duration_since(back) < self.lasted);
        let lasts =
            if soon { self.lasted.saturating_mul(2).min(config.max_time.max(config.time)) } else { config.time };
        let until = later(now, lasts);
        (self.lasted, self.until) = (lasts, Some(until));
        until
    }

    /// The endpoint is back.
    pub(super) fn end(&mut self, now: Instant) {
        if self.until.take().is_some() {
            self.back = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_them_stay() {
        let half = EjectionConfig::default();
        for (total, most) in [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (1000, 500)] {
            assert!(half.allows(most - 1, total) && !half.allows(most, total), "{total}");
        }
        assert!(!EjectionConfig { max_percent: 0, ..half }.allows(0, 10));
        assert!(EjectionConfig { max_percent: 100, ..half }.allows(9, 10));
    }

    #[test]
    fn sec_hc_01_times_double_while_it_does_not_last() {
        let (config, mut ejection, mut now) = (EjectionConfig::default(), Ejection::default(), Instant::now());
        let mut lasted = Vec::new();
        for back_for in [29, 59, 119, 239, 299, 300, 1] {
            let until = ejection.until(now, &config);
            lasted.push((until - now).as_secs());
            assert_eq!(ejection.until(now + Duration::from_secs(1), &config), until);
            ejection.end(until);
            now = until + Duration::from_secs(back_for);
        }
        assert_eq!(lasted, [30, 60, 120, 240, 300, 300, 30]);
        assert_eq!((ejection.until(now, &config) - now).as_secs(), 60);
    }
}
