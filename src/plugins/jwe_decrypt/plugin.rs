//! The registry's entry.
use std::sync::Arc;

use http::HeaderName;

use super::{JweDecrypt, JweDecryptConfig, JweDecryptCredential, JweDecryptLayer, JweKey};
use crate::PluginLayer;
use crate::plugin::{AuthPlugin, Authenticate, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::checks::is_identity;
use crate::plugins::consumer_auth::required;

/// Longer keys are nobody's.
const MAX_KEY: usize = 1024;

/// Builds [`JweDecrypt`] out of configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct JweDecryptPlugin;

impl Plugin for JweDecryptPlugin {
    const NAME: &'static str = "jwe-decrypt";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2509;
    const SECRET_FIELDS: &'static [&'static str] = &["key", "secret"];
    type Config = JweDecryptConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<JweDecryptConfig>().or_else(|| of.credential::<JweDecryptCredential>())
    }

    /// What only a token can say, where it is not the token's own field.
    fn identity_fields(&self, config: &JweDecryptConfig) -> Vec<HeaderName> {
        let forward = HeaderName::try_from(&config.forward_header).ok();
        let is_told = |name: &HeaderName| is_identity(name) && !config.header.eq_ignore_ascii_case(name.as_str());
        forward.into_iter().filter(is_told).collect()
    }

    fn caveats(&self, config: &JweDecryptConfig) -> Vec<Caveat> {
        let unvouched = config.unauthenticated_header.then(|| {
            let message = "is on: nothing vouches for what the header of a token says, `kid` among it";
            Caveat::new("unauthenticated_header", message, "leave it out once tokens are made as RFC 7516 has it")
        });
        let stays = (!config.header.eq_ignore_ascii_case(&config.forward_header)).then(|| {
            let message = "is another field than `header`: the origin gets the token as well";
            Caveat::new("forward_header", message, "write the same field, or remove the token by `proxy-rewrite`")
        });
        unvouched.into_iter().chain(stays).collect()
    }

    fn build(&self, config: JweDecryptConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(JweDecryptLayer::of(JweDecrypt::new(config, cx.consumers())?).into())
    }
}

impl AuthPlugin for JweDecryptPlugin {
    const UNIQUE: &'static str = "key";
    type Credential = JweDecryptCredential;
    type Secret = JweKey;

    fn credential(&self, block: JweDecryptCredential) -> Result<(Vec<u8>, JweKey), ConfigError> {
        required(Self::NAME, "key", &block.key, MAX_KEY)?;
        let key = JweKey::new(&block)?;
        Ok((block.key.into_bytes(), key))
    }

    fn authenticator(&self, _: JweDecryptConfig, _: &BuildContext<'_>) -> Result<Arc<dyn Authenticate>, ConfigError> {
        let reason = "identifies no consumer, so it is no alternative to plugins that do: put it beside them";
        Err(ConfigError::invalid(Self::NAME, "", reason))
    }
}
