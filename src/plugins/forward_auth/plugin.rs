//! The registry's entry.
use http::HeaderName;

use super::{ForwardAuth, ForwardAuthConfig, ForwardAuthLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::callout::{Callouts, unverified};
use crate::plugins::checks::is_identity;

/// Builds [`ForwardAuth`] from configuration. Blocks that ask in the same way share connections, also across reloads.
#[derive(Debug, Default)]
pub struct ForwardAuthPlugin {
    callouts: Callouts,
}

impl Plugin for ForwardAuthPlugin {
    const NAME: &'static str = "forward-auth";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2002;
    type Config = ForwardAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ForwardAuthConfig>()
    }

    /// What the service says of callers. A field that it is asked with is the client's own to send, and so are the usual ones
    /// that bring a client's credentials.
    fn identity_fields(&self, config: &ForwardAuthConfig) -> Vec<HeaderName> {
        let asked =
            |name: &HeaderName| config.request_headers.iter().any(|asked| asked.eq_ignore_ascii_case(name.as_str()));
        let names = config.upstream_headers.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        names.filter(|name| is_identity(name) && !asked(name)).collect()
    }

    fn caveats(&self, config: &ForwardAuthConfig) -> Vec<Caveat> {
        let away = config.allow_degradation.then(|| {
            let message = "is on: while the service is away, everybody passes";
            Caveat::new("allow_degradation", message, "leave it out, unless an outage is worse than a stranger")
        });
        away.into_iter().chain(unverified(config.ssl_verify, "service")).collect()
    }

    fn build(&self, config: ForwardAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(ForwardAuthLayer::of(ForwardAuth::with_callouts(config, &self.callouts)?.within(cx.bodies())).into())
    }
}
