//! The names of nodes: who is asked, and what is known of each.
//!
//! A name is looked up once however many upstreams use it, in the background and only while one does. What was found stays
//! until something else is found, or for as long as [`NamesConfig::max_stale`] says.
mod config;
mod known;
mod name;
mod resolve;

pub use config::NamesConfig;
pub(crate) use name::{Lookup, Name};
pub use resolve::{Location, Resolve, Resolved, SystemResolver};
