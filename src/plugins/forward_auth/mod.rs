//! `forward-auth`: asks an HTTP service whether a request may pass. Stage: access.
//!
//! Decision:
//! 1. with `request_method: POST`, the body is longer than `max_req_body_size` → 413; it breaks or comes too slowly → 400, 408
//! 2. the service cannot be reached, breaks off or is silent for `timeout` → `status_on_error` without a body; the request
//!    passes instead with `allow_degradation`
//! 3. what it answers is no HTTP or longer than 1 MiB → 502, whatever `allow_degradation` says
//! 4. it answers with 300 or above → that status and body, with its `client_headers` and no other field
//! 5. else the request passes
//!
//! The question is made from scratch, not copied from the request (security.md HOP-07): `X-Forwarded-Proto`, `-Method`,
//! `-Host`, `-Uri` (path and query before any rewriting), `-For` (the client's address), `extra_headers`, and of the
//! request the fields in `request_headers`, which do not replace those before. Its body, and `Content-Encoding` with it, go
//! along with `POST` alone, and are then held in memory.
//!
//! Written to the request: each of `upstream_headers`, as the service sent it, or removed if it sent none (HOP-06); removed
//! as well when the request passes by `allow_degradation`, so no client can forge one. They come off requests of clients on
//! all other routes, too (HOP-05), apart from what `request_headers` names as well, and from those that clients send for reasons of
//! their own, such as `Authorization`, `Cookie`, `Content-Type` or `X-Forwarded-For`.
//!
//! Caveats: each request costs a call, as decisions are not cached. `Authorization` and cookies of the request are told to
//! the service only when `request_headers` names them. For log-in pages let `client_headers` name `Location` and
//! `Set-Cookie`.
//!
//! ```
//! use tollgate::plugins::forward_auth::{ForwardAuth, ForwardAuthConfig, ForwardAuthLayer};
//!
//! let mut config = ForwardAuthConfig::default();
//! config.uri = "http://127.0.0.1:9000/verify".to_owned();
//! config.request_headers = vec!["Authorization".to_owned()];
//! config.upstream_headers = vec!["X-User-ID".to_owned()];
//! let layer: ForwardAuthLayer = ForwardAuthLayer::of(ForwardAuth::new(config)?);
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"forward-auth": {"uri": "http://127.0.0.1:9000/verify", "request_headers": ["Authorization"],
//!                   "upstream_headers": ["X-User-ID"], "client_headers": ["Location"]}}
//! ```
mod config;
mod layer;
mod plugin;
#[cfg(test)]
mod tests;

pub use config::{AuthMethod, ForwardAuthConfig};
pub use layer::{ForwardAuth, ForwardAuthLayer};
pub use plugin::ForwardAuthPlugin;
