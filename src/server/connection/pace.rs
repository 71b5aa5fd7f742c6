//! A clock for peers that are slow but never silent.
use std::time::Duration;

use crate::net::{Clock, TICK};
use crate::server::Rate;

/// Adds up the time spent waiting for a peer and the bytes that came of it. Time in which nobody waited for the peer does
/// not count, so a peer is never blamed for back-pressure.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    bytes: u64,
    waited: u32,
    since: Option<u32>,
}

impl Pace {
    /// The wait for the peer begins, if it has not; tells the tick at which it began.
    pub(super) fn wait(&mut self, clock: &Clock) -> u32 {
        *self.since.get_or_insert_with(|| clock.ticks())
    }

    /// Whether the peer is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// The peer moved so many bytes; tells whether it still does so fast enough.
    pub(super) fn progress(&mut self, clock: &Clock, bytes: usize, rate: Rate) -> bool {
        let waited = self.since.take().map_or(0, |since| clock.ticks().saturating_sub(since));
        self.progress_after(waited, bytes, rate)
    }

    /// As [`progress`](Self::progress), of a peer that was waited for so many ticks.
    pub(super) fn progress_after(&mut self, waited: u32, bytes: usize, rate: Rate) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.waited = self.waited.saturating_add(waited);
        let waited = TICK * self.waited;
        waited <= rate.grace || self.bytes >= floor(waited, rate)
    }
}

/// The bytes due after `waited`.
fn floor(waited: Duration, rate: Rate) -> u64 {
    let bytes = waited.as_millis() * u128::from(rate.bytes_per_second) / 1000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_due_after_the_grace() {
        let rate = Rate { bytes_per_second: 1000, grace: Duration::from_secs(1) };
        assert_eq!(floor(Duration::from_millis(1500), rate), 1500);
        let slow = Pace { bytes: 1, waited: 4, since: None };
        let clock = crate::net::Sweep::new().clock().clone();
        assert!(slow.clone().progress(&clock, 1, rate), "within the grace");
        assert!(!Pace { waited: 5, ..slow }.progress(&clock, 1, rate));
        assert!(Pace { waited: 5, ..slow }.progress(&clock, 1249, rate));
    }
}
