//! `response-rewrite`: changes what clients are answered: status, fields, body.
//!
//! 1. When `vars` do not hold, the answer passes as it is. They see the answer (`status`, `upstream_status`,
//!    `sent_http_<name>`) and the request as it came to this plugin.
//! 2. The status becomes `status_code`.
//! 3. The body becomes `body`, or `filters` replace in it. What told of the old one comes off: length, coding,
//!    `ETag`, `Last-Modified`, ranges and digests. So that it is whole, `Range` comes off requests.
//! 4. The fields: add, then set, then remove. Values are templates over the same variables; a field that is set to an
//!    empty value is removed.
//!
//! Stage: respond, around everything, so answers of inner plugins and of the gateway itself are rewritten as well.
//! Switches of protocol (101) are not. Trailers pass as they are.
//!
//! Filters wait for the whole body, so they are not for streams that never end; what is longer than
//! `max_resp_body_size` is cut off there. A body in gzip or br is decoded first (feature `decode`) and sent plain; any
//! other encoding, and a body that does not decode or is much longer than what comes out of it, is left alone, with an
//! error in the log. A body that breaks off while it is waited for is answered with 502 `{"error_msg":"502 Bad
//! Gateway"}`.
//!
//! ```
//! use tollgate::plugin::AroundLayer;
//! use tollgate::plugins::response_rewrite::{ResponseRewrite, ResponseRewriteConfig};
//!
//! let mut config = ResponseRewriteConfig::default();
//! config.vars = Some(serde_json::json!([["status", "==", 502]]));
//! config.status_code = Some(503);
//! let layer = AroundLayer::of(ResponseRewrite::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"response-rewrite": {
//!   "headers": {"add": ["x-served-by: $host"], "remove": ["x-powered-by"]},
//!   "filters": [{"regex": "http://", "replace": "https://", "scope": "global"}]
//! }}
//! ```
mod body;
mod config;
mod layer;
#[cfg(test)]
mod tests;
pub(super) mod vars;

pub use config::{FilterConfig, FilterScope, ResponseRewriteConfig};
pub use layer::{ResponseRewrite, ResponseRewriteLayer, ResponseRewritePlugin};
