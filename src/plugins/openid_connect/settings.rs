//! A block of configuration, judged and compiled.
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::header::{CONTENT_LENGTH, HOST, HeaderName};
use http::{HeaderValue, Uri};
use jsonschema::Validator;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey};

use super::client_auth::ClientAuth;
use super::keys::Key;
use super::plugin::NAME;
use super::token::Acceptance;
use super::{AudienceValidator, ClientAuthMethod, OpenidConnectConfig, SameSite, SessionConfig, UnauthAction};
use crate::hop::is_hop;
use crate::plugin::ConfigError;
use crate::plugins::browser::is_local;
use crate::plugins::callout::{CalloutConfig, http_uri};

/// What is behind a path that the block did not name.
const BESIDE: &str = "/.apisix/redirect";

/// Parameters of the authorization request that belong to the flow.
const RESERVED: [&str; 12] = [
    "client_id",
    "client_secret",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// What is decided with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) bearer: Bearer,
    /// `Bearer realm="…"`.
    pub(super) challenge: String,
    pub(super) acceptance: Acceptance,
    /// The key of ID tokens that are signed with the client's secret.
    pub(super) secret_key: Option<Key>,
    pub(super) issuers: Option<Vec<String>>,
    pub(super) audience: AudienceValidator,
    pub(super) required_scopes: Vec<String>,
    pub(super) schema: Option<Validator>,
    pub(super) introspection: Introspection,
    pub(super) upstream: UpstreamFields,
    pub(super) login: Login,
}

/// How bearer tokens are verified.
#[derive(Debug)]
pub(super) enum Bearer {
    /// They are not taken.
    None,
    /// With the key of the block.
    PublicKey(Box<Key>),
    /// With the provider's keys.
    Keys,
    /// By the provider (RFC 7662).
    Introspection,
}

#[derive(Debug)]
pub(super) struct Introspection {
    pub(super) endpoint: Option<Uri>,
    pub(super) method: ClientAuthMethod,
    pub(super) interval: Option<Duration>,
    pub(super) expiry_claim: String,
    pub(super) headers: Vec<HeaderName>,
}

/// Which fields go upstream.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the block")]
pub(super) struct UpstreamFields {
    pub(super) access_token: bool,
    pub(super) in_authorization: bool,
    pub(super) id_token: bool,
    pub(super) raw_id_token: bool,
    pub(super) userinfo: bool,
    pub(super) refresh_token: bool,
}

#[derive(Debug)]
pub(super) struct Login {
    pub(super) scope: String,
    pub(super) unauth_action: UnauthAction,
    pub(super) landing: Landing,
    pub(super) logout_path: String,
    pub(super) post_logout: Option<String>,
    pub(super) method: ClientAuthMethod,
    /// `None`: where the provider takes it.
    pub(super) pkce: Option<bool>,
    pub(super) nonce: bool,
    pub(super) params: Vec<(String, String)>,
    /// Pushed requests: whether, where, and how the client proves itself.
    pub(super) par: Option<(Option<Uri>, ClientAuthMethod)>,
    pub(super) renew: bool,
    /// Seconds.
    pub(super) default_lifetime: u64,
    /// Seconds.
    pub(super) leeway: u64,
    /// Seconds.
    pub(super) ask_again: Option<u64>,
    pub(super) revoke: bool,
}

/// Where the provider sends the browser back.
#[derive(Debug)]
pub(super) enum Landing {
    Absolute {
        uri: String,
        path: String,
    },
    Path(String),
    /// The path of the request with [`BESIDE`] behind.
    Beside,
}

/// Where a request stands, as its client sees it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `http://host:port`.
    pub(super) origin: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
}

impl Place {
    /// Path and query.
    pub(super) fn target(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }
}

impl Landing {
    /// Whether a request is the provider's answer.
    pub(super) fn is_at(&self, path: &str) -> bool {
        match self {
            Self::Absolute { path: landing, .. } | Self::Path(landing) => path == landing,
            Self::Beside => path.ends_with(BESIDE),
        }
    }

