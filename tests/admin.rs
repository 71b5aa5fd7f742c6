//! The Admin API as a service: what each call is answered, what it changes, what it refuses.
#![cfg(test)]
#![cfg(all(feature = "full", unix))]
#[path = "admin/access.rs"]
mod access;
#[path = "admin/bad_input.rs"]
mod bad_input;
#[path = "admin/configs.rs"]
mod configs;
#[path = "admin/endpoints.rs"]
mod endpoints;
#[path = "admin/history.rs"]
mod history;
#[path = "admin/reads.rs"]
mod reads;
#[path = "admin/references.rs"]
mod references;
#[path = "admin/rig.rs"]
mod rig;
#[path = "admin/secrets.rs"]
mod secrets;
#[path = "admin/writers.rs"]
mod writers;
