//! The registry's entry.
use serde_json::{Map, Value};

use super::{AuthzCasbin, AuthzCasbinConfig, AuthzCasbinLayer, AuthzCasbinMetadata};
use crate::PluginLayer;
use crate::plugin::{Bench, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage, shape};

/// Builds [`AuthzCasbin`] from configuration.
#[derive(Clone, Debug, Default)]
pub struct AuthzCasbinPlugin {
    /// Of all blocks of a gateway.
    bench: Bench,
}

impl Plugin for AuthzCasbinPlugin {
    const NAME: &'static str = "authz-casbin";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2560;
    type Config = AuthzCasbinConfig;

    fn schema(of: SchemaOf) -> Option<Value> {
        of.block::<AuthzCasbinConfig>().or_else(|| of.metadata::<AuthzCasbinMetadata>())
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        AuthzCasbin::of_metadata(&shape(Self::NAME, metadata)?).map(|_| ())
    }

    fn caveats(&self, config: &AuthzCasbinConfig) -> Vec<Caveat> {
        let name = config.username.to_ascii_lowercase();
        let is_ours = ["x-consumer-", "x-credential-", "x-userinfo"].iter().any(|ours| name.starts_with(ours));
        let open = (!is_ours).then(|| {
            let message = "names a field that clients can send: who writes a name into it is that user";
            Caveat::new("username", message, "name a field that a plugin sets, such as `X-Consumer-Username`")
        });
        open.into_iter().collect()
    }

    fn build(&self, config: AuthzCasbinConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let gate = AuthzCasbin::with_metadata(config, cx.metadata(Self::NAME)?.as_ref())?;
        if !gate.is_armed() {
            let message = "is there neither here nor in the plugin's metadata: every request is answered with 503";
            cx.doubt(Caveat::new("model", message, "write `model` and `policy` here, or into `plugin_metadata`"));
        }
        Ok(AuthzCasbinLayer::of(gate.at(&self.bench)).into())
    }
}
