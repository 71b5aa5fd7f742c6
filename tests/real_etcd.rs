//! The store in etcd 3.4 and 3.5, one server and three: what all stores do, and etcd killed, stopped, cut off, compacted,
//! restored, emptied, full, with users and with TLS. A missing etcd fails the tests.
#![cfg(all(feature = "real-servers", feature = "etcd"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "store/behaviour.rs"]
mod behaviour;
#[path = "real_etcd/follower.rs"]
mod follower;
#[path = "real_etcd/proxy.rs"]
mod proxy;
#[path = "real_etcd/server.rs"]
mod server;

#[path = "real_etcd/alike.rs"]
mod alike;
#[path = "real_etcd/cluster.rs"]
mod cluster;
#[path = "real_etcd/faults.rs"]
mod faults;
#[path = "real_etcd/figures.rs"]
mod figures;
#[path = "real_etcd/rights.rs"]
mod rights;
#[cfg(feature = "admin")]
#[path = "real_etcd/served.rs"]
mod served;
#[path = "real_etcd/strangers.rs"]
mod strangers;
