//! The plugins as operators use them: a YAML file, the bundled gateway, nginx behind it and curl before it. What is compared is
//! what their catalogue publishes: statuses, fields, bodies.
#![cfg(test)]
#![cfg(all(unix, feature = "full", feature = "real-servers"))]
#[path = "plugins/cas_server.rs"]
mod cas_server;
mod peers;
#[path = "cli/process.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod process;
#[path = "real_plugins/rig.rs"]
mod rig;
#[path = "real_ldap/slapd.rs"]
#[allow(dead_code, reason = "the tests of the directory use the rest")]
mod slapd;

#[path = "real_plugins/absent.rs"]
mod absent;
#[path = "real_plugins/auth.rs"]
mod auth;
#[path = "real_plugins/batch.rs"]
mod batch;
#[path = "real_plugins/breaker.rs"]
mod breaker;
#[path = "real_plugins/cache.rs"]
mod cache;
#[path = "real_plugins/compression.rs"]
mod compression;
#[path = "real_plugins/limits.rs"]
mod limits;
#[path = "real_plugins/login.rs"]
mod login;
#[path = "real_plugins/mirror.rs"]
mod mirror;
#[path = "real_plugins/policy.rs"]
mod policy;
#[path = "real_plugins/policy_here.rs"]
mod policy_here;
#[path = "real_plugins/transform.rs"]
mod transform;
#[path = "real_plugins/validation.rs"]
mod validation;
