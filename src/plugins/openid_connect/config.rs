//! The block of configuration.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::Sensitive;

/// Options of `openid-connect`.
///
/// `client_id` and `discovery` are required. `client_secret` is, unless the client proves itself in another way: with
/// `bearer_only` and `public_key`, `use_jwks` or introspection by `private_key_jwt`; without it by
/// `token_endpoint_auth_method: private_key_jwt` or `use_pkce: true`. `session` is required unless `bearer_only`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OpenidConnectConfig {
    /// The client's id at the provider. Required.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Option<Sensitive>,
    /// URL of the provider's discovery document (OpenID Connect Discovery 1.0 §4). Required. With an `https` URL, the
    /// endpoints that the document names must be `https` too.
    pub discovery: String,
    /// Scopes that are asked for at log-in, separated by blanks. Default `openid`.
    pub scope: String,
    /// Whether the provider's certificate is verified. Default `true`.
    pub ssl_verify: bool,
    /// Longest time of one call to the provider in seconds, 1 or more. Default 3.
    pub timeout: u64,
    /// Only bearer tokens are taken, nobody is sent to log in. Default `false`.
    pub bearer_only: bool,
    /// Where bearer tokens are introspected (RFC 7662). Setting it turns bearer tokens on beside log-in. Default: what
    /// the discovery document says, used with `bearer_only` and neither `public_key` nor `use_jwks`.
    pub introspection_endpoint: Option<String>,
    /// How the client proves itself at that endpoint. Default `client_secret_basic`.
    pub introspection_endpoint_auth_method: ClientAuthMethod,
    /// How the client proves itself at the token, revocation and pushed-authorization endpoints. Default
    /// `client_secret_basic`.
    pub token_endpoint_auth_method: ClientAuthMethod,
    /// `realm` of `WWW-Authenticate`; printable ASCII without `"` and `\`. Default `tollgate`.
    pub realm: String,
    /// Path that ends the session, exactly as the request's path has it. Default `/logout`.
    pub logout_path: String,
    /// Where the provider sends the browser back: an absolute URL or a path on the host of the request. The route must
    /// match it. Default: the path of the request with `/.apisix/redirect` behind.
    pub redirect_uri: Option<String>,
    /// Where the browser goes after log-out: an absolute URL or a path. Default: where the provider sends it.
    pub post_logout_redirect_uri: Option<String>,
    /// What happens to a request without a session: `auth` (302 to the provider), `deny` (401), `pass` (it goes on
    /// without identity). Default `auth`.
    pub unauth_action: UnauthAction,
    /// PEM of the public key (RSA, EC or Ed25519) that bearer tokens are verified with, instead of the provider's keys.
    pub public_key: Option<String>,
    /// Whether bearer tokens are verified with the keys of the provider's `jwks_uri`. Default `false`.
    pub use_jwks: bool,
    /// Signature algorithms that are accepted, one or a list. Default: those of the key that verifies (`alg` of the key,
    /// else those of its type). `HS256`, `HS384` and `HS512` are accepted for ID tokens alone, when named here, with
    /// `client_secret` as the key.
    pub token_signing_alg_values_expected: Option<OneOrMany>,
    /// PKCE with S256 (RFC 7636). Default: on where the provider's discovery document names `S256`; `true` makes it a
    /// must, `false` turns it off.
    pub use_pkce: Option<bool>,
    /// Whether a nonce binds the ID token to the log-in. Default `true`; `false` is for providers that do not echo it.
    pub use_nonce: Option<bool>,
    /// Whether an expired access token of a session is renewed by its refresh token. Default `true`.
    pub renew_access_token_on_expiry: bool,
    /// Lifetime of access tokens in seconds where the provider does not tell, 1 or more. Default 3600.
    pub access_token_expires_in: u64,
    /// Seconds after a log-in until the provider is asked again without a prompt. Default: never.
    pub refresh_session_interval: Option<u64>,
    /// Tolerance in seconds for `iat`, and up to 60 of them for `exp` and `nbf`. Default 120.
    pub iat_slack: u64,
    /// Refused when `true`: unsigned tokens are never accepted (security.md AUTH-02).
    pub accept_none_alg: bool,
    /// Refused when `true`: a token that cannot be verified is never accepted. Default `false`, unlike the catalogue.
    pub accept_unsupported_alg: bool,
    /// Seconds before its end at which an access token counts as expired. Default 0.
    pub access_token_expires_leeway: u64,
    /// Refused when `true`: each request would be sent to the provider. `refresh_session_interval`, or `prompt` or
    /// `max_age` in `authorization_params`, do what it is meant for.
    pub force_reauthorize: bool,
    /// Whether log-out revokes refresh and access token (RFC 7009). Default `false`.
    pub revoke_tokens_on_logout: bool,
    /// Seconds for which discovery document and keys are kept, 1 or more. An unknown key id asks again earlier, at most
    /// every 10 s. Default 86,400.
    pub jwk_expires_in: u64,
    /// Without effect: verified tokens are not cached, so each request verifies anew. Default `false`.
    pub jwt_verification_cache_ignore: bool,
    /// Without effect: each block has caches of its own. Default: none.
    pub cache_segment: Option<String>,
    /// Most seconds for which an introspection's outcome is kept; 0: until the token expires. Outcomes without an expiry
    /// are kept for this time only. Default 0.
    pub introspection_interval: u64,
    /// Claim of the introspection's answer that holds the expiry, in Unix seconds. Default `exp`.
    pub introspection_expiry_claim: String,
    /// Fields of the request that go along with an introspection; at least one if set.
    pub introspection_addon_headers: Option<Vec<String>>,
    /// Scopes that a token or session must have; else 403.
    pub required_scopes: Vec<String>,
    /// JSON Schema for the claims of a bearer token, or for `{"access_token", "id_token", "user"}` of a session.
    /// References to other documents are refused.
    pub claim_schema: Option<Value>,
    /// Checks of single claims.
    pub claim_validator: ClaimValidator,
    /// Whether the access token goes upstream, as `X-Access-Token`. Default `true`.
    pub set_access_token_header: bool,
    /// Sends it as `Authorization: Bearer` instead. Default `false`.
    pub access_token_in_authorization_header: bool,
    /// Whether the ID token's claims go upstream, as `X-ID-Token` (JSON in base64). Default `true`.
    pub set_id_token_header: bool,
    /// Whether the ID token itself goes upstream, as `X-Raw-ID-Token`. Default `false`.
    pub set_raw_id_token_header: bool,
    /// Whether the user goes upstream, as `X-Userinfo` (JSON in base64): the provider's userinfo with a session, the
    /// token's claims with a bearer token. Default `true`.
    pub set_userinfo_header: bool,
    /// Whether the refresh token goes upstream, as `X-Refresh-Token`. Default `false`.
    pub set_refresh_token_header: bool,
    /// Refused: calls to the provider go there directly, not through a proxy.
    pub proxy_opts: Option<Map<String, Value>>,
    /// Further parameters of the authorization request, such as `prompt` or `acr_values`. The parameters of the flow
    /// itself (`client_id`, `state`, …) cannot be set.
    pub authorization_params: BTreeMap<String, String>,
    /// PEM of the RSA key for `private_key_jwt`.
    pub client_rsa_private_key: Option<Sensitive>,
    /// Its `kid` in the assertion. Default: none.
    pub client_rsa_private_key_id: Option<String>,
    /// Lifetime in seconds of an assertion by which the client proves itself, 1 or more. Default 60.
    pub client_jwt_assertion_expires_in: u64,
    /// Algorithm of that assertion. Default `RS256` for `private_key_jwt`, `HS256` for `client_secret_jwt`.
    pub client_jwt_assertion_alg: Option<String>,
    /// `aud` of that assertion. Default: the endpoint that it is sent to.
    pub client_jwt_assertion_audience: Option<String>,
    /// Pushed authorization requests (RFC 9126).
    pub par: ParConfig,
    /// Refused when `enabled`: tokens are bearer tokens, not bound by DPoP (RFC 9449).
    pub dpop: DpopConfig,
    /// Where the session lives. Required unless `bearer_only`.
    pub session: Option<SessionConfig>,
}

