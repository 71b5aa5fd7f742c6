//! The registry's entry.
use super::{AuthzKeycloak, AuthzKeycloakConfig, AuthzKeycloakLayer, EnforcementMode};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::callout::Callouts;

/// Builds [`AuthzKeycloak`] from configuration. Blocks that ask in the same way share connections, also across reloads.
#[derive(Debug, Default)]
pub struct AuthzKeycloakPlugin {
    callouts: Callouts,
}

impl Plugin for AuthzKeycloakPlugin {
    const NAME: &'static str = "authz-keycloak";
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 2000;
    const SECRET_FIELDS: &'static [&'static str] = &["client_secret"];
    type Config = AuthzKeycloakConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<AuthzKeycloakConfig>()
    }

    fn caveats(&self, config: &AuthzKeycloakConfig) -> Vec<Caveat> {
        let open = (config.policy_enforcement_mode == EnforcementMode::Permissive).then(|| {
            let message = "is `PERMISSIVE`: whoever has any token passes where there is nothing to ask for";
            Caveat::new("policy_enforcement_mode", message, "leave it out, unless every path that counts is a resource")
        });
        let unverified = (!config.ssl_verify).then(|| {
            let message = "is off: whoever is on the way can answer for Keycloak";
            Caveat::new("ssl_verify", message, "leave it out, and give the system the root certificate")
        });
        open.into_iter().chain(unverified).collect()
    }

    fn build(&self, config: AuthzKeycloakConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(AuthzKeycloakLayer::of(AuthzKeycloak::with_callouts(config, cx.bodies(), &self.callouts)?).into())
    }
}
