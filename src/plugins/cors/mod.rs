//! `cors`: lets pages of other origins use a service, as browsers ask for it (the Fetch standard's CORS protocol).
//! Stage: edge.
//!
//! Decision: 1. `OPTIONS` is answered with 200 and no body, at once: a preflight is never authenticated; 2. the origin that
//! is allowed: with `allow_origins_by_metadata`, what a named list of the plugin's metadata allows, else what
//! `allow_origins` does, unless that is `*`; without, with `allow_origins_by_regex` the request's origin if an expression
//! fits; without either, what `allow_origins` allows; 3. if an origin is allowed, every answer gets
//! `Access-Control-Allow-Origin`, `-Allow-Methods`, `-Allow-Headers`, `-Max-Age`, and, as the block says, `-Expose-Headers`
//! and `-Allow-Credentials`, in place of the upstream's own (whose `-Allow-Credentials`
//! comes off where the block allows none); 4. if none is, the answer stays as it is. No request is turned
//! away: it is the browser that keeps an answer from a page.
//!
//! Answers of plugins further in, such as a 401, get the fields as well. Where the fields depend on the origin,
//! `Vary: Origin` is added, so that caches keep the answers apart. Reads `Origin` and `Access-Control-Request-Headers`.
//!
//! Expressions are not anchored: `example\.org` fits `https://example.org.evil.test`; write `^https://example\.org$`. With
//! `**` and `allow_credential` any page on the web acts with its visitors' log-in.
//!
//! ```
//! use tollgate::plugins::cors::{Cors, CorsConfig, CorsLayer};
//!
//! let mut config = CorsConfig::default();
//! config.allow_origins = "https://app.example.org,https://admin.example.org".to_owned();
//! let layer = CorsLayer::of(Cors::new(config)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"cors": {"allow_origins": "https://app.example.org", "allow_methods": "GET,POST", "allow_headers": "**",
//!           "allow_credential": true, "max_age": 600}}
//! ```
mod config;
mod layer;
mod origins;
#[cfg(test)]
mod tests;

pub use config::{CorsConfig, CorsMetadata};
pub(super) use layer::Judged;
pub use layer::{Cors, CorsLayer, CorsPlugin};