impl Default for OpenidConnectConfig {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_secret: None,
            discovery: String::new(),
            scope: "openid".to_owned(),
            ssl_verify: true,
            timeout: 3,
            bearer_only: false,
            introspection_endpoint: None,
            introspection_endpoint_auth_method: ClientAuthMethod::default(),
            token_endpoint_auth_method: ClientAuthMethod::default(),
            realm: "tollgate".to_owned(),
            logout_path: "/logout".to_owned(),
            redirect_uri: None,
            post_logout_redirect_uri: None,
            unauth_action: UnauthAction::default(),
            public_key: None,
            use_jwks: false,
            token_signing_alg_values_expected: None,
            use_pkce: None,
            use_nonce: None,
            renew_access_token_on_expiry: true,
            access_token_expires_in: 3600,
            refresh_session_interval: None,
            iat_slack: 120,
            accept_none_alg: false,
            accept_unsupported_alg: false,
            access_token_expires_leeway: 0,
            force_reauthorize: false,
            revoke_tokens_on_logout: false,
            jwk_expires_in: 86_400,
            jwt_verification_cache_ignore: false,
            cache_segment: None,
            introspection_interval: 0,
            introspection_expiry_claim: "exp".to_owned(),
            introspection_addon_headers: None,
            required_scopes: Vec::new(),
            claim_schema: None,
            claim_validator: ClaimValidator::default(),
            set_access_token_header: true,
            access_token_in_authorization_header: false,
            set_id_token_header: true,
            set_raw_id_token_header: false,
            set_userinfo_header: true,
            set_refresh_token_header: false,
            proxy_opts: None,
            authorization_params: BTreeMap::new(),
            client_rsa_private_key: None,
            client_rsa_private_key_id: None,
            client_jwt_assertion_expires_in: 60,
            client_jwt_assertion_alg: None,
            client_jwt_assertion_audience: None,
            par: ParConfig::default(),
            dpop: DpopConfig::default(),
            session: None,
        }
    }
}

