//! The registry's entry.
use std::sync::Arc;

use super::replays::Replays;
use super::signature::REQUEST_TARGET;
use super::{HmacAuth, HmacAuthConfig, HmacAuthCredential};
use crate::PluginLayer;
use crate::model::Sensitive;
use crate::plugin::{
    AroundLayer, AuthPlugin, Authenticate, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage,
};
use crate::plugins::consumer_auth::{forwarded, required};

/// The longest key id and secret.
const MAX: usize = 256;

/// Builds [`HmacAuthLayer`](super::HmacAuthLayer)s out of configuration. A clone shares the memory of signatures.
#[derive(Clone, Debug, Default)]
pub struct HmacAuthPlugin {
    pub(super) replays: Arc<Replays>,
}

impl Plugin for HmacAuthPlugin {
    const NAME: &'static str = "hmac-auth";
    const STAGE: Stage = Stage::Authenticate;
    const PRIORITY: i32 = 2530;
    const SECRET_FIELDS: &'static [&'static str] = &["secret_key"];
    type Config = HmacAuthConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<HmacAuthConfig>().or_else(|| of.credential::<HmacAuthCredential>())
    }

    fn build(&self, config: HmacAuthConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(AroundLayer::of(HmacAuth::new(config, cx.consumers(), self)?.within(cx.bodies())).into())
    }

    fn caveats(&self, config: &HmacAuthConfig) -> Vec<Caveat> {
        let signs = |name: &str| config.signed_headers.iter().any(|signed| signed.eq_ignore_ascii_case(name));
        let doubts = [
            (!signs(REQUEST_TARGET)).then(|| {
                let message = "does not have `@request-target`: a signature counts for every method and target";
                Caveat::new("signed_headers", message, "add `@request-target` and `host`")
            }),
            (config.validate_request_body && !signs("digest")).then(|| {
                let message = "does not have `digest`: who changes the body changes `Digest` with it";
                Caveat::new("signed_headers", message, "add `digest`")
            }),
            (!config.refuse_replays).then(|| {
                let message = "is off: a request can be sent again for as long as its date is taken";
                Caveat::new("refuse_replays", message, "set it to `true`")
            }),
            forwarded(config.hide_credentials),
        ];
        doubts.into_iter().flatten().collect()
    }
}

impl AuthPlugin for HmacAuthPlugin {
    const UNIQUE: &'static str = "key_id";
    type Credential = HmacAuthCredential;
    type Secret = Sensitive;

    fn credential(&self, block: HmacAuthCredential) -> Result<(Vec<u8>, Sensitive), ConfigError> {
        required(Self::NAME, "key_id", &block.key_id, MAX)?;
        required(Self::NAME, "secret_key", block.secret_key.expose(), MAX)?;
        Ok((block.key_id.into_bytes(), block.secret_key))
    }

    fn authenticator(
        &self,
        config: HmacAuthConfig,
        cx: &BuildContext<'_>,
    ) -> Result<Arc<dyn Authenticate>, ConfigError> {
        Ok(Arc::new(HmacAuth::new(config, cx.consumers(), self)?.within(cx.bodies())))
    }
}
