//! [`Stapling`]: what a certificate says itself of how it is stapled.
use std::time::Duration;

/// How what an authority says of a certificate (OCSP) is stapled to its handshakes, by whoever staples those of its table.
///
/// ```
/// use tollgate::tls::{Certificate, Stapling};
///
/// let mut stapling = Stapling::default();
/// stapling.cache_ttl = std::time::Duration::from_secs(600);
/// let builder = Certificate::builder("shop").name("shop.test").stapling(stapling);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stapling {
    /// Whether it is. Default true.
    pub enabled: bool,
    /// Whether an answer is shown whoever signed it. Clients judge it themselves; what is shown may be worth nothing. Default
    /// false.
    pub skip_verify: bool,
    /// After how long the next answer is asked for, if half of the last one's time is not over before. Default an hour, a
    /// minute at the least.
    pub cache_ttl: Duration,
}

impl Default for Stapling {
    fn default() -> Self {
        Self { enabled: true, skip_verify: false, cache_ttl: Duration::from_secs(60 * 60) }
    }
}
