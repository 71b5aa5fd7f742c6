//! The plugins that come with the crate, one folder or file each, and the list of them.
pub mod acl;
pub mod basic_auth;
#[cfg(feature = "callout")]
pub mod callout;
pub mod consumer_restriction;
pub mod cors;
#[cfg(feature = "csrf")]
pub mod csrf;
pub mod ip_restriction;
pub mod key_auth;
pub mod limit;
pub mod limit_conn;
pub mod limit_count;
pub mod limit_req;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod public_api;
pub mod real_ip;
pub mod referer_restriction;
pub mod request_id;
pub mod ua_restriction;
pub mod uri_blocker;
pub mod workflow;

mod checks;
mod consumer_auth;
mod networks;
mod patterns;
mod random;
mod standard;
#[cfg(test)]
mod testing;
