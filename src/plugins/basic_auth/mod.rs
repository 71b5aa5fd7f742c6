//! `basic-auth`: identifies the consumer by user name and password (RFC 7617).
//!
//! Decision: 1. no `Authorization`: 401 `Missing authorization in request`; 2. not `Basic` and Base64 of `name:password`:
//! 401 `Invalid authorization in request`; 3. no such user, or another password: 401 `Invalid user authorization`; 4. else
//! the consumer is attached. Where it ends with 401 and `anonymous_consumer` is set, that consumer is attached instead.
//!
//! * Stage: authenticate.
//! * Answers: 401 with `WWW-Authenticate: Basic realm="…"`; 400 for two `Authorization` fields; 503 with `Retry-After` when
//!   more callers wait for a password's hash than the queue takes.
//! * Reads `Authorization`; writes the [`Consumer`](crate::request::Consumer) extension and the identity headers that it
//!   names; under `hide_credentials` removes `Authorization`.
//! * Name and password part at the first colon, and every other byte counts (RFC 7617 §2). The reference parts them at
//!   each colon and drops white space.
//! * The password crosses the network in clear: use it behind TLS only.
//!
//! A password is configured in clear, of which a keyed digest is kept and compared in constant time, or (feature
//! `password-hash`) as a PHC string of argon2id or scrypt. Such a hash is worked out on the runtime's threads for blocking
//! work, as many at once as the machine has processors, and once for each password: what was right is remembered as a
//! keyed digest. As soon as one consumer has a hash, every failure costs one, so that time does not tell which users exist.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::model::ConsumerSpec;
//! use tollgate::plugin::{AroundLayer, AuthPlugin as _};
//! use tollgate::plugins::basic_auth::{BasicAuth, BasicAuthConfig, BasicAuthCredential, BasicAuthPlugin};
//! use tollgate::request::{Consumer, Consumers};
//!
//! # fn main() -> Result<(), tollgate::BoxError> {
//! let plugin = BasicAuthPlugin::default();
//! let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
//! let login = plugin.to_credential(BasicAuthCredential::new("acme", "a long password"))?;
//! let consumers = Arc::new(Consumers::builder().consumer(&acme, [login])?.build());
//!
//! let layer = AroundLayer::of(BasicAuth::new(BasicAuthConfig::default(), consumers, &plugin)?);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! On a route, and on a consumer or credential:
//!
//! ```json
//! {"basic-auth": {"hide_credentials": true}}
//! ```
//! ```json
//! {"basic-auth": {"username": "acme", "password": "$env://ACME_PASSWORD"}}
//! ```
mod config;
#[cfg(feature = "password-hash")]
mod hash;
mod layer;
mod password;
mod plugin;
#[cfg(test)]
mod tests;

pub use config::{BasicAuthConfig, BasicAuthCredential};
pub use layer::{BasicAuth, BasicAuthLayer, BasicAuthRejection};
pub use password::Password;
pub use plugin::BasicAuthPlugin;
