//! `csrf`: keeps pages of other sites from using a visitor's log-in, by a token that only pages of this site can read.
//! Stage: access.
//!
//! Decision: 1. `GET`, `HEAD` and `OPTIONS` pass; 2. any other request must carry the token twice: in the field `name` and in
//! the cookie `name`, alike; 3. the token must have been issued with the same `key`, and no longer than `expires` ago.
//! 4. Every answer, those to refused requests included, sets the cookie to a new token.
//!
//! Answers, 401 all of them: `{"error_msg":"no csrf token in headers"}`, `{"error_msg":"no csrf cookie"}`,
//! `{"error_msg":"csrf token mismatch"}`, `{"error_msg":"Failed to verify the csrf token signature"}`. Adds
//! `Set-Cookie: <name>=<token>;path=/;SameSite=Lax;Expires=<date>` to answers, without `HttpOnly`: the page's script reads
//! the cookie and puts the token into the field.
//!
//! The token is Base64 of `{"random": …, "expires": <when it was issued>, "sign": …}`; the gateway keeps nothing. Give each
//! site a key of its own: whoever gets one token of a key can use it with any other visitor whose cookies he can set.
//!
//! ```
//! use tollgate::plugins::csrf::{Csrf, CsrfConfig, CsrfLayer};
//!
//! let mut config = CsrfConfig::default();
//! config.key = "a long random text".into();
//! let layer = CsrfLayer::of(Csrf::new(config)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"csrf": {"key": "a long random text", "expires": 3600, "token_version": 2}}
//! ```
mod config;
mod layer;
#[cfg(test)]
mod tests;
mod token;

pub use config::CsrfConfig;
pub use layer::{Csrf, CsrfLayer, CsrfPlugin, CsrfRejection};
