//! Names by DNS itself, on hickory's resolver: addresses and service names, with the time that answers hold.
//!
//! | file | idea |
//! |---|---|
//! | `config.rs` | whom to ask, and how |
//! | `resolver.rs` | [`DnsResolver`]: the system's files read anew when they change |
//! | `asking.rs` | one look-up: hosts file, servers in turn, addresses, service names |
//! | `records.rs` | from records to locations; pure |
mod asking;
mod config;
mod records;
mod resolver;
#[cfg(test)]
mod testing;

pub use config::{AddressFamily, DnsConfig};
pub use resolver::DnsResolver;
