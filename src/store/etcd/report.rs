//! Errors in the log: each distinct one once in a while.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::super::StoreError;

/// The same error is told again after this time.
const QUIET: Duration = Duration::from_secs(30);

/// Which errors were told when.
#[derive(Debug, Default)]
pub(super) struct Report(Mutex<HashMap<String, Instant>>);

impl Report {
    /// Tells an error, unless it was told lately.
    pub(super) fn error(&self, error: &StoreError, now: Instant) {
        let text = error.to_string();
        if self.is_news(&text, now) {
            #[cfg(feature = "tracing")]
            tracing::warn!(error = text, "the store failed");
        }
    }

    fn is_news(&self, text: &str, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.saturating_duration_since(*at) < QUIET);
        if told.contains_key(text) {
            return false;
        }
        told.insert(text.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distinct_error_is_told_once_in_half_a_minute() {
        let (report, now) = (Report::default(), Instant::now());
        let told = |text, after| report.is_news(text, now + Duration::from_secs(after));
        assert_eq!([told("a", 0), told("a", 1), told("b", 2), told("a", 29)], [true, false, true, false]);
        assert_eq!([told("a", 30), told("b", 31), told("b", 32), told("a", 33)], [true, false, true, false]);
    }
}
