//! Which endpoint a request goes to.
//!
//! A [`Balancer`] picks within one group of endpoints that have the same priority; `Groups` walks the groups from the
//! highest priority down and keeps, per request, what was tried (upstream.md §3).
mod balancer;
mod groups;
mod round_robin;

pub use balancer::{Balancer, BalancerFactory, Member, Pick};
pub(crate) use groups::{Groups, Walk};
pub use round_robin::RoundRobin;
