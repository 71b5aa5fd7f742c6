//! `proxy-cache`: keeps answers of upstreams, in memory or on disk, and gives them to whoever asks for the same again (a
//! shared cache, RFC 9111). Stage: access.
//!
//! Decision: 1. `PURGE` takes out what the zone keeps of the URL, all variants of it, of all callers and routes: 200, or 404 if nothing
//! was there; 403 unless the client is in `purge_from`, and comes through no proxy that is not trusted. 2. Methods that
//! are not in `cache_method`, upgrades, `If-Match`, GETs with a body and POSTs with conditions or ranges pass; a method
//! that changes something takes out what was kept of the URL when it succeeds. 3. What is kept and fresh is the answer,
//! also as 304, 206 or 416 where the request asks for that, and to a HEAD. 4. What is kept and over is checked with the
//! upstream (`If-None-Match`, `If-Modified-Since`); one that answers 304 of something else is asked for that. 5. One request fetches what is missing; others that ask for the
//! same meanwhile wait for it, at most `collapse_timeout_ms`, and go themselves when it turns out not to be theirs. 6.
//! Answers flow to the client while they are kept; one that breaks off is not kept. Who asks for all bytes from the first on
//! (`bytes=0-`, as players do) has the whole fetched for everybody, and gets it as a part; other parts pass.
//!
//! Never kept are answers that say `private`, `no-store`, `no-cache` or `Vary: *`, those with `Set-Cookie` (unless
//! `cache_set_cookie`), parts (206), the gateway's own errors, pages under names of files (`/account/x.css` as HTML),
//! bodies that only the end of the connection ends, streams of events, answers with trailers, and answers to requests
//! with credentials or of known callers, unless the answer says `public`, `s-maxage` or `must-revalidate` or the key
//! holds the caller. The key is route, scheme, host and port, target, host and upstream as plugins have changed them, method,
//! `cache_key`, of a POST the body with its type, and with `consumer_isolation` the caller; beside it answers are told apart
//! by the fields that their `Vary` names.
//! `X-Forwarded-*`, `X-Original-URL` and the like do not reach the upstream, unless `cache_key` has them or a plugin has written them
//! to tell who calls.
//!
//! How long an answer is fresh: on disk as long as it says itself (`s-maxage`, `max-age`, `Expires`), else `cache_ttl`, else
//! the zone's; in memory `cache_ttl` whatever the answer says, or with `cache_control` as long as it says itself, and one
//! that says nothing is not kept. `stale-while-revalidate` and `stale-if-error` of answers count.
//!
//! Writes `Age`, and what it did in `Apisix-Cache-Status`: `HIT`; `MISS`; `BYPASS`; `EXPIRED` (fetched anew); `REVALIDATED`
//! (good still); `UPDATING` (over, and being fetched anew); `STALE` (over, and the upstream is away; or the request wanted it
//! fresher than it was and it has been fetched anew). 504 without a body answers `only-if-cached`.
//!
//! What is answered here passes no plugin further in: a hit is not counted by limits, whose priority is lower, nor judged by
//! `oas-validator`. In a global rule it stands among the route's plugins, by its priority, so that access lists of routes come first; where a
//! route has a block of its own, that one alone counts.
//! [cache.md](cache.md) tells more.
//!
//! ```
//! use tollgate::cache::Zone;
//! use tollgate::model::{ByteSize, CacheZoneSpec};
//! use tollgate::plugins::proxy_cache::{ProxyCache, ProxyCacheConfig, ProxyCacheLayer};
//!
//! let zone = Zone::new(CacheZoneSpec::memory("pages", ByteSize(64 << 20)));
//! let layer = ProxyCacheLayer::of(ProxyCache::new(ProxyCacheConfig::memory(), zone)?); // for axum, `Route::layer`, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"proxy-cache": {"cache_strategy": "memory", "cache_zone": "memory_cache", "cache_ttl": 60}}
//! ```
mod config;
mod key;
mod layer;
mod plugin;
#[cfg(test)]
mod tests;

pub(super) use key::Keys;
pub(super) use plugin::zone;

pub use config::{CacheMethod, CacheStrategy, ProxyCacheConfig};
pub use layer::{ProxyCache, ProxyCacheLayer};
pub use plugin::ProxyCachePlugin;