    /// The `redirect_uri` for a request.
    pub(super) fn uri(&self, place: &Place) -> String {
        match self {
            Self::Absolute { uri, .. } => uri.clone(),
            Self::Path(path) => format!("{}{path}", place.origin),
            Self::Beside if self.is_at(&place.path) => format!("{}{}", place.origin, place.path),
            Self::Beside => format!("{}{}{BESIDE}", place.origin, place.path.trim_end_matches('/')),
        }
    }
}

/// Where a session lives.
#[derive(Debug)]
pub(super) struct SessionSettings {
    pub(super) cookie: CookieSettings,
    pub(super) limits: SessionLimits,
}

/// How cookies are set.
#[derive(Clone, Debug)]
pub(super) struct CookieSettings {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) domain: Option<String>,
    pub(super) secure: bool,
    pub(super) http_only: bool,
    pub(super) same_site: SameSite,
}

/// How long a session lives, in seconds; 0: without limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionLimits {
    pub(super) idling: u64,
    pub(super) rolling: u64,
    pub(super) absolute: u64,
}

fn wrong(field: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::invalid(NAME, field, reason)
}

fn required(field: &str) -> ConfigError {
    wrong(field, format!("property \"{field}\" is required"))
}

impl Settings {
    /// Judges a block, all but its session.
    pub(super) fn new(config: &OpenidConnectConfig) -> Result<Self, ConfigError> {
        refuse_unsupported(config)?;
        check_required(config)?;
        check_numbers(config)?;
        let realm = &config.realm;
        if !realm.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\') {
            return Err(wrong("realm", "write printable ASCII without `\"` and `\\`"));
        }
        let algorithms = algorithms(config)?;
        let takes_secret =
            algorithms.as_ref().is_some_and(|list| list.iter().any(|one| one.family() == AlgorithmFamily::Hmac));
        Ok(Self {
            bearer: bearer(config)?,
            challenge: format!("Bearer realm=\"{realm}\""),
            secret_key: match &config.client_secret {
                Some(secret) if takes_secret => Some(Key::of_secret(secret.expose())),
                _ => None,
            },
            acceptance: Acceptance { algorithms, slack: config.iat_slack },
            issuers: match &config.claim_validator.issuer.valid_issuers {
                Some(issuers) if issuers.is_empty() => {
                    return Err(wrong("claim_validator.issuer.valid_issuers", "name one issuer at least"));
                }
                issuers => issuers.clone(),
            },
            audience: config.claim_validator.audience.clone(),
            required_scopes: config.required_scopes.clone(),
            schema: match &config.claim_schema {
                None => None,
                Some(schema) => {
                    Some(jsonschema::validator_for(schema).map_err(|error| {
                        wrong("claim_schema", format!("is no JSON Schema that can be used: {error}"))
                    })?)
                }
            },
            introspection: introspection(config)?,
            upstream: UpstreamFields {
                access_token: config.set_access_token_header,
                in_authorization: config.access_token_in_authorization_header,
                id_token: config.set_id_token_header,
                raw_id_token: config.set_raw_id_token_header,
                userinfo: config.set_userinfo_header,
                refresh_token: config.set_refresh_token_header,
            },
            login: login(config)?,
        })
    }
}

/// What sessions are bound to.
pub(super) fn binding<'c>(config: &'c OpenidConnectConfig, scope: &'c str) -> [&'c str; 3] {
    [scope, &config.discovery, &config.client_id]
}

/// How the provider is called.
pub(super) fn callout(config: &OpenidConnectConfig) -> CalloutConfig {
    CalloutConfig {
        timeout: Duration::from_secs(config.timeout),
        ssl_verify: config.ssl_verify,
        ..CalloutConfig::default()
    }
}

/// The provider's discovery document.
pub(super) fn discovery(config: &OpenidConnectConfig) -> Result<Uri, ConfigError> {
    http_uri(&config.discovery).map_err(|error| wrong("discovery", error.to_string()))
}

