//! The plugins that come with the crate, one folder or file each, and the list of them.
pub mod basic_auth;
#[cfg(feature = "callout")]
pub mod callout;
mod consumer_auth;
pub mod key_auth;
pub mod limit;
pub mod limit_conn;
pub mod limit_count;
pub mod limit_req;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod public_api;
mod standard;
pub mod workflow;