/// What happens to a request without a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UnauthAction {
    /// It is sent to the provider: 302.
    #[default]
    Auth,
    /// It is refused: 401.
    Deny,
    /// It goes on without identity.
    Pass,
}

/// How a client proves itself (OpenID Connect Core 1.0 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMethod {
    /// HTTP Basic.
    #[default]
    ClientSecretBasic,
    /// `client_secret` in the form.
    ClientSecretPost,
    /// An assertion signed with the secret.
    ClientSecretJwt,
    /// An assertion signed with `client_rsa_private_key`.
    PrivateKeyJwt,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Checks of single claims.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClaimValidator {
    /// Who may have issued a bearer token.
    pub issuer: IssuerValidator,
    /// Whom it must be for.
    pub audience: AudienceValidator,
}

/// Who may have issued a bearer token.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IssuerValidator {
    /// Issuers that are accepted; at least one if set. Default: the one of the discovery document.
    pub valid_issuers: Option<Vec<String>>,
}

/// Whom a token must be for.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AudienceValidator {
    /// The claim that names it: a text or a list. Default `aud`.
    pub claim: String,
    /// Whether the claim must be there. Default `false`.
    pub required: bool,
    /// Whether it must name `client_id`. Default `false`; without it a token that the provider issued for another service
    /// is taken too.
    pub match_with_client_id: bool,
}

impl Default for AudienceValidator {
    fn default() -> Self {
        Self { claim: "aud".to_owned(), required: false, match_with_client_id: false }
    }
}

/// Pushed authorization requests (RFC 9126).
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ParConfig {
    /// Whether they are used. Default `false`.
    pub enabled: bool,
    /// Where they are pushed. Default: what the discovery document says.
    pub endpoint: Option<String>,
    /// How the client proves itself there. Default: `token_endpoint_auth_method`.
    pub endpoint_auth_method: Option<ClientAuthMethod>,
}

