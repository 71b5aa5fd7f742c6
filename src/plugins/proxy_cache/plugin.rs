//! The registry's entry.
use std::sync::Arc;

use super::config::{CacheStrategy, ProxyCacheConfig};
use super::key::Keys;
use super::layer::{ProxyCache, ProxyCacheLayer};
use crate::PluginLayer;
use crate::cache::{Zone, Zones};
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::checks::length;

/// Builds [`ProxyCacheLayer`] from configuration. A clone shares its zones.
#[derive(Clone, Debug, Default)]
pub struct ProxyCachePlugin {
    zones: Zones,
}

impl ProxyCachePlugin {
    /// With these zones beside those of a configuration.
    pub fn new(zones: Zones) -> Self {
        Self { zones }
    }

    /// The zones, those of configurations included.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }
}

/// The zone that a block names.
///
/// # Errors
/// A name of no zone, and one of the other strategy.
pub(in super::super) fn zone(
    plugin: &'static str,
    zones: &Zones,
    name: &str,
    strategy: CacheStrategy,
    cx: &BuildContext<'_>,
) -> Result<Arc<Zone>, ConfigError> {
    let invalid = |reason: String| ConfigError::invalid(plugin, "cache_zone", reason);
    length(plugin, "cache_zone", name, 100)?;
    let zone = match zones.given(name) {
        Some(zone) => zone,
        None => {
            let spec = cx.cache_zone(name).ok_or_else(|| invalid(format!("cache_zone {name} not found")))?;
            zones.configured(spec)
        }
    };
    if zone.is_on_disk() != (strategy == CacheStrategy::Disk) {
        let mend = match strategy {
            CacheStrategy::Disk => "name a zone with a disk_path",
            CacheStrategy::Memory => "name a zone without a disk_path, such as memory_cache",
        };
        let strategy = strategy.as_str();
        return Err(invalid(format!("invalid or empty cache_zone for cache_strategy: {strategy}; {mend}")));
    }
    Ok(zone)
}

impl Plugin for ProxyCachePlugin {
    const NAME: &'static str = "proxy-cache";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1085;
    const YIELDS_TO_ROUTE: bool = true;
    const STANDS_AMONG_ROUTES: bool = true;
    type Config = ProxyCacheConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ProxyCacheConfig>()
    }

    fn build(&self, config: ProxyCacheConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let zone = zone(Self::NAME, &self.zones, config.zone(), config.cache_strategy, cx)?;
        Ok(ProxyCacheLayer::of(ProxyCache::new(config, zone)?.with_bodies(cx.bodies())).into())
    }

    fn caveats(&self, config: &ProxyCacheConfig) -> Vec<Caveat> {
        let one_for_all = Keys::new(&config.cache_key, false).is_ok_and(|keys| !keys.tells_paths_apart());
        let paths = one_for_all.then(|| {
            let message = "does not hold the path: all paths of the route are given one answer";
            Caveat::new("cache_key", message, "add $request_uri, or $uri where queries do not count")
        });
        let strangers = config.purge_from.iter().any(|network| network.ends_with("/0")).then(|| {
            let message = "holds everybody: strangers may take out what is kept";
            Caveat::new("purge_from", message, "name the addresses of those who publish")
        });
        let cookies = config.cache_set_cookie.then(|| {
            let message = "is on: whoever is given a kept answer is given its cookie as well";
            Caveat::new("cache_set_cookie", message, "leave it out, unless the cookies tell nobody apart")
        });
        paths.into_iter().chain(strangers).chain(cookies).collect()
    }
}
