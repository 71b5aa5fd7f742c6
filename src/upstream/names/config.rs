//! How long answers are gone by.
use std::time::Duration;

/// How long what was found out about names is gone by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamesConfig {
    /// No answer is asked for again sooner, whatever time it says that it holds. Above zero; default 1 s.
    pub min_ttl: Duration,
    /// Each answer is asked for again after this time, even one that says that it holds longer. Default 300 s.
    pub max_ttl: Duration,
    /// How long the last good answer is used when its time is over and no new one can be had, be it that nobody answers or
    /// that the name is said to lead nowhere. `None` (the default): without end.
    pub max_stale: Option<Duration>,
}

impl Default for NamesConfig {
    fn default() -> Self {
        Self { min_ttl: Duration::from_secs(1), max_ttl: Duration::from_secs(300), max_stale: None }
    }
}
