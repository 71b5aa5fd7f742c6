//! `proxy-buffering`: taken so that existing configuration loads; answers stream with it and without it. Stage: edge.
//!
//! What an upstream sends is passed on as it comes, and as fast as the client takes it, so there is nothing that
//! `disable_proxy_buffering` could turn off, and nothing is buffered when it is `false`.
//!
//! ```json
//! {"proxy-buffering": {"disable_proxy_buffering": true}}
//! ```
use serde::Deserialize;

use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};

/// Options of `proxy-buffering`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxyBufferingConfig {
    /// Whether answers are passed on as they come. They are in any case. Default `false`.
    pub disable_proxy_buffering: bool,
}

/// Registry entry of `proxy-buffering`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProxyBufferingPlugin;

impl Plugin for ProxyBufferingPlugin {
    const NAME: &'static str = "proxy-buffering";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 21_991;
    type Config = ProxyBufferingConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ProxyBufferingConfig>()
    }

    fn caveats(&self, config: &ProxyBufferingConfig) -> Vec<Caveat> {
        let asked = (!config.disable_proxy_buffering).then(|| {
            let message = "is `false`, but answers are never buffered";
            Caveat::new("disable_proxy_buffering", message, "write `true`, or leave the block out")
        });
        asked.into_iter().collect()
    }

    fn build(&self, _: ProxyBufferingConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(PluginLayer::from_fn(|next| next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_buffering_is_told_that_there_is_none() {
        let fields = |disable_proxy_buffering| {
            let caveats = ProxyBufferingPlugin.caveats(&ProxyBufferingConfig { disable_proxy_buffering });
            caveats.into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
        };
        assert_eq!((fields(true), fields(false)), (vec![], vec!["disable_proxy_buffering".to_owned()]));
    }
}
