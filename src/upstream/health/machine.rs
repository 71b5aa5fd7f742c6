//! The state machine of one endpoint's health (upstream.md §7.2), pure: a [`Record`] and what a report makes of it.
use std::fmt;

/// How an endpoint stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthState {
    /// Nothing speaks against it. New endpoints begin here.
    #[default]
    Healthy,
    /// Usable, with failures of late.
    MostlyHealthy,
    /// Not usable yet, with successes of late.
    MostlyUnhealthy,
    /// Not usable.
    Unhealthy,
}

impl HealthState {
    /// Whether requests may go there.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Healthy | Self::MostlyHealthy)
    }

    /// `healthy`, `mostly_healthy`, `mostly_unhealthy` or `unhealthy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::MostlyHealthy => "mostly_healthy",
            Self::MostlyUnhealthy => "mostly_unhealthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an endpoint has on its account. A counter stops at 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthCounters {
    /// Successes since the last failure.
    pub success: u8,
    /// Bad statuses, and answers that are none, since the last success.
    pub http_failure: u8,
    /// Connections that failed, since the last success.
    pub tcp_failure: u8,
    /// Time-outs since the last success.
    pub timeout_failure: u8,
}

/// How often something must be reported in a row before it decides; 0: such reports are not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes that make an endpoint healthy.
    pub successes: u8,
    /// Bad statuses that make it unhealthy.
    pub http_failures: u8,
    /// Failed connections that make it unhealthy.
    pub tcp_failures: u8,
    /// Time-outs that make it unhealthy.
    pub timeouts: u8,
}

/// What a probe or an attempt says of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Success,
    HttpFailure,
    TcpFailure,
    Timeout,
}

/// State and counters, as one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) state: HealthState,
    pub(crate) counters: HealthCounters,
}

impl Record {
    /// The record after `report`.
    pub(crate) fn after(self, report: Report, thresholds: &Thresholds) -> Self {
        let Self { state, mut counters } = self;
        let settled = match report {
            Report::Success => HealthState::Healthy,
            _ => HealthState::Unhealthy,
        };
        let (count, threshold) = match report {
            Report::Success => (&mut counters.success, thresholds.successes),
            Report::HttpFailure => (&mut counters.http_failure, thresholds.http_failures),
            Report::TcpFailure => (&mut counters.tcp_failure, thresholds.tcp_failures),
            Report::Timeout => (&mut counters.timeout_failure, thresholds.timeouts),
        };
        if threshold == 0 || state == settled {
            return self;
        }
        *count = count.saturating_add(1);
        let decides = *count >= threshold;
        if report == Report::Success {
            counters = HealthCounters { success: counters.success, ..HealthCounters::default() };
        } else {
            counters.success = 0;
        }
        let state = match state {
            _ if decides => settled,
            HealthState::Healthy => HealthState::MostlyHealthy,
            HealthState::Unhealthy => HealthState::MostlyUnhealthy,
            between => between,
        };
        Self { state, counters }
    }

