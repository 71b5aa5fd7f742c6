//! The registry's entry.
use std::sync::Arc;

use super::password::{Judge, Password};
use super::{BasicAuth, BasicAuthConfig, BasicAuthCredential};
use crate::PluginLayer;
use crate::plugin::{
    AroundLayer, AuthPlugin, Authenticate, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage,
};
use crate::plugins::consumer_auth::{forwarded, required};

/// Longer names are nobody's.
const MAX_USERNAME: usize = 1024;
/// Longer passwords are refused in configuration.
const MAX_PASSWORD: usize = 4096;

/// Builds [`BasicAuthLayer`](super::BasicAuthLayer)s out of configuration. A clone shares the key under which passwords are
/// kept: credentials of one instance are of no use to layers of another.
#[derive(Clone, Debug, Default)]
pub struct BasicAuthPlugin {
    pub(super) judge: Arc<Judge>,
}

impl Plugin for BasicAuthPlugin {
    const NAME: &'static str = "basic-auth";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2520;
    const SECRET_FIELDS: &'static [&'static str] = &["password"];
    type Config = BasicAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<BasicAuthConfig>().or_else(|| of.credential::<BasicAuthCredential>())
    }

    fn build(&self, config: BasicAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(AroundLayer::of(BasicAuth::new(config, cx.consumers(), self)?).into())
    }

    fn caveats(&self, config: &BasicAuthConfig) -> Vec<Caveat> {
        forwarded(config.hide_credentials).into_iter().collect()
    }
}

impl AuthPlugin for BasicAuthPlugin {
    const UNIQUE: &'static str = "username";
    type Credential = BasicAuthCredential;
    type Secret = Password;

    fn credential(&self, block: BasicAuthCredential) -> Result<(Vec<u8>, Password), ConfigError> {
        required(Self::NAME, "username", &block.username, MAX_USERNAME)?;
        if block.username.contains(':') {
            let reason = "has a colon, which ends a user name in a request: choose another one";
            return Err(ConfigError::invalid(Self::NAME, "username", reason));
        }
        required(Self::NAME, "password", block.password.expose(), MAX_PASSWORD)?;
        Ok((block.username.into_bytes(), self.judge.keep(&block.password)?))
    }

    fn authenticator(
        &self,
        config: BasicAuthConfig,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError> {
        Ok(Arc::new(BasicAuth::new(config, cx.consumers(), self)?))
    }
}
