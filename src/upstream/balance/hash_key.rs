//! What of a request is hashed to find its endpoint.
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use http::request::Parts;

type Read = dyn Fn(&Parts, Option<IpAddr>) -> Option<u64> + Send + Sync;

/// A part of each request, as a hash; for the policy `chash` (upstream.md §3.2).
///
/// Two are equal if their descriptions are.
#[derive(Clone)]
pub struct HashKey {
    described: Arc<str>,
    read: Arc<Read>,
    missing: Arc<AtomicU64>,
}

impl HashKey {
    /// What `read` gives, described in words that say all about it. `None`: the request does not have it.
    pub fn new(
        described: impl Into<Arc<str>>,
        read: impl Fn(&Parts, Option<IpAddr>) -> Option<u64> + Send + Sync + 'static,
    ) -> Self {
        Self { described: described.into(), read: Arc::new(read), missing: Arc::default() }
    }

    /// The hash of a request's part, if it has it.
    pub fn of(&self, request: &Parts, client: Option<IpAddr>) -> Option<u64> {
        let hash = (self.read)(request, client);
        if hash.is_none() {
            self.missing.fetch_add(1, Relaxed);
        }
        hash
    }

    /// How many requests did not have it.
    pub fn missing(&self) -> u64 {
        self.missing.load(Relaxed)
    }
}

impl PartialEq for HashKey {
    fn eq(&self, other: &Self) -> bool {
        self.described == other.described
    }
}

impl Eq for HashKey {}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKey({})", self.described)
    }
}
