//! `graphql-proxy-cache`: keeps the answers to GraphQL queries, in memory or on disk. Stage: access.
//!
//! Decision: 1. other methods than GET and POST: 405. 2. The document is the argument `query` of a GET, the member `query` of
//! a POST's JSON (`application/json` and all of `+json`), or the body of one with `application/graphql`; what is none: 400. 3. A document with a mutation or a
//! subscription passes, and nothing is kept. 4. Any other is answered out of the cache, or its answer is kept if it is a 200
//! that may be, by the rules of [`proxy-cache`](#proxy-cache): `private`, `no-store`, credentials and `Set-Cookie` hold
//! here as there (an answer with `errors` is a 200, too: an origin says `no-store` with those that pass), one request fetches what is missing, and what an origin cuts off is not kept.
//!
//! The key is scheme, host and port, route, service, method, query string, `Accept`, body with its type, and with
//! `consumer_isolation` the caller.
//! In a global rule it stands among the route's plugins, by its priority; a route's own block alone counts.
//! What is kept outlives changes of the configuration. `APISIX-Cache-Key` tells the key, `Apisix-Cache-Status` what the cache did: `HIT`, `MISS`, `EXPIRED`, `REVALIDATED`, `UPDATING`,
//! `STALE`, `BYPASS`.
//!
//! Rejections, `{"message":…}` with 400: `Invalid graphql request: can't get graphql request body`, `invalid graphql request,
//! args[query] is nil`, `invalid graphql request, json body[query] is nil`, `invalid graphql request, error content-type: …`,
//! `Invalid graphql request: failed to parse graphql query`, `Invalid graphql request: empty graphql query`. A body of more
//! than 1 MiB: 413.
//!
//! `PURGE /apisix/plugin/graphql-proxy-cache/<disk|memory>/<route id>/<key>`, on a route with `public-api`, takes an answer out:
//! 200; 404 if nothing was there, or it is another route's; 400 when the path is not of that form or the answer is in a zone of the
//! other kind. Whoever reaches that route may purge: its other plugins guard it.
//!
//! ```
//! use tollgate::cache::Zone;
//! use tollgate::model::{ByteSize, CacheZoneSpec};
//! use tollgate::plugins::graphql_proxy_cache::{GraphqlProxyCache, GraphqlProxyCacheConfig, GraphqlProxyCacheLayer};
//! use tollgate::plugins::proxy_cache::CacheStrategy;
//!
//! let zone = Zone::new(CacheZoneSpec::memory("graphql", ByteSize(64 << 20)));
//! let mut config = GraphqlProxyCacheConfig::default();
//! config.cache_strategy = CacheStrategy::Memory;
//! let layer = GraphqlProxyCacheLayer::of(GraphqlProxyCache::new(config, zone)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"graphql-proxy-cache": {"cache_strategy": "memory", "cache_ttl": 60}}
//! ```
mod api;
mod config;
mod document;
mod layer;
mod plugin;

pub use config::GraphqlProxyCacheConfig;
pub use layer::{GraphqlProxyCache, GraphqlProxyCacheLayer};
pub use plugin::GraphqlProxyCachePlugin;
