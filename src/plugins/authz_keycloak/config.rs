//! The block of configuration.
use serde::Deserialize;

use crate::model::Sensitive;

/// Options of `authz-keycloak`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthzKeycloakConfig {
    /// The client that permissions are asked of, in Keycloak the resource server. Required.
    pub client_id: String,
    /// An old name of `client_id`, which counts where that is missing. Default: none.
    pub audience: Option<String>,
    /// Its secret, for `lazy_load_paths` and the password grant of a client that has one. Default: none.
    pub client_secret: Option<Sensitive>,
    /// Address of the realm's discovery document, `…/.well-known/uma2-configuration`. Required without `token_endpoint`.
    pub discovery: Option<String>,
    /// Address of the token endpoint, in place of the discovered one. Default: none.
    pub token_endpoint: Option<String>,
    /// Address of the resource registration endpoint, in place of the discovered one. Default: none.
    pub resource_registration_endpoint: Option<String>,
    /// The grant that decisions are asked by. Default, and the only one there is, `urn:ietf:params:oauth:grant-type:uma-ticket`.
    pub grant_type: String,
    /// What is asked for with every request: `resource`, `resource#scope` or `#scope`, none of them twice. Keycloak says yes where it
    /// grants one of them. Default: nothing.
    pub permissions: Vec<String>,
    /// What happens where no permission is to be asked for. Default `ENFORCING`.
    pub policy_enforcement_mode: EnforcementMode,
    /// Whether the resources of the request's path, as the client sent it, are asked of Keycloak, in place of `permissions`. Default
    /// `false`.
    pub lazy_load_paths: bool,
    /// Whether the method is asked for as the scope of each resource, none of which has one itself then. Default `false`.
    pub http_method_as_scope: bool,
    /// Longest time in milliseconds of everything that is asked about a request, 1000 or more. Default 3000.
    pub timeout: u64,
    /// Whether Keycloak's certificate is verified. Default `true`.
    pub ssl_verify: bool,
    /// Seconds for which the discovery document holds, 1 or more. Default 86,400.
    pub cache_ttl_seconds: u64,
    /// Whether connections are used again. Default `true`.
    pub keepalive: bool,
    /// Longest idle time of a connection in milliseconds, 1000 or more. Default 60,000.
    pub keepalive_timeout: u64,
    /// Most idle connections, 1 or more. Default 5.
    pub keepalive_pool: usize,
    /// Where whoever is refused is sent, by 307. Default: nowhere, he is answered.
    pub access_denied_redirect_uri: Option<String>,
    /// Seconds for which the gateway's own token holds where Keycloak does not say, 1 or more. Default 300.
    pub access_token_expires_in: u64,
    /// Seconds before its end from which on it is not used any more; a second of its life always counts. Default 0.
    pub access_token_expires_leeway: u64,
    /// Taken and without effect: instead of a refresh, a new token is asked for. Default 3600.
    pub refresh_token_expires_in: u64,
    /// As `refresh_token_expires_in`. Default 0.
    pub refresh_token_expires_leeway: u64,
    /// A path as clients send it, to which `POST` with a form (`application/x-www-form-urlencoded`) of `username` and `password` is
    /// answered with a token of Keycloak. Default: none.
    pub password_grant_token_generation_incoming_uri: Option<String>,
}

impl Default for AuthzKeycloakConfig {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            audience: None,
            client_secret: None,
            discovery: None,
            token_endpoint: None,
            resource_registration_endpoint: None,
            grant_type: "urn:ietf:params:oauth:grant-type:uma-ticket".to_owned(),
            permissions: Vec::new(),
            policy_enforcement_mode: EnforcementMode::default(),
            lazy_load_paths: false,
            http_method_as_scope: false,
            timeout: 3000,
            ssl_verify: true,
            cache_ttl_seconds: 86_400,
            keepalive: true,
            keepalive_timeout: 60_000,
            keepalive_pool: 5,
            access_denied_redirect_uri: None,
            access_token_expires_in: 300,
            access_token_expires_leeway: 0,
            refresh_token_expires_in: 3600,
            refresh_token_expires_leeway: 0,
            password_grant_token_generation_incoming_uri: None,
        }
    }
}

impl AuthzKeycloakConfig {
    /// The client, by either name.
    pub(super) fn client(&self) -> Option<&str> {
        let named = [Some(&*self.client_id), self.audience.as_deref()];
        named.into_iter().flatten().find(|name| !name.is_empty())
    }
}

/// What happens where no permission is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "UPPERCASE")]
pub enum EnforcementMode {
    /// The request is refused.
    #[default]
    Enforcing,
    /// Keycloak is asked whether it grants the token's bearer any permission of the client at all.
    Permissive,
}
