//! The Admin API: the configuration of a store is read and changed over HTTP, as in Apache APISIX
//! (config-sources.md §3). Feature `admin`.
//!
//! [`AdminApi`] is a tower service of any request to a response that never fails, to be mounted in the host's server or on
//! a listener of its own. It reads a [`Mirror`](crate::store::Mirror) and writes to the mirror's store.
//!
//! * **Who**: keys with a name and a role, [`AdminSettings`](crate::model::AdminSettings). There is no default key, and
//!   without one it is not built.
//! * **Reads** come from the mirror, at one revision; lists by page, cursor and filter. `ETag` is the revision at which an
//!   item was changed last.
//! * **Writes** are judged exactly as loads are, references included, and take place in one transaction whose guards hold
//!   what the judgement rests on. Who got an answer sees the change in traffic. `?dry_run=true` tells what would happen.
//! * **History** is listed, compared and restored.
//! * Every write leaves a line in the audit log, [`AuditSink`].
//!
//! `docs/admin-api.md` has all endpoints, with commands to try, and what differs from the reference.
mod answer;
mod api;
mod audit;
mod auth;
mod body;
mod builder;
mod configs;
mod difference;
mod history;
mod item;
mod judge;
mod openapi;
mod origin;
mod paging;
mod patch;
mod plan;
mod plugins;
mod preview;
mod query;
mod read;
mod redact;
mod references;
mod routes;
mod schema;
mod throttle;
mod validate;
mod write;

pub use api::{AdminApi, ResponseFuture};
pub use audit::{AuditLog, AuditSink};
pub use builder::{AdminBuildError, AdminBuilder};
