//! The registry's entry.
use super::{Cedar, CedarConfig, CedarLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Stage};

/// Builds [`Cedar`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct CedarPlugin;

impl Plugin for CedarPlugin {
    const NAME: &'static str = "cedar";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1999;
    type Config = CedarConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<CedarConfig>()
    }

    fn build(&self, config: CedarConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Cedar::new(config).map(|cedar| CedarLayer::of(cedar).into())
    }
}