/// Who the gateway is to the provider.
pub(super) fn client(config: &OpenidConnectConfig) -> Result<ClientAuth, ConfigError> {
    let key = match &config.client_rsa_private_key {
        None => None,
        Some(pem) => Some(
            EncodingKey::from_rsa_pem(pem.expose().trim().as_bytes())
                .map_err(|_| wrong("client_rsa_private_key", "is no RSA private key: write its PEM text"))?,
        ),
    };
    let algorithm = match &config.client_jwt_assertion_alg {
        None => None,
        Some(name) => Some(assertion_algorithm(config, name)?),
    };
    Ok(ClientAuth {
        id: config.client_id.clone(),
        secret: config.client_secret.clone(),
        key,
        key_id: config.client_rsa_private_key_id.clone(),
        algorithm,
        audience: config.client_jwt_assertion_audience.clone(),
        lifetime: config.client_jwt_assertion_expires_in,
    })
}

fn methods(config: &OpenidConnectConfig) -> [ClientAuthMethod; 3] {
    let token = config.token_endpoint_auth_method;
    [token, config.introspection_endpoint_auth_method, config.par.endpoint_auth_method.unwrap_or(token)]
}

fn assertion_algorithm(config: &OpenidConnectConfig, name: &str) -> Result<Algorithm, ConfigError> {
    let field = "client_jwt_assertion_alg";
    let algorithm: Algorithm = name.parse().map_err(|_| wrong(field, format!("`{name}` is no signature algorithm")))?;
    let fits = |method| match method {
        ClientAuthMethod::PrivateKeyJwt => algorithm.family() == AlgorithmFamily::Rsa,
        ClientAuthMethod::ClientSecretJwt => algorithm.family() == AlgorithmFamily::Hmac,
        ClientAuthMethod::ClientSecretBasic | ClientAuthMethod::ClientSecretPost => true,
    };
    match methods(config).into_iter().all(fits) {
        true => Ok(algorithm),
        false => Err(wrong(
            field,
            format!(
                "`{name}` does not fit the method: RSA signs `private_key_jwt`, a secret (HS256, …) `client_secret_jwt`"
            ),
        )),
    }
}

/// What would be unsafe, or is not there.
fn refuse_unsupported(config: &OpenidConnectConfig) -> Result<(), ConfigError> {
    for (is_set, field, reason) in [
        (config.accept_none_alg, "accept_none_alg", "unsigned tokens are never accepted; leave it out"),
        (
            config.accept_unsupported_alg,
            "accept_unsupported_alg",
            "tokens that cannot be verified are never accepted; leave it out",
        ),
        (
            config.force_reauthorize,
            "force_reauthorize",
            "each request would be sent to the provider; use `refresh_session_interval`, or `max_age` in \
             `authorization_params`",
        ),
        (config.proxy_opts.is_some(), "proxy_opts", "calls by a proxy are not supported; leave it out"),
        (config.dpop.enabled, "dpop.enabled", "DPoP is not supported; leave it out"),
    ] {
        if is_set {
            return Err(wrong(field, reason));
        }
    }
    Ok(())
}

fn check_required(config: &OpenidConnectConfig) -> Result<(), ConfigError> {
    use ClientAuthMethod::PrivateKeyJwt;
    if config.client_id.is_empty() {
        return Err(required("client_id"));
    }
    if config.discovery.is_empty() {
        return Err(required("discovery"));
    }
    let proves_itself_otherwise = if config.bearer_only {
        config.public_key.is_some() || config.use_jwks || config.introspection_endpoint_auth_method == PrivateKeyJwt
    } else {
        config.token_endpoint_auth_method == PrivateKeyJwt || config.use_pkce == Some(true)
    };
    if !proves_itself_otherwise && config.client_secret.as_ref().is_none_or(|secret| secret.expose().is_empty()) {
        return Err(required("client_secret"));
    }
    if methods(config).contains(&PrivateKeyJwt) && config.client_rsa_private_key.is_none() {
        return Err(wrong("client_rsa_private_key", "is required by `private_key_jwt`"));
    }
    if config.bearer_only {
        return Ok(());
    }
    match &config.session {
        Some(session) if session.secret.expose().is_empty() => Err(missing_session()),
        Some(session) if session.secret.expose().chars().count() < 16 => {
            Err(wrong("session.secret", "is too short: write 16 characters or more"))
        }
        Some(_) => Ok(()),
        None => Err(missing_session()),
    }
}

