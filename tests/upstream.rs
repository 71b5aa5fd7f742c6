//! The upstream side over real sockets, against origins that do what a test tells them.
#![cfg(feature = "client")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

#[cfg(test)]
#[path = "upstream/adaptive.rs"]
mod adaptive;
#[cfg(all(test, feature = "http2", feature = "tls"))]
#[path = "upstream/alpn.rs"]
mod alpn;
#[cfg(test)]
#[path = "upstream/balance.rs"]
mod balance;
#[cfg(test)]
#[path = "upstream/connections.rs"]
mod connections;
#[cfg(test)]
#[path = "upstream/deadlines.rs"]
mod deadlines;
#[cfg(test)]
#[path = "upstream/exchange.rs"]
mod exchange;
#[cfg(test)]
#[path = "upstream/faults.rs"]
mod faults;
#[cfg(test)]
#[path = "upstream/health.rs"]
mod health;
#[cfg(all(test, feature = "http2"))]
#[path = "upstream/health_grpc.rs"]
mod health_grpc;
#[cfg(test)]
#[path = "upstream/health_load.rs"]
mod health_load;
#[cfg(all(test, feature = "tls"))]
#[path = "upstream/health_tls.rs"]
mod health_tls;
#[cfg(test)]
#[path = "upstream/hedge.rs"]
mod hedge;
#[cfg(all(test, feature = "http2"))]
#[path = "upstream/http2.rs"]
mod http2;
#[cfg(test)]
#[path = "upstream/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "upstream/mixed.rs"]
mod mixed;
#[cfg(test)]
#[path = "upstream/pool.rs"]
mod pool;
#[cfg(test)]
#[path = "upstream/replay.rs"]
mod replay;
#[cfg(test)]
#[path = "upstream/retries.rs"]
mod retries;
#[cfg(all(test, feature = "tls"))]
#[path = "upstream/secure.rs"]
mod secure;
#[cfg(test)]
#[path = "upstream/services.rs"]
mod services;
#[cfg(test)]
#[path = "upstream/support.rs"]
mod support;
#[cfg(all(test, feature = "tls"))]
#[path = "upstream/tls.rs"]
mod tls;
#[cfg(test)]
#[path = "upstream/upgrades.rs"]
mod upgrades;
