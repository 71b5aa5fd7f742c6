//! The plugins that come with the crate, one folder or file each, and the list of them.
#[cfg(feature = "callout")]
pub mod callout;
mod consumer_auth;
pub mod key_auth;
mod standard;