fn missing_session() -> ConfigError {
    wrong("session.secret", "property \"session.secret\" is required when \"bearer_only\" is false")
}

fn check_numbers(config: &OpenidConnectConfig) -> Result<(), ConfigError> {
    for (value, field) in [
        (config.timeout, "timeout"),
        (config.jwk_expires_in, "jwk_expires_in"),
        (config.access_token_expires_in, "access_token_expires_in"),
        (config.client_jwt_assertion_expires_in, "client_jwt_assertion_expires_in"),
        (config.refresh_session_interval.unwrap_or(1), "refresh_session_interval"),
    ] {
        // more than a hundred years is a mistake, and would not fit a clock
        if !(1..=3_155_760_000).contains(&value) {
            return Err(wrong(field, "is out of range: write 1 or more seconds"));
        }
    }
    Ok(())
}

fn algorithms(config: &OpenidConnectConfig) -> Result<Option<Vec<Algorithm>>, ConfigError> {
    let Some(names) = &config.token_signing_alg_values_expected else { return Ok(None) };
    let field = "token_signing_alg_values_expected";
    let parsed = names.as_slice().iter().map(|name| {
        name.parse().map_err(|_| wrong(field, format!("`{name}` is no signature algorithm that can be verified")))
    });
    let algorithms: Vec<Algorithm> = parsed.collect::<Result<_, _>>()?;
    if algorithms.is_empty() { Err(wrong(field, "name one algorithm at least")) } else { Ok(Some(algorithms)) }
}

fn bearer(config: &OpenidConnectConfig) -> Result<Bearer, ConfigError> {
    if let Some(pem) = &config.public_key {
        let key = Key::of_pem(pem).ok_or_else(|| {
            wrong("public_key", "is no public key: write the PEM text of an RSA, EC (P-256, P-384) or Ed25519 key")
        })?;
        return Ok(Bearer::PublicKey(Box::new(key)));
    }
    Ok(match () {
        () if config.use_jwks => Bearer::Keys,
        () if config.bearer_only || config.introspection_endpoint.is_some() => Bearer::Introspection,
        () => Bearer::None,
    })
}

fn endpoint(field: &str, text: Option<&String>) -> Result<Option<Uri>, ConfigError> {
    text.map(|text| http_uri(text)).transpose().map_err(|error| wrong(field, error.to_string()))
}

fn introspection(config: &OpenidConnectConfig) -> Result<Introspection, ConfigError> {
    let field = "introspection_addon_headers";
    let mut headers = Vec::new();
    for (at, name) in config.introspection_addon_headers.iter().flatten().enumerate() {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let copied =
            parsed.ok().filter(|name| !is_hop(name.as_str().as_bytes()) && name != CONTENT_LENGTH && name != HOST);
        headers.push(copied.ok_or_else(|| wrong(&format!("{field}.{at}"), format!("`{name}` cannot be sent along")))?);
    }
    if config.introspection_addon_headers.as_ref().is_some_and(Vec::is_empty) {
        return Err(wrong(field, "name one field at least"));
    }
    Ok(Introspection {
        endpoint: endpoint("introspection_endpoint", config.introspection_endpoint.as_ref())?,
        method: config.introspection_endpoint_auth_method,
        interval: (config.introspection_interval > 0).then(|| Duration::from_secs(config.introspection_interval)),
        expiry_claim: config.introspection_expiry_claim.clone(),
        headers,
    })
}

