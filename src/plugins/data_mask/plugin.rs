//! The registry's entry.
use super::config::{DataMaskConfig, MaskType};
use super::mask::{DataMask, DataMaskLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};

/// Registry entry of `data-mask`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DataMaskPlugin;

impl Plugin for DataMaskPlugin {
    const NAME: &'static str = "data-mask";
    const STAGE: Stage = Stage::Observe;
    const PRIORITY: i32 = 1500;
    type Config = DataMaskConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<DataMaskConfig>()
    }

    fn build(&self, config: DataMaskConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(DataMaskLayer::of(DataMask::new(config)?).into())
    }

    fn caveats(&self, config: &DataMaskConfig) -> Vec<Caveat> {
        let bodies = config.request.iter().enumerate().filter(|(_, rule)| rule.kind == MaskType::Body);
        let message = "has no effect: no log shows bodies";
        bodies.map(|(at, _)| Caveat::new(format!("request.{at}"), message, "leave it out")).collect()
    }
}
