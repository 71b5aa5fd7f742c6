//! The other sides of a gateway under test: a client and an origin that speak raw bytes, a strict parser that judges what they
//! got, and nginx, wrk, Redis and Knot from Debian's packages (feature `real-servers`).
//!
//! A test file begins with `#![cfg(test)]`, so that clippy takes its helpers for tests, and says `mod peers;`. All waiting is on
//! events and fails the test after [`DEADLINE`]; so none of it works under paused time.
#![allow(dead_code, reason = "each test file uses a part of these helpers")]

pub(crate) mod client;
#[cfg(feature = "real-servers")]
pub(crate) mod knot;
#[cfg(feature = "real-servers")]
pub(crate) mod nginx;
pub(crate) mod origin;
#[cfg(feature = "real-servers")]
pub(crate) mod redis;
pub(crate) mod strict;
#[cfg(feature = "real-servers")]
pub(crate) mod wrk;

use std::future::Future;
use std::time::Duration;

/// Nothing that a test waits for takes this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Orderly, with everything sent.
    Closed,
    /// By a reset.
    Reset,
}

/// Waits, and fails the test with `what` after [`DEADLINE`].
pub(crate) async fn within<T>(what: impl FnOnce() -> String, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for {}", what()),
    }
}

/// Bytes as a person reads them.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n")
}