/// DPoP (RFC 9449), which is refused when enabled.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DpopConfig {
    /// Must be `false`, the default.
    pub enabled: bool,
    /// Without effect.
    pub signing_alg: Option<String>,
    /// Without effect.
    pub private_key: Option<Sensitive>,
    /// Without effect.
    pub public_jwk: Option<Value>,
}

/// Where a session lives and for how long. A time of 0 means no limit of that kind.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Secret that the keys of all cookies are derived from, 16 characters or more; the same on all gateways. Required.
    pub secret: Sensitive,
    /// Name of the session's cookie; further pieces of a long session are `<name>_1` and so on. Default
    /// `tollgate_session_` and a digest of where the block is written, so that two routes do not overwrite each other.
    pub cookie_name: Option<String>,
    /// `Path`. Default `/`.
    pub cookie_path: String,
    /// `Domain`. Default: none, the host alone.
    pub cookie_domain: Option<String>,
    /// `Secure`. Default `true`: browsers then keep the cookie only of `https` pages (and `localhost`).
    pub cookie_secure: bool,
    /// `HttpOnly`. Default `true`.
    pub cookie_http_only: bool,
    /// `SameSite` of the session's cookie. Default `Lax`. Cookies of a log-in under way are always `Lax`, since the
    /// provider's answer comes from another site.
    pub cookie_same_site: SameSite,
    /// Seconds without a request after which a session ends, counted in steps of a minute. Default 900.
    pub idling_timeout: u64,
    /// Seconds after which a session ends unless a request has renewed it in the last quarter. Default 3600.
    pub rolling_timeout: u64,
    /// Seconds after the log-in at which a session ends. Default 86,400.
    pub absolute_timeout: u64,
    /// `cookie`: encrypted in the browser's cookie. `redis`: in Redis, with its name in the cookie; needs the feature
    /// `redis`. Default `cookie`.
    pub storage: Storage,
    /// The Redis server of `storage: redis`.
    pub redis: Option<RedisSessions>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            secret: Sensitive::default(),
            cookie_name: None,
            cookie_path: "/".to_owned(),
            cookie_domain: None,
            cookie_secure: true,
            cookie_http_only: true,
            cookie_same_site: SameSite::default(),
            idling_timeout: 900,
            rolling_timeout: 3600,
            absolute_timeout: 86_400,
            storage: Storage::default(),
            redis: None,
        }
    }
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SameSite {
    /// Never sent with requests that come from other sites.
    Strict,
    /// Sent when another site's link is followed.
    #[default]
    Lax,
    /// Always sent.
    None,
    /// The attribute is left out.
    Default,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// In the cookie, encrypted.
    #[default]
    Cookie,
    /// In Redis.
    Redis,
}

/// The Redis server of sessions.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisSessions {
    /// Host name or address. Required.
    pub host: String,
    /// Port. Default 6379.
    pub port: u16,
    /// User of an access list. Default: none.
    pub username: Option<String>,
    /// Password. Default: none.
    pub password: Option<Sensitive>,
    /// Number of the database. Default 0.
    pub database: u32,
    /// What keys begin with; a `:` follows. Default `sessions`.
    pub prefix: String,
    /// TLS towards the server. Default `false`.
    pub ssl: bool,
    /// Whether its certificate is verified. Default `true`.
    pub ssl_verify: bool,
    /// Name in its certificate; refused unless it is `host`, the default.
    pub server_name: Option<String>,
    /// Milliseconds to connect, 1 to 3,600,000. Default 1000.
    pub connect_timeout: u64,
    /// Milliseconds to send a command, added to `read_timeout`; 1 to 3,600,000. Default 1000.
    pub send_timeout: u64,
    /// Milliseconds to wait for an answer, 1 to 3,600,000. Default 1000.
    pub read_timeout: u64,
    /// Without effect: one connection serves all requests and is kept. Default 10,000.
    pub keepalive_timeout: u64,
}

impl Default for RedisSessions {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 6379,
            username: None,
            password: None,
            database: 0,
            prefix: "sessions".to_owned(),
            ssl: false,
            ssl_verify: true,
            server_name: None,
            connect_timeout: 1000,
            send_timeout: 1000,
            read_timeout: 1000,
            keepalive_timeout: 10_000,
        }
    }
}
