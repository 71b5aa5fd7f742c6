//! Certificates from a real authority: pebble from Debian's package, which asks back over HTTP and TLS.
#![cfg(test)]
#![cfg(all(feature = "real-servers", feature = "acme", feature = "server"))]
mod peers;

#[cfg(feature = "full")]
#[path = "acme/bundled.rs"]
mod bundled;
#[path = "acme/faults.rs"]
mod faults;
#[path = "acme/orders.rs"]
mod orders;
#[path = "acme/pebble.rs"]
mod pebble;
#[allow(dead_code, reason = "a part of these helpers is used")]
#[cfg(feature = "full")]
#[path = "cli/process.rs"]
mod process;
#[path = "acme/renewal.rs"]
mod renewal;
#[path = "acme/rig.rs"]
mod rig;
#[path = "acme/sharing.rs"]
mod sharing;
