//! `jwe-decrypt`: opens encrypted tokens (JWE, RFC 7516, in compact form) with a consumer's secret, and hands on what is in them.
//! Stage: authenticate.
//!
//! Decision: 1. `header` is not there: 403 `missing JWE token in request`, or without `strict` the request passes; 2. it is no
//! token (a leading `Bearer ` is cut off), is longer than 16 KiB, or there twice: 400 `JWE token invalid`; 3. the token has no
//! `kid`: 400 `missing kid in JWE token`; 4. no consumer has that key: 400 `invalid kid in JWE token`; 5. it is not of `alg` `dir`
//! and `enc` `A256GCM`, has `zip` or `crit`, was not made with the consumer's secret or was changed since, or what is in it
//! cannot stand in a field: 400 `failed to decrypt JWE token`; 6. else its plaintext becomes the value of `forward_header`, and the
//! request passes.
//!
//! With `unauthenticated_header` tokens open as well whose tag vouches for nothing but the ciphertext, and whose header may lack `alg` and
//! `enc`. Apache APISIX made and took no others for long, so tokens that are in the field are of that kind: turn it on to move, and off when
//! they have run out. Tokens of its `/apisix/plugin/jwe/encrypt` are best not moved at all: they all have one nonce, and whoever has two
//! of them can forge further ones.
//!
//! * Answers: 400 and 403 with `{"message":"…"}`.
//! * Reads `header`, writes `forward_header`: it is no client's to send, on no route (security.md HOP-05), unless it is `header`,
//!   `Authorization` or `Cookie`, and comes off a request that passes without a token.
//! * No consumer is attached: who can make a token is known, who sends it is not. Beside it on a route, `jwt-auth` sees the token
//!   before it is opened; give `jwe-decrypt` a `_meta.priority` above 2510 where a JWT is in it. It cannot stand in `multi-auth`.
//! * DEVIATE from the reference: without `unauthenticated_header`, a tag that does not vouch for the header opens nothing; another `alg` or
//!   `enc` is worded as any other token that does not open; the reference lets the plugin stand in `multi-auth`, where a token that
//!   anybody may have copied would count as a log-in.
//!
//! ```
//! use std::sync::Arc;
//! use tollgate::model::ConsumerSpec;
//! use tollgate::plugin::{AuthPlugin as _, GateLayer};
//! use tollgate::plugins::jwe_decrypt::{JweDecrypt, JweDecryptConfig, JweDecryptCredential, JweDecryptPlugin};
//! use tollgate::request::{Consumer, Consumers};
//!
//! # fn main() -> Result<(), tollgate::BoxError> {
//! let acme = Consumer::new(&ConsumerSpec { username: "acme".into(), ..ConsumerSpec::default() });
//! let secret = JweDecryptPlugin.to_credential(JweDecryptCredential::new("acme-key", "0123456789abcdef0123456789abcdef"))?;
//! let consumers = Arc::new(Consumers::builder().consumer(&acme, [secret])?.build());
//!
//! let layer = GateLayer::of(JweDecrypt::new(JweDecryptConfig::default(), consumers)?);
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! On a route, and on a consumer:
//!
//! ```json
//! {"jwe-decrypt": {"header": "Authorization", "forward_header": "X-Claims"}}
//! ```
//! ```json
//! {"jwe-decrypt": {"key": "acme-key", "secret": "$env://ACME_SECRET"}}
//! ```
mod config;
mod gate;
mod plugin;
#[cfg(test)]
mod tests;
mod token;

pub use config::{JweDecryptConfig, JweDecryptCredential};
pub use gate::{JweDecrypt, JweDecryptLayer, JweDecryptRejection};
pub use plugin::JweDecryptPlugin;
pub use token::JweKey;
