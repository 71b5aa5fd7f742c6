//! `proxy-mirror`: sends copies of requests to another service, whose answers nobody sees. Stage: forward, so that what
//! is copied is what the upstream gets: after every plugin that rewrites or refuses.
//!
//! 1. A share of the requests (`sample_ratio`) is copied: method, fields and body, for the same host, with the path
//!    rewritten by `path`, if there is one. Upgrades (WebSocket) and `CONNECT` are not.
//! 2. The copy goes its own way to `host`; it is sent once, never again. What is answered is thrown away.
//! 3. The original neither waits for the copy nor fails with it. At most `max_copies` are under way at a time, and of
//!    the body of each at most `max_body_bytes` are held back for a mirror that is slower than the upstream: what is
//!    beyond that is not copied, or its copy is broken off.
//!
//! Bodies stream: a piece that the upstream gets is copied to the mirror at that moment. So a request whose upstream
//! answers before it has read the body ends the copy as well.
//!
//! `tollgate.plugin_attr.proxy-mirror.timeout` has the mirror's `connect`, `send` and `read` time-outs, unless the
//! route has a `timeout` of its own. The metrics `proxy_mirror_sent_total`, `_failed_total` and `_dropped_total` tell
//! what became of copies.
//!
//! `Host` is the one that the upstream gets, of the route or of `traffic-split`, as its `pass_host` says. What is
//! copied is never copied again: with a mirror in a global rule and one in the route each gets one copy.
//!
//! DEVIATE: under `pass_host: node` it is the first node's name, since the copy does not wait for the choice of one.
//! Elsewhere mirrors are not verified; here those with `https://` and `grpcs://` are, by `tls`.
//!
//! Caveats: the mirror gets what the upstream gets, with passwords, cookies and tokens. A copy of a request that
//! changes something changes it there, too. What is held back counts with the bodies that plugins hold
//! (`limits.buffer_total_bytes`): when there is no room, there is no copy.
//! Functions of the host that stand further in (`serverless-post-function` at `before_proxy`) see copies as well.
//!
//! ```
//! use tollgate::plugins::proxy_mirror::{Mirror, MirrorLayer, MirrorOptions};
//! use tollgate::{Body, Next, Request, Response};
//!
//! // Any tower service may be the mirror, such as an `UpstreamService`.
//! let mirror = Next::from_fn(|request: Request| async move { Response::new(Body::from("seen")) });
//! let layer = MirrorLayer::of(Mirror::to(mirror, MirrorOptions::default())?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"proxy-mirror": {"host": "http://10.0.0.9:8080", "path": "/shadow", "path_concat_mode": "prefix", "sample_ratio": 0.1}}
//! ```
mod config;
mod host;
mod mirror;
mod outcome;
mod plugin;
mod tee;
#[cfg(test)]
mod tests;

pub use config::{MirrorOptions, PathConcatMode, ProxyMirrorAttr, ProxyMirrorConfig, Span, Timeout};
pub use mirror::{Mirror, MirrorLayer};
pub use outcome::Outcomes;
pub use plugin::ProxyMirrorPlugin;
