//! Names to places.
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// One of the places that a name leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Location {
    /// Its address.
    pub address: IpAddr,
    /// Its port, if the answer says one, as those of service names do. `None`: the node's.
    pub port: Option<u16>,
    /// Its share of the node's weight, among the places of the same `priority`. 0 = none, unless all of them have 0.
    pub weight: u32,
    /// The places of the lowest number are used; those of a higher one only when these are not usable.
    pub priority: u16,
    /// The name that the place goes by, if that is not the node's: the target of a service name.
    pub host: Option<Arc<str>>,
}

impl Location {
    /// An address with the node's port, weight 1 and priority 0.
    pub const fn new(address: IpAddr) -> Self {
        Self { address, port: None, weight: 1, priority: 0, host: None }
    }
}

/// What is said of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolved {
    /// All of its places, best first. None: somebody who must know says that the name does not exist, or leads nowhere.
    pub locations: Vec<Location>,
    /// How long that holds.
    pub ttl: Duration,
    /// Targets of a service name that could not be looked up this time; what was known of them stays.
    pub unknown: Vec<Arc<str>>,
}

impl Resolved {
    /// The places of a name.
    pub const fn new(locations: Vec<Location>, ttl: Duration) -> Self {
        Self { locations, ttl, unknown: Vec::new() }
    }

    /// The addresses of a name, best first.
    pub fn addresses(addresses: impl IntoIterator<Item = IpAddr>, ttl: Duration) -> Self {
        Self::new(addresses.into_iter().map(Location::new).collect(), ttl)
    }
}

/// Finds the places of a name.
pub trait Resolve: Send + Sync + 'static {
    /// Asks once.
    ///
    /// A name that does not exist is an answer, one without places.
    ///
    /// # Errors
    /// When nobody could be asked, or nobody who must know answered.
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Resolved>> + Send + 'a>>;
}

/// The operating system's resolver: the hosts file, then DNS as the system is set up.
///
/// It does not tell how long an answer holds, so answers are asked for again after a fixed time. Nor does it tell a name
/// that does not exist from a failure: both are errors. It knows no service names.
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
            Ok(Resolved::addresses(addresses, self.ttl))
        })
    }
}
