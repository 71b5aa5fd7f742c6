//! The registry's entry.
use super::config::BodyTransformerConfig;
use super::transformer::{BodyTransformer, BodyTransformerLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Stage};

pub(super) const NAME: &str = "body-transformer";

/// Registry entry of `body-transformer`.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyTransformerPlugin;

impl Plugin for BodyTransformerPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Rewrite;
    const PRIORITY: i32 = 1080;
    type Config = BodyTransformerConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<BodyTransformerConfig>()
    }

    fn build(&self, config: BodyTransformerConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(BodyTransformerLayer::of(BodyTransformer::within(config, cx.bodies())?).into())
    }
}
