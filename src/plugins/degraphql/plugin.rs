//! The registry's entry.
use super::config::DegraphqlConfig;
use super::document::operations;
use super::layer::{Degraphql, DegraphqlLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};

pub(super) const NAME: &str = "degraphql";

/// Registry entry of `degraphql`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DegraphqlPlugin;

impl Plugin for DegraphqlPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 509;
    type Config = DegraphqlConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<DegraphqlConfig>()
    }

    fn build(&self, config: DegraphqlConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let (bodies, most) = (cx.bodies(), config.max_req_body_size);
        let plugin = Degraphql::within(config, bodies.clone())?;
        bodies.doubt_size(cx, "max_req_body_size", most);
        Ok(DegraphqlLayer::of(plugin).into())
    }

    fn caveats(&self, config: &DegraphqlConfig) -> Vec<Caveat> {
        let all = operations(&config.query).unwrap_or_default();
        let meant = all.iter().find(|one| config.operation_name.is_none() || one.name == config.operation_name);
        let message =
            "is a mutation, and a GET asks for it as well: links and pages of others can make clients do that";
        let doubt = meant.filter(|operation| operation.is_mutation);
        doubt.map(|_| Caveat::new("query", message, "let the route's `methods` be [POST]")).into_iter().collect()
    }
}
