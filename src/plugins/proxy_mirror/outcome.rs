//! What became of copies.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of copies since the start.
#[derive(Debug, Default)]
pub struct Outcomes {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// What became of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Sent,
    Failed,
    Dropped,
}

impl Outcomes {
    pub(super) fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Sent => &self.sent,
            Outcome::Failed => &self.failed,
            Outcome::Dropped => &self.dropped,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Copies that the mirror answered.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Copies that the mirror did not answer, or whose original broke off.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Copies that were not made, or were broken off, because the mirror was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}
