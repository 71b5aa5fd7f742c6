//! The registry's entry.
use super::{RequestValidation, RequestValidationConfig, RequestValidationLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Stage};

/// Builds [`RequestValidation`] from configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestValidationPlugin;

impl Plugin for RequestValidationPlugin {
    const NAME: &'static str = "request-validation";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 2800;
    type Config = RequestValidationConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<RequestValidationConfig>()
    }

    fn build(&self, config: RequestValidationConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(RequestValidationLayer::of(RequestValidation::with_bodies(config, cx.bodies())?).into())
    }
}
