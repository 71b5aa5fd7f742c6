//! The time of tokens and sessions, which outlive a process.
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(in crate::plugins) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
