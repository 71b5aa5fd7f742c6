//! CPU time, so that neighbours on the machine count little.
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this thread has used, or all of the process, by the clock.
pub(crate) fn cpu(of: ClockId) -> Duration {
    let time = clock_gettime(of);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}
