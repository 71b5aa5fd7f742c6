//! The registry's entry.
use serde_json::{Map, Value};

use super::run::Runner;
use super::{BatchRequestsAttr, BatchRequestsConfig, BatchRequestsMetadata};
use crate::plugin::{Api, BuildContext, ConfigError, Plugin, SchemaOf, Stage, shape};
use crate::{Next, PluginLayer};

/// Offers batches to `public-api`. A block of it adds nothing to a route.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchRequestsPlugin;

impl Plugin for BatchRequestsPlugin {
    const NAME: &'static str = "batch-requests";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 4010;
    type Config = BatchRequestsConfig;

    fn schema(of: SchemaOf) -> Option<Value> {
        of.block::<BatchRequestsConfig>().or_else(|| of.metadata::<BatchRequestsMetadata>())
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        let metadata: BatchRequestsMetadata = shape(Self::NAME, metadata)?;
        let at_least_1 = |field: &str, is_0: bool| match is_0 {
            true => Err(ConfigError::invalid(Self::NAME, field, "is at least 1")),
            false => Ok(()),
        };
        at_least_1("max_body_size", metadata.max_body_size == 0)?;
        at_least_1("max_pipeline_items", metadata.max_pipeline_items == 0)
    }

    fn build(&self, _: BatchRequestsConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(PluginLayer::from_fn(|next| next))
    }

    fn apis(&self, cx: &BuildContext<'_>) -> Result<Vec<Api>, ConfigError> {
        let Some(gateway) = cx.gateway() else { return Ok(Vec::new()) };
        let attr: BatchRequestsAttr = cx.attr(Self::NAME)?.unwrap_or_default();
        let runner = Runner { gateway, bodies: cx.bodies(), metadata: cx.metadata(Self::NAME)?.unwrap_or_default() };
        Ok(vec![Api { path: attr.uri, service: Next::from_fn(move |request| runner.clone().answer(request)) }])
    }
}
