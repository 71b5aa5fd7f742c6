//! The time of kept answers, which outlive a process.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since 1970, by the system's clock when this one was made and tokio's since then: steps of the system's clock
/// do not make answers fresh or stale, and a test can let time pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    wall: Duration,
    began: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall, began: Instant::now() }
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from((self.wall + self.began.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }
}
