//! Which endpoint a request goes to.
//!
//! A [`Balancer`] picks within one group of endpoints that have the same priority; `Groups` walks the groups from the
//! highest priority down and keeps, per request, what was tried (upstream.md §3).
mod affinity;
mod balancer;
mod ewma;
mod groups;
mod hash_key;
mod latency;
mod least_conn;
mod load;
mod ring;
mod round_robin;
mod slow_start;

pub(crate) use affinity::Affinity;
pub use affinity::{AffinityConfig, AffinitySecret, SameSite};
pub use balancer::{Balancer, BalancerFactory, Member, Pick, Policy};
pub use ewma::Ewma;
pub(crate) use groups::{Candidate, Groups, Rank, Walk};
pub use hash_key::HashKey;
pub use latency::Latency;
pub use least_conn::LeastConn;
pub use load::{Busy, Load, LoadListener};
pub use ring::{Ring, RingFactory, hash_bytes};
pub use round_robin::RoundRobin;
pub use slow_start::SlowStart;
pub(crate) use slow_start::scaled;
