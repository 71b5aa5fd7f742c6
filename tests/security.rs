//! The rules for bad input (requests, paths, fields between hops, upgrades, answers of origins, limits), each through the whole
//! gateway: raw bytes in over a socket, and the bytes that an origin recorded as the judge. `docs/security.md` has the table of
//! rules and tests.
#![cfg(test)]
#![cfg(all(feature = "server", feature = "hyper-server"))]

#[path = "security/hop.rs"]
mod hop;
#[cfg(feature = "http2")]
#[path = "security/http2.rs"]
mod http2;
#[path = "security/limits.rs"]
mod limits;
#[path = "security/origins.rs"]
mod origins;
#[path = "security/paths.rs"]
mod paths;
mod peers;
#[path = "security/property.rs"]
mod property;
#[path = "security/requests.rs"]
mod requests;
#[path = "security/rig.rs"]
mod rig;
#[path = "security/upgrades.rs"]
mod upgrades;
