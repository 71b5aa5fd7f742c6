//! The registry's entry.
use super::{RequestValidation, RequestValidationConfig, RequestValidationLayer};
use crate::PluginLayer;
use crate::plugin::{Bench, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::json_schema::held_bodies;

/// Builds [`RequestValidation`] from configuration.
#[derive(Clone, Debug, Default)]
pub struct RequestValidationPlugin {
    /// Of all blocks of a gateway.
    bench: Bench,
}

impl Plugin for RequestValidationPlugin {
    const NAME: &'static str = "request-validation";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 2800;
    type Config = RequestValidationConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<RequestValidationConfig>()
    }

    fn caveats(&self, config: &RequestValidationConfig) -> Vec<Caveat> {
        held_bodies(config.max_req_body_size).into_iter().collect()
    }

    fn build(&self, config: RequestValidationConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(RequestValidationLayer::of(RequestValidation::with_bodies(config, cx.bodies())?.at(&self.bench)).into())
    }
}
