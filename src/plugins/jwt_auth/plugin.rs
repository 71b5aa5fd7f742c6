//! The registry's entry.
use std::sync::Arc;

use http::HeaderName;

use super::{JwtAuth, JwtAuthConfig, JwtAuthCredential, JwtKey, TimeClaim};
use crate::PluginLayer;
use crate::plugin::{AuthPlugin, Authenticate, BuildContext, Caveat, ConfigError, GateLayer, Plugin, SchemaOf, Stage};
use crate::plugins::consumer_auth::{forwarded, required};

/// Longer keys are nobody's.
const MAX_KEY: usize = 1024;

/// Builds [`JwtAuthLayer`](super::JwtAuthLayer)s out of configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct JwtAuthPlugin;

impl Plugin for JwtAuthPlugin {
    const NAME: &'static str = "jwt-auth";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2510;
    const SECRET_FIELDS: &'static [&'static str] = &["secret"];
    type Config = JwtAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<JwtAuthConfig>().or_else(|| of.credential::<JwtAuthCredential>())
    }

    fn build(&self, config: JwtAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(GateLayer::of(JwtAuth::new(config, cx.consumers())?).into())
    }

    fn identity_fields(&self, config: &JwtAuthConfig) -> Vec<HeaderName> {
        config.claims_to_headers.keys().filter_map(|name| HeaderName::try_from(name).ok()).collect()
    }

    fn caveats(&self, config: &JwtAuthConfig) -> Vec<Caveat> {
        let endless = (!config.claims_to_verify.contains(&TimeClaim::Exp)).then(|| {
            let message = "does not have `exp`: a token without an end is taken for ever";
            Caveat::new("claims_to_verify", message, "add `exp`")
        });
        endless.into_iter().chain(forwarded(config.hide_credentials)).collect()
    }
}

impl AuthPlugin for JwtAuthPlugin {
    const UNIQUE: &'static str = "key";
    type Credential = JwtAuthCredential;
    type Secret = JwtKey;

    fn credential(&self, block: JwtAuthCredential) -> Result<(Vec<u8>, JwtKey), ConfigError> {
        required(Self::NAME, "key", &block.key, MAX_KEY)?;
        if block.exp == 0 {
            return Err(ConfigError::invalid(Self::NAME, "exp", "is 0: write 1 second or more, or remove it"));
        }
        let key = JwtKey::new(&block)?;
        Ok((block.key.into_bytes(), key))
    }

    fn authenticator(
        &self,
        config: JwtAuthConfig,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError> {
        Ok(Arc::new(JwtAuth::new(config, cx.consumers())?))
    }
}