fn login(config: &OpenidConnectConfig) -> Result<Login, ConfigError> {
    if !config.logout_path.starts_with('/') {
        return Err(wrong("logout_path", "write a path, such as `/logout`"));
    }
    if !config.scope.split(' ').any(|scope| scope == "openid") && !config.bearer_only {
        return Err(wrong("scope", "`openid` must be among the scopes, without it there is no ID token"));
    }
    if let Some(name) = config.authorization_params.keys().find(|name| RESERVED.contains(&name.as_str())) {
        return Err(wrong(&format!("authorization_params.{name}"), "belongs to the flow itself; leave it out"));
    }
    Ok(Login {
        scope: config.scope.clone(),
        unauth_action: config.unauth_action,
        landing: match &config.redirect_uri {
            None => Landing::Beside,
            Some(path) if is_local(path) => Landing::Path(path.clone()),
            Some(uri) => {
                let parsed: Option<Uri> = uri.parse().ok().filter(|uri: &Uri| uri.scheme().is_some());
                let parsed = parsed.ok_or_else(|| wrong("redirect_uri", "write an absolute URL, or a path"))?;
                Landing::Absolute { uri: uri.clone(), path: parsed.path().to_owned() }
            }
        },
        logout_path: config.logout_path.clone(),
        post_logout: match &config.post_logout_redirect_uri {
            Some(uri) if !is_local(uri) && uri.parse::<Uri>().ok().is_none_or(|uri| uri.scheme().is_none()) => {
                return Err(wrong("post_logout_redirect_uri", "write an absolute URL, or a path"));
            }
            uri => uri.clone(),
        },
        method: config.token_endpoint_auth_method,
        pkce: config.use_pkce,
        nonce: config.use_nonce.unwrap_or(true),
        params: config.authorization_params.clone().into_iter().collect(),
        par: match config.par.enabled {
            false => None,
            true => Some((
                endpoint("par.endpoint", config.par.endpoint.as_ref())?,
                config.par.endpoint_auth_method.unwrap_or(config.token_endpoint_auth_method),
            )),
        },
        renew: config.renew_access_token_on_expiry,
        default_lifetime: config.access_token_expires_in,
        leeway: config.access_token_expires_leeway,
        ask_again: config.refresh_session_interval,
        revoke: config.revoke_tokens_on_logout,
    })
}

/// Judges the session of a block that is written on the resource with the path `scope`.
pub(super) fn session(
    session: &SessionConfig,
    config: &OpenidConnectConfig,
    scope: &str,
) -> Result<SessionSettings, ConfigError> {
    if session.cookie_same_site == SameSite::None && !session.cookie_secure {
        return Err(wrong(
            "session.cookie_same_site",
            "`None` needs `cookie_secure: true`, else browsers drop the cookie",
        ));
    }
    let plain = |text: &str| text.bytes().all(|byte| byte > b' ' && byte < 0x7f && byte != b';' && byte != b',');
    if !session.cookie_path.starts_with('/') || !plain(&session.cookie_path) {
        return Err(wrong("session.cookie_path", "write a path, such as `/`"));
    }
    if session.cookie_domain.as_ref().is_some_and(|domain| domain.is_empty() || !plain(domain)) {
        return Err(wrong("session.cookie_domain", "write a domain, such as `example.com`"));
    }
    let name = match &session.cookie_name {
        Some(name) if HeaderName::from_bytes(name.as_bytes()).is_ok() => name.clone(),
        Some(_) => return Err(wrong("session.cookie_name", "write letters, digits, `-` and `_`")),
        None => {
            let digest = digest(&SHA256, binding(config, scope).join("\0").as_bytes());
            let hex: String = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("tollgate_session_{hex}")
        }
    };
    Ok(SessionSettings {
        cookie: CookieSettings {
            name,
            path: session.cookie_path.clone(),
            domain: session.cookie_domain.clone(),
            secure: session.cookie_secure,
            http_only: session.cookie_http_only,
            same_site: session.cookie_same_site,
        },
        limits: SessionLimits {
            idling: session.idling_timeout,
            rolling: session.rolling_timeout,
            absolute: session.absolute_timeout,
        },
    })
}

/// The challenge with a fault (RFC 6750 §3); the text is one of ours, without quotes.
pub(super) fn invalid_token(challenge: &str, fault: &dyn std::fmt::Display) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{challenge}, error=\"invalid_token\", error_description=\"{fault}\"")).ok()
}
