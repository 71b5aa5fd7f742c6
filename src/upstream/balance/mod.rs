//! Which endpoint a request goes to.
//!
//! A [`Balancer`] picks within one group of endpoints that have the same priority; `Groups` walks the groups from the
//! highest priority down and keeps, per request, what was tried (upstream.md §3).
mod balancer;
mod groups;
mod hash_key;
mod load;
mod round_robin;

pub use balancer::{Balancer, BalancerFactory, Member, Pick, Policy};
pub(crate) use groups::{Candidate, Groups, Rank, Walk};
pub use hash_key::HashKey;
pub(crate) use load::Busy;
pub use load::{Load, LoadListener};
pub use round_robin::RoundRobin;
