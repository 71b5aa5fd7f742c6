//! Counters in Redis, shared by all gateways that use it.
mod delayed;
mod link;
mod release;
mod script;
mod target;

pub(crate) use delayed::{Ask, Delayed, Delays};
pub(crate) use link::{BackendError, Link, Links};
pub(crate) use release::{Releases, RemoteSlot};
pub(crate) use target::Target;
