//! Who does markedly worse than the others (as Envoy's outlier detection, with less to set).
use std::time::Duration;

/// Outlier detection. Each part that is set to 0 is off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutlierConfig {
    /// Failures in a row that take an endpoint out at once: a status from 500 up, or no answer. Default 5.
    pub consecutive_failures: u32,
    /// How often endpoints are compared. Default 10 s.
    pub interval: Duration,
    /// An endpoint is out when its share of successes is so many standard deviations below the mean. Default 1.9.
    pub success_rate_factor: f64,
    /// An endpoint is out when so many of 100 attempts failed. Default 0.
    pub failure_percent: u8,
    /// Attempts within an interval that make an endpoint comparable. Default 100.
    pub min_requests: u32,
    /// Comparable endpoints that there must be. Default 5.
    pub min_endpoints: usize,
}

impl Default for OutlierConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Duration::from_secs(10),
            success_rate_factor: 1.9,
            failure_percent: 0,
            min_requests: 100,
            min_endpoints: 5,
        }
    }
}

impl OutlierConfig {
    /// The outliers among endpoints of which attempts and failures of one interval are given, the worst first.
    pub(super) fn find(&self, windows: &[(u32, u32)]) -> Vec<usize> {
        let comparable = windows.iter().enumerate().filter(|(_, (all, _))| *all > 0 && *all >= self.min_requests);
        let mut rates: Vec<(usize, f64)> =
            comparable.map(|(index, (all, failed))| (index, 1.0 - f64::from(*failed) / f64::from(*all))).collect();
        if rates.is_empty() || rates.len() < self.min_endpoints {
            return Vec::new();
        }
        let count = rates.len() as f64;
        let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
        let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
        let below_others = mean - self.success_rate_factor * variance.sqrt();
        let too_often = 1.0 - f64::from(self.failure_percent) / 100.0;
        // A mean of many has its last digits by chance: equal rates must not be told apart by them.
        let lowest = |rate: f64| self.success_rate_factor > 0.0 && rate < below_others - 1e-9;
        let failing = |rate: f64| self.failure_percent > 0 && rate <= too_often + 1e-9;
        rates.retain(|(_, rate)| lowest(*rate) || failing(*rate));
        rates.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        rates.into_iter().map(|(index, _)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn who_does_worse_than_the_others_is_found() {
        let config = OutlierConfig::default();
        let mut windows = vec![(200, 2); 9];
        windows.push((200, 60));
        assert_eq!(config.find(&windows), [9]);
        // Too little said of it, or too few to compare with.
        windows[9] = (99, 99);
        assert_eq!(config.find(&windows), [0usize; 0]);
        assert_eq!(config.find(&[(200, 0), (200, 0), (200, 0), (200, 200)]), [0usize; 0]);
        // All do as badly.
        assert_eq!(config.find(&[(300, 100); 7]), [0usize; 0]);
    }

    #[test]
    fn a_share_of_failures_can_be_too_much_by_itself() {
        let config =
            OutlierConfig { success_rate_factor: 0.0, failure_percent: 50, min_endpoints: 1, ..Default::default() };
        assert_eq!(config.find(&[(100, 50), (100, 49), (100, 100)]), [2, 0]);
    }

    proptest! {
        #[test]
        fn nobody_without_failures_is_out(failed in prop::collection::vec(0u32..=100, 5..40)) {
            let windows: Vec<_> = failed.iter().map(|failed| (100, *failed)).collect();
            let found = OutlierConfig { failure_percent: 1, ..Default::default() }.find(&windows);
            for index in found {
                prop_assert!(failed[index] > 0);
            }
        }
    }
}
