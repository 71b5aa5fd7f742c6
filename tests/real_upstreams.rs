//! Upstreams as a configuration file has them, with real servers behind.
#![cfg(test)]
#![cfg(all(unix, feature = "full", feature = "real-servers"))]
#[path = "real_upstreams/balancing.rs"]
mod balancing;
#[path = "real_upstreams/checks.rs"]
mod checks;
#[path = "real_upstreams/health.rs"]
mod health;
mod peers;
#[path = "real_upstreams/resilience.rs"]
mod resilience;
#[path = "real_upstreams/rig.rs"]
mod rig;
#[path = "upstream/secure.rs"]
#[allow(dead_code, reason = "the tests of upstreams use the rest")]
mod secure;
#[path = "real_upstreams/tls.rs"]
mod tls;
