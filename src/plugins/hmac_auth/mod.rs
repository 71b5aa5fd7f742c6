//! `hmac-auth`: identifies the consumer by a signature over the request.
//!
//! A client sends `Date`, and
//! `Authorization: Signature keyId="…",algorithm="hmac-sha256",headers="@request-target date x-a",signature="<Base64>"`.
//! Signed is: the key id, then of each name in `headers`, in that order, `name: value` (the values of a repeated header
//! joined by `, `; absent headers left out), and of `@request-target` `METHOD target`; each behind its line feed, and one
//! more at the end:
//!
//! ```text
//! acme-key⏎
//! GET /orders?id=7⏎
//! date: Thu, 26 Nov 2026 00:00:00 GMT⏎
//! ```
//!
//! Decision, each failure a 401: 1. there is no `Authorization`, or none of `Signature`; 2. a parameter is missing; 3. nobody
//! has that key id; 4. the algorithm is not allowed; 5. `Date` is missing, no date, or further away than `clock_skew`;
//! 6. `date`, or one of `signed_headers`, is not among `headers`; 7. the signature is another; 8. under `refuse_replays`, it
//! was here before; 9. under `validate_request_body`, `Digest` is not `SHA-256=` and the Base64 of the body's SHA-256; 10. else
//! the consumer is attached. Where it ends with 401 and `anonymous_consumer` is set, that consumer is attached instead.
//! What fails from 2 on is told to the log only; the client reads `client request can't be validated`.
//!
//! * Stage: authenticate.
//! * Answers: 401 with `WWW-Authenticate: hmac realm="…"`; 413 for a body longer than `max_req_body_size` that is to be
//!   validated; 400 for two `Authorization` fields; 503 when so many signatures are remembered that no more can be.
//! * Reads what is signed, `Authorization`, `Date`, `Digest`, the body if it is to be validated; writes the
//!   [`Consumer`](crate::request::Consumer) extension and the identity headers that it names; under `hide_credentials` removes
//!   `Authorization`.
//! * `@request-target` may be signed as it was sent, or with its path made canonical; the reference knows the latter only.
//! * What is not signed can be changed underway: set `signed_headers` to `["@request-target", "host", "date"]` at least, and
//!   with bodies add `digest` and `validate_request_body`.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::model::ConsumerSpec;
//! use tollgate::plugin::{AroundLayer, AuthPlugin as _};
//! use tollgate::plugins::hmac_auth::{HmacAuth, HmacAuthConfig, HmacAuthCredential, HmacAuthPlugin};
//! use tollgate::request::{Consumer, Consumers};
//!
//! # fn main() -> Result<(), tollgate::BoxError> {
//! let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
//! let plugin = HmacAuthPlugin::default();
//! let key = plugin.to_credential(HmacAuthCredential::new("acme-key", "a secret of acme"))?;
//! let consumers = Arc::new(Consumers::builder().consumer(&acme, [key])?.build());
//!
//! let layer = AroundLayer::of(HmacAuth::new(HmacAuthConfig::default(), consumers, &plugin)?);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! On a route, and on a consumer or credential:
//!
//! ```json
//! {"hmac-auth": {"signed_headers": ["@request-target", "host", "date"], "refuse_replays": true}}
//! ```
//! ```json
//! {"hmac-auth": {"key_id": "acme-key", "secret_key": "$env://ACME_SECRET"}}
//! ```
mod config;
mod layer;
mod plugin;
mod replays;
mod signature;
#[cfg(test)]
mod tests;

pub use config::{HmacAlgorithm, HmacAuthConfig, HmacAuthCredential};
pub use layer::{HmacAuth, HmacAuthLayer, HmacAuthRejection};
pub use plugin::HmacAuthPlugin;
