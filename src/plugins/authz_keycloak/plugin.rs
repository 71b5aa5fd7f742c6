//! The registry's entry.
use super::{AuthzKeycloak, AuthzKeycloakConfig, AuthzKeycloakLayer, EnforcementMode};
use crate::PluginLayer;
use crate::model::Sensitive;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Stage};
use crate::plugins::callout::{Callouts, in_clear, unverified};

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
            let message =
                "is `PERMISSIVE`: whom Keycloak grants anything of the client passes where no permission is asked for";
            Caveat::new("policy_enforcement_mode", message, "leave it out, unless every path that counts is a resource")
        });
        let several = (config.permissions.len() > 1).then(|| {
            let message = "has several: Keycloak says yes where it grants one of them";
            Caveat::new("permissions", message, "write one, unless any of them is enough")
        });
        let old_name = config.audience.is_some().then(|| {
            let message = if config.client_id.is_empty() {
                "is the old name of `client_id`"
            } else {
                "does not count beside `client_id`"
            };
            Caveat::new("audience", message, "write `client_id` in its place")
        });
        let leeway = (config.access_token_expires_leeway >= config.access_token_expires_in).then(|| {
            let message =
                "is no shorter than `access_token_expires_in`: the gateway's own token is fetched again every second";
            Caveat::new("access_token_expires_leeway", message, "write less than a token's life")
        });
        let no_secret = config.client_secret.as_ref().is_none_or(Sensitive::is_empty);
        let public = (config.lazy_load_paths && no_secret).then(|| {
            let message = "is missing: Keycloak gives a token to look resources up by to clients with a secret alone";
            Caveat::new("client_secret", message, "write the client's secret")
        });
        let unverified = unverified(config.ssl_verify, "realm");
        let told = "tokens, the client's secret and users' passwords";
        let clear = [("discovery", &config.discovery), ("token_endpoint", &config.token_endpoint)];
        let clear = clear.into_iter().filter_map(|(field, uri)| in_clear(field, uri.as_deref()?, told));
        [open, several, old_name, leeway, public, unverified].into_iter().flatten().chain(clear).collect()
    }

    fn build(&self, config: AuthzKeycloakConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(AuthzKeycloakLayer::of(AuthzKeycloak::with_callouts(config, cx.bodies(), &self.callouts)?).into())
    }
}
