//! `jwt-auth`: identifies the consumer by a signed token (JWT, RFC 7519, in compact form, RFC 7515).
//!
//! Decision: 1. the token is in the header (a leading `Bearer ` is cut off), else in the query, else in the cookie; in none:
//! 401 `Missing JWT token in request`; 2. it is no token, is longer than 8 KiB, or stands in its place twice: 401
//! `JWT token invalid`; 3. it has no claim `key_claim_name`: 401 `missing user key in JWT token`; 4. nobody has that key:
//! 401 `Invalid user key in JWT token`; 5. its `alg` is not the consumer's algorithm, it has `crit`, its signature is not of
//! the consumer's secret or key, or its time is not now: 401 `failed to verify jwt`; 6. else the consumer is attached.
//! Where it ends with 401 and `anonymous_consumer` is set, that consumer is attached instead.
//!
//! * Stage: authenticate.
//! * Answers: 401 with `WWW-Authenticate: Bearer realm="…"`; 400 for two `Authorization` fields.
//! * Reads the header, query and cookie named; writes the [`Consumer`](crate::request::Consumer) extension and the identity
//!   headers that it names, under `store_in_ctx` the extension [`JwtClaims`], the headers of `claims_to_headers`; under
//!   `hide_credentials` takes the token out of the request.
//! * Which key and algorithm count says the consumer's block alone: `none`, other algorithms, `jku`, `jwk`, `x5u`, `x5c` and
//!   `kid` of a token mean nothing (security.md AUTH-02, AUTH-03).
//! * `exp` and `nbf` count wherever they are there. The reference looks at none but the listed ones as soon as
//!   `claims_to_verify` is set, so that an expired token may pass it.
//!
//! Keys are parsed when the configuration is loaded. Signatures are AWS-LC's affair; it has P-521 (`ES512`), too, which JWT
//! libraries on top of it leave out.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::model::ConsumerSpec;
//! use tollgate::plugin::{AuthPlugin as _, GateLayer};
//! use tollgate::plugins::jwt_auth::{JwtAuth, JwtAuthConfig, JwtAuthCredential, JwtAuthPlugin};
//! use tollgate::request::{Consumer, Consumers};
//!
//! # fn main() -> Result<(), tollgate::BoxError> {
//! let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
//! let mut block = JwtAuthCredential::default();
//! block.key = "acme-key".to_owned();
//! block.secret = Some("a secret of at least 32 random bytes".into());
//! let consumers = Arc::new(Consumers::builder().consumer(&acme, [JwtAuthPlugin.to_credential(block)?])?.build());
//!
//! let layer = GateLayer::of(JwtAuth::new(JwtAuthConfig::default(), consumers)?);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! On a route, and on a consumer or credential:
//!
//! ```json
//! {"jwt-auth": {"claims_to_verify": ["exp"], "hide_credentials": true}}
//! ```
//! ```json
//! {"jwt-auth": {"key": "acme-key", "algorithm": "ES256", "public_key": "$secret://vault/1/acme/jwt-key"}}
//! ```
mod algorithm;
mod claims;
mod config;
mod cookie;
mod credential;
mod gate;
mod plugin;
#[cfg(test)]
mod tests;
mod token;

pub use algorithm::JwtAlgorithm;
pub use claims::JwtClaims;
pub use config::{JwtAuthConfig, JwtAuthCredential, TimeClaim};
pub use credential::JwtKey;
pub use gate::{JwtAuth, JwtAuthLayer, JwtAuthRejection};
pub use plugin::JwtAuthPlugin;
