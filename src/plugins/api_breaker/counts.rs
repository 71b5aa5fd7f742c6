//! How many answers there were of late, and how many of them were unhealthy.
use super::state::Health;

/// How much must have been asked, and have failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Volume {
    pub(super) requests: u32,
    pub(super) ratio: f64,
    /// In milliseconds.
    pub(super) window: u64,
}

/// Answers of two windows, the current one and the one before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
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
    pub(super) fn add(&mut self, health: Health, now: u64, length: u64) {
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

    pub(super) fn unhealthy(&self) -> u32 {
        self.current.unhealthy.saturating_add(self.before.unhealthy)
    }

    pub(super) fn reach(&self, volume: Volume) -> bool {
        let all = self.current.all.saturating_add(self.before.all);
        all >= volume.requests && f64::from(self.unhealthy()) >= volume.ratio * f64::from(all)
    }
}
