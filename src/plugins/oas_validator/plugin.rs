//! The registry's entry.
use serde_json::{Map, Value};

use super::layer::Lent;
use super::remote::Remotes;
use super::{OasValidator, OasValidatorConfig, OasValidatorLayer, OasValidatorMetadata};
use crate::PluginLayer;
use crate::plugin::{Bench, BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage, shape};
use crate::plugins::json_schema::held_bodies;

/// Builds [`OasValidator`] from configuration. Blocks with the same `spec_url` share the document, also across reloads.
#[derive(Debug, Default)]
pub struct OasValidatorPlugin {
    remotes: Remotes,
    /// Of all blocks of a gateway.
    bench: Bench,
}

impl Plugin for OasValidatorPlugin {
    const NAME: &'static str = "oas-validator";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 512;
    const SECRET_FIELDS: &'static [&'static str] = &["spec_url_request_headers.*"];
    type Config = OasValidatorConfig;

    fn schema(of: SchemaOf) -> Option<Value> {
        of.block::<OasValidatorConfig>().or_else(|| of.metadata::<OasValidatorMetadata>())
    }

    fn caveats(&self, config: &OasValidatorConfig) -> Vec<Caveat> {
        let is_https = config.spec_url.as_ref().is_some_and(|url| url.starts_with("https:"));
        let unverified = (is_https && !config.ssl_verify).then(|| {
            let message = "is off: whoever is on the way can say what requests may be";
            Caveat::new("ssl_verify", message, "write `true`, and give the system the root certificate")
        });
        unverified.into_iter().chain(held_bodies(config.max_req_body_size)).collect()
    }

    fn build(&self, config: OasValidatorConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        let metadata = cx.metadata(Self::NAME)?.unwrap_or_default();
        let lent = Lent { bodies: cx.bodies(), remotes: &self.remotes, metadata };
        Ok(OasValidatorLayer::of(OasValidator::with(config, lent)?.at(&self.bench)).into())
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        let metadata: OasValidatorMetadata = shape(Self::NAME, metadata)?;
        match metadata.spec_url_ttl {
            0 => Err(ConfigError::invalid(Self::NAME, "spec_url_ttl", "is at least 1")),
            _ => Ok(()),
        }
    }
}
