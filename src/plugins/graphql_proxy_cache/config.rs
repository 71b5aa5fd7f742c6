//! The block.
use serde::Deserialize;

use crate::plugins::proxy_cache::CacheStrategy;

/// Options of `graphql-proxy-cache`. All are optional.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GraphqlProxyCacheConfig {
    /// Where answers are kept: `disk` or `memory`. Default `disk`.
    pub cache_strategy: CacheStrategy,
    /// The zone, 1–100 characters: of `tollgate.cache_zones`, or `disk_cache_one` or `memory_cache`. Default
    /// `disk_cache_one`, with the strategy `memory` `memory_cache`.
    pub cache_zone: Option<String>,
    /// How long answers are fresh, in seconds, 1 and up; of a zone on disk those only that do not say so themselves. Default
    /// 300, on disk the zone's `cache_ttl`.
    pub cache_ttl: Option<u32>,
    /// Whether each caller has answers of its own. Default `true`.
    pub consumer_isolation: bool,
    /// Whether answers with `Set-Cookie` are kept, cookie and all. Default `false`.
    pub cache_set_cookie: bool,
}

impl Default for GraphqlProxyCacheConfig {
    fn default() -> Self {
        Self {
            cache_strategy: CacheStrategy::default(),
            cache_zone: None,
            cache_ttl: None,
            consumer_isolation: true,
            cache_set_cookie: false,
        }
    }
}

impl GraphqlProxyCacheConfig {
    /// The name of the zone.
    pub fn zone(&self) -> &str {
        self.cache_zone.as_deref().unwrap_or(self.cache_strategy.standard_zone())
    }
}
