//! The time of the limiters.
use std::time::Duration;

use tokio::time::Instant;

/// Milliseconds since the clock was made, from tokio's clock: monotonic, and at rest where a test pauses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that begins now.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> u64 {
        millis(self.0.elapsed())
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
