//! The registry's entry.
use http::HeaderName;

use super::{Opa, OpaConfig, OpaLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::callout::{Callouts, unverified};
use crate::plugins::checks::is_identity;

/// Builds [`Opa`] from configuration. Blocks that ask in the same way share connections, also across reloads.
#[derive(Debug, Default)]
pub struct OpaPlugin {
    callouts: Callouts,
}

impl Plugin for OpaPlugin {
    const NAME: &'static str = "opa";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2001;
    type Config = OpaConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<OpaConfig>()
    }

    /// What the policy says of callers; fields that clients send for reasons of their own are theirs to send elsewhere.
    fn identity_fields(&self, config: &OpaConfig) -> Vec<HeaderName> {
        let names = config.send_headers_upstream.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        names.filter(is_identity).collect()
    }

    fn caveats(&self, config: &OpaConfig) -> Vec<Caveat> {
        unverified(config.ssl_verify, "policy").into_iter().collect()
    }

    fn build(&self, config: OpaConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(OpaLayer::of(Opa::with_callouts(config, cx.bodies(), &self.callouts)?).into())
    }
}
