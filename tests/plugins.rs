//! What each plugin does in a whole gateway: configured from a file, asked by raw bytes, in front of a recording origin.
#![cfg(test)]
#![cfg(all(feature = "server", feature = "config-file", feature = "yaml"))]
mod peers;

#[path = "plugins/support.rs"]
mod support;
