//! Names to addresses.
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// All of them, best first.
    pub addresses: Vec<IpAddr>,
    /// How long they hold; at least one second is assumed.
    pub ttl: Duration,
}

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync + 'static {
    /// Asks once. An answer without addresses counts as a failure.
    ///
    /// # Errors
    /// When the name does not exist or nobody could be asked; the last good answer then stays in use.
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Resolved>> + Send + 'a>>;
}

/// The operating system's resolver: the hosts file, then DNS as the system is set up.
///
/// It does not tell how long an answer holds, so answers are asked for again after a fixed time.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver {
    ttl: Duration,
}

impl SystemResolver {
    /// Answers hold for `ttl`.
    pub const fn new(ttl: Duration) -> Self {
        Self { ttl }
    }
}

impl Default for SystemResolver {
    /// Answers hold for 10 s.
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Resolved>> + Send + 'a>> {
        Box::pin(async move {
            let mut addresses: Vec<IpAddr> =
                tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect();
            // IPv4 first (upstream.md §2); the sort keeps the system's order otherwise.
            addresses.sort_by_key(IpAddr::is_ipv6);
            addresses.dedup();
            Ok(Resolved { addresses, ttl: self.ttl })
        })
    }
}
