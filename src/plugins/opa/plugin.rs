//! The registry's entry.
use http::HeaderName;

use super::{Opa, OpaConfig, OpaLayer};
use crate::PluginLayer;
#[cfg(feature = "rego")]
use crate::plugin::Bench;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::callout::{Callouts, in_clear, unverified};
use crate::plugins::checks::is_identity;

/// Builds [`Opa`] from configuration. Blocks that ask in the same way share connections, also across reloads.
#[derive(Debug, Default)]
pub struct OpaPlugin {
    callouts: Callouts,
    /// Of all blocks of a gateway.
    #[cfg(feature = "rego")]
    bench: Bench,
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
        let in_clear =
            in_clear("host", &config.host, "every field of requests, `Authorization` and `Cookie` among them");
        unverified(config.ssl_verify, "policy").into_iter().chain(in_clear).collect()
    }

    fn build(&self, config: OpaConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let opa = Opa::with_callouts(config, cx.bodies(), &self.callouts)?;
        #[cfg(feature = "rego")]
        let opa = opa.at(&self.bench);
        Ok(OpaLayer::of(opa).into())
    }
}
