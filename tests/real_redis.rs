//! Limits that are counted in Redis: one server, a cluster, Sentinels; one gateway and several; Redis killed, silent and
//! restarted. A missing Redis fails the tests.
#![cfg(test)]
#![cfg(feature = "real-servers")]
mod peers;

#[path = "cli/process.rs"]
#[allow(dead_code, reason = "a part of these helpers is used")]
mod process;
#[path = "real_redis/rig.rs"]
mod rig;

#[path = "real_redis/cluster.rs"]
mod cluster;
#[path = "real_redis/counting.rs"]
mod counting;
#[path = "real_redis/delayed.rs"]
mod delayed;
#[path = "real_redis/faults.rs"]
mod faults;
