//! [`EtcdStore`]: the store in etcd, over one HTTP/2 connection (config-sources.md §5).
//!
//! | file | idea |
//! |---|---|
//! | `store.rs` | the store |
//! | `load.rs`, `commit.rs`, `watch/` | what it does |
//! | `client.rs`, `login.rs` | the one connection, and who we are on it |
//! | `endpoints.rs`, `race.rs` | which server is asked next; several side by side |
//! | `link.rs`, `tls.rs`, `counted.rs` | how a connection is made |
//! | `same.rs`, `version.rs` | whether it is the store that it was; what old servers cannot be trusted with |
//! | `failure.rs`, `report.rs` | what errors mean, and how often they are told |
//! | `message/`, `rpc.rs` | what is spoken |
//! | `options.rs`, `counters.rs` | what it is told, and what it tells |
mod client;
mod commit;
mod counted;
mod counters;
mod endpoints;
mod failure;
mod link;
mod load;
mod login;
mod message;
mod options;
mod race;
mod report;
mod rpc;
mod same;
mod store;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod version;
mod watch;

pub use store::EtcdStore;
