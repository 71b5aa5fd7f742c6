//! The registry's entry.
use super::{ForwardAuth, ForwardAuthConfig, ForwardAuthLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, Stage};
use crate::plugins::callout::Callouts;

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

    fn build(&self, config: ForwardAuthConfig, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(ForwardAuthLayer::of(ForwardAuth::with_callouts(config, &self.callouts)?).into())
    }
}
