//! Points in time that any configuration can ask for.
use std::time::Duration;

use tokio::time::Instant;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// `after` later than `time`; a year later, if that is beyond what the clock can tell.
pub(super) fn later(time: Instant, after: Duration) -> Instant {
    time.checked_add(after).unwrap_or_else(|| time + YEAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_duration_is_too_long() {
        let now = Instant::now();
        assert_eq!(later(now, Duration::from_secs(1)) - now, Duration::from_secs(1));
        assert_eq!(later(now, Duration::MAX) - now, YEAR);
    }
}
