//! The registry's entry.
use http::HeaderName;

use super::{OpenidConnect, OpenidConnectConfig, OpenidConnectLayer, caveats, upstream};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::callout::Callouts;

/// The plugin's name.
pub(super) const NAME: &str = "openid-connect";

/// Builds [`OpenidConnect`] from configuration. Blocks that call in the same way share connections, also across reloads.
#[derive(Debug, Default)]
pub struct OpenidConnectPlugin {
    callouts: Callouts,
}

impl Plugin for OpenidConnectPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2599;
    const SECRET_FIELDS: &'static [&'static str] =
        &["client_secret", "client_rsa_private_key", "dpop.private_key", "session.secret", "session.redis.password"];
    type Config = OpenidConnectConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<OpenidConnectConfig>()
    }

    fn identity_fields(&self, _: &OpenidConnectConfig) -> Vec<HeaderName> {
        // not `X-Access-Token`, which clients may bring as well
        upstream::IDENTITY.to_vec()
    }

    fn caveats(&self, config: &OpenidConnectConfig) -> Vec<Caveat> {
        caveats::of(config)
    }

    fn build(&self, config: OpenidConnectConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(OpenidConnectLayer::of(OpenidConnect::with_callouts(&config, cx.scope(), &self.callouts)?).into())
    }
}