    /// In the lowest 34 bits.
    pub(super) fn to_bits(self) -> u64 {
        let HealthCounters { success, http_failure, tcp_failure, timeout_failure } = self.counters;
        let counters = u32::from_le_bytes([success, http_failure, tcp_failure, timeout_failure]);
        u64::from(counters) | (self.state as u64) << 32
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        let [success, http_failure, tcp_failure, timeout_failure] = (bits as u32).to_le_bytes();
        let state = match (bits >> 32) & 3 {
            0 => HealthState::Healthy,
            1 => HealthState::MostlyHealthy,
            2 => HealthState::MostlyUnhealthy,
            _ => HealthState::Unhealthy,
        };
        Self { state, counters: HealthCounters { success, http_failure, tcp_failure, timeout_failure } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACTIVE: Thresholds = Thresholds { successes: 2, http_failures: 5, tcp_failures: 2, timeouts: 3 };

    /// Names of states and counters after each letter: s(uccess), h(ttp), t(cp), o(ut of time).
    fn run(reports: &str, thresholds: &Thresholds) -> Vec<String> {
        let mut record = Record::default();
        let step = |letter| {
            let report = match letter {
                's' => Report::Success,
                'h' => Report::HttpFailure,
                't' => Report::TcpFailure,
                _ => Report::Timeout,
            };
            record = record.after(report, thresholds);
            let HealthCounters { success, http_failure, tcp_failure, timeout_failure } = record.counters;
            format!("{} {success}{http_failure}{tcp_failure}{timeout_failure}", record.state)
        };
        reports.chars().map(step).collect()
    }

    #[test]
    fn the_states_of_the_specification() {
        assert_eq!(
            run("shtthss", &ACTIVE),
            [
                "healthy 0000",
                "mostly_healthy 0100",
                "mostly_healthy 0110",
                "unhealthy 0120",
                "unhealthy 0120",
                "mostly_unhealthy 1000",
                "healthy 2000"
            ]
        );
        assert_eq!(run("oos", &ACTIVE).last().unwrap(), "mostly_healthy 1000");
        assert_eq!(run("ooo", &ACTIVE).last().unwrap(), "unhealthy 0003");
        assert_eq!(run("hhhh", &ACTIVE).last().unwrap(), "mostly_healthy 0400");
        assert_eq!(run("hhhhh", &ACTIVE).last().unwrap(), "unhealthy 0500");
        assert_eq!(run("ttsh", &ACTIVE).last().unwrap(), "mostly_unhealthy 0100");
        // The successes of the way up stay until a failure.
        assert_eq!(run("ttsst", &ACTIVE).last().unwrap(), "mostly_healthy 0010");
    }

    #[test]
    fn a_threshold_of_0_does_not_hear() {
        let deaf = Thresholds { successes: 0, http_failures: 0, tcp_failures: 1, timeouts: 0 };
        assert_eq!(
            run("hosth", &deaf),
            ["healthy 0000", "healthy 0000", "healthy 0000", "unhealthy 0010", "unhealthy 0010"]
        );
        assert_eq!(run("tss", &deaf).last().unwrap(), "unhealthy 0010");
    }

    /// The text of the specification, word by word.
    #[derive(Default)]
    struct Naive {
        state: HealthState,
        success: u32,
        failures: [u32; 3],
    }

    impl Naive {
        fn report(&mut self, kind: usize, thresholds: [u8; 4]) {
            let threshold = u32::from(thresholds[kind]);
            if threshold == 0 {
                return;
            }
            if kind == 0 {
                if self.state == HealthState::Healthy {
                    return;
                }
                self.success += 1;
                self.failures = [0; 3];
                if self.success >= threshold {
                    self.state = HealthState::Healthy;
                } else if self.state == HealthState::Unhealthy {
                    self.state = HealthState::MostlyUnhealthy;
                }
                return;
            }
            if self.state == HealthState::Unhealthy {
                return;
            }
            self.failures[kind - 1] += 1;
            self.success = 0;
            if self.failures[kind - 1] >= threshold {
                self.state = HealthState::Unhealthy;
            } else if self.state == HealthState::Healthy {
                self.state = HealthState::MostlyHealthy;
            }
        }
    }

    proptest! {
        /// Two sides report with thresholds of their own, as active and passive checks do.
        #[test]
        fn the_machine_is_the_text(
            sides in [[0u8..=254, 0..=5, 0..=5, 0..=5], [0u8..=5, 0..=5, 0..=5, 0..=254]],
            reports in prop::collection::vec((0usize..2, 0usize..4), 0..300),
        ) {
            let (mut naive, mut record) = (Naive::default(), Record::default());
            for (side, kind) in reports {
                let [successes, http_failures, tcp_failures, timeouts] = sides[side];
                naive.report(kind, sides[side]);
                let report = [Report::Success, Report::HttpFailure, Report::TcpFailure, Report::Timeout][kind];
                record = record.after(report, &Thresholds { successes, http_failures, tcp_failures, timeouts });
                record = Record::from_bits(record.to_bits());
                let counters = record.counters;
                prop_assert_eq!(record.state, naive.state);
                prop_assert_eq!(u32::from(counters.success), naive.success.min(255));
                let failures = [counters.http_failure, counters.tcp_failure, counters.timeout_failure];
                prop_assert_eq!(failures.map(u32::from), naive.failures.map(|count| count.min(255)));
            }
        }
    }
}
