//! The registry's entry.
use super::api::purging;
use super::config::GraphqlProxyCacheConfig;
use super::layer::{GraphqlProxyCache, GraphqlProxyCacheLayer};
use crate::PluginLayer;
use crate::cache::Zones;
use crate::plugin::{Api, BuildContext, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::proxy_cache::zone;

/// Builds [`GraphqlProxyCacheLayer`] from configuration. A clone shares its zones.
#[derive(Clone, Debug, Default)]
pub struct GraphqlProxyCachePlugin {
    zones: Zones,
}

impl GraphqlProxyCachePlugin {
    /// With these zones beside those of a configuration: those of `proxy-cache`, as a rule.
    pub fn new(zones: Zones) -> Self {
        Self { zones }
    }
}

impl Plugin for GraphqlProxyCachePlugin {
    const NAME: &'static str = "graphql-proxy-cache";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1009;
    const YIELDS_TO_ROUTE: bool = true;
    const STANDS_AMONG_ROUTES: bool = true;
    type Config = GraphqlProxyCacheConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<GraphqlProxyCacheConfig>()
    }

    fn build(&self, config: GraphqlProxyCacheConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let zone = zone(Self::NAME, &self.zones, config.zone(), config.cache_strategy, cx)?;
        Ok(GraphqlProxyCacheLayer::of(GraphqlProxyCache::new(config, zone)?.with_bodies(cx.bodies())).into())
    }

    fn apis(&self, _: &BuildContext<'_>) -> Result<Vec<Api>, ConfigError> {
        Ok(vec![purging(&self.zones)])
    }
}
