//! `openid-connect`: logs users in at an OpenID provider, or takes its tokens. Stage: authenticate. Feature `oidc`.
//!
//! Decision, for a request whose client-sent `X-Access-Token` (kept aside as a possible bearer token), `X-Userinfo`,
//! `X-ID-Token`, `X-Raw-ID-Token` and `X-Refresh-Token` have been removed:
//! 1. With `bearer_only`, `introspection_endpoint`, `public_key` or `use_jwks`, a token in `Authorization: Bearer …`, else in
//!    `X-Access-Token`, is verified: with `public_key`, else with the provider's keys, else by introspection.
//!    An `Authorization` of one word, or two of them → 400. The token is wrong, longer than 8 KiB, or cannot be verified now
//!    → 401 with `WWW-Authenticate: Bearer realm="…", error="invalid_token", error_description="…"`.
//!    Audience or scopes are missing → 403 `{"error":"…"}`. No token: with `bearer_only` → 401, else on to 2.
//! 2. The path is that of `redirect_uri` → the provider's answer becomes a session, and 302 to the page that was wanted. An
//!    answer that belongs to no log-in of this browser → 302 to that page, three times at most, then 500. Anything else
//!    that fails → 500.
//! 3. The path is `logout_path` → the session ends, 302 to the provider's log-out; 503 if the provider is away.
//! 4. There is a session → it passes, if scopes (else 403) and `claim_schema` (else 401) allow. Its access token is renewed
//!    when expired: once, however many requests come together.
//! 5. No session → `unauth_action`: 302 to the provider (503 if it is away), 401, or the request passes without identity.
//!
//! Written to the request: `X-Access-Token` (or `Authorization`), `X-ID-Token`, `X-Raw-ID-Token`, `X-Userinfo` and
//! `X-Refresh-Token` as the block says, and the extension [`ExternalUser`](crate::request::ExternalUser). Own cookies are
//! taken out of it. No consumer is attached.
//!
//! What the code holds to, whatever the block says:
//! * Tokens: the algorithm is one that the key is for; `none` and unknown ones never, secrets only for ID tokens and only
//!   when `token_signing_alg_values_expected` names `HS256`, `HS384` or `HS512`. `kid` is an exact look-up; `jku`, `x5u`,
//!   `jwk` and `x5c` are not looked at; `crit` is refused. `exp` must be there, and its tolerance is 60 s at most.
//! * Log-ins: state always; nonce and PKCE by default (DEVIATE: the catalogue's default is without, security.md AUTH-10 asks
//!   for both. PKCE is used where the provider says that it takes it, so no provider is lost by it). `iss` in the provider's
//!   answer is held against the provider (RFC 9207).
//! * Redirects lead to paths of the same host. Cookies are `HttpOnly`, `Secure` and `SameSite=Lax` by default, and encrypted
//!   (AES-256-GCM-SIV) under a key that depends on `session.secret`, the resource that carries the block, `discovery` and
//!   `client_id`: a session of one route is none on another. Routes that are to share a session get the block from one
//!   service or plugin config.
//! * `accept_none_alg`, `accept_unsupported_alg`, `force_reauthorize`, `proxy_opts`, `dpop.enabled` and, unless it is `host`,
//!   `session.redis.server_name` are refused when the configuration is loaded, as is any field that is not known.
//! * With `session.storage: redis` (feature `redis`) the cookie has a name of the session, encrypted, and Redis the session,
//!   encrypted as well; several gateways renew it once. Redis fails or is silent → 503.
//!
//! Caveats:
//! * With plain HTTP browsers drop `Secure` cookies, so that log-ins end in 500: set `session.cookie_secure: false` there.
//! * The route must match `redirect_uri` and `logout_path`.
//! * Several gateways need the same `session.secret`.
//! * A session of more than 3,700 bytes goes in several cookies, 29,600 bytes at most. Browsers send them in one field, of
//!   which a listener takes 8 KiB unless `tollgate.limits.field_bytes` says more; ask for fewer claims, or raise it.
//! * Outcomes of introspection are kept until the token expires: `introspection_interval` bounds how long a revoked token
//!   is taken.
//! * Without `claim_validator.audience`, a bearer token that the provider issued for another service is taken too.
//! * Pages that fetch data by script get 302 when the session is over; give those routes a block with
//!   `unauth_action: deny`.
//!
//! ```
//! use tollgate::plugin::Scope;
//! use tollgate::plugins::openid_connect::{OpenidConnect, OpenidConnectConfig, OpenidConnectLayer};
//!
//! let mut config = OpenidConnectConfig::default();
//! config.client_id = "orders-api".to_owned();
//! config.discovery = "http://127.0.0.1:9000/.well-known/openid-configuration".to_owned();
//! config.bearer_only = true;
//! config.use_jwks = true;
//! let layer: OpenidConnectLayer = OpenidConnectLayer::of(OpenidConnect::new(&config, &Scope::Code)?);
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"openid-connect": {"client_id": "shop", "client_secret": "$env://SHOP_SECRET",
//!   "discovery": "https://login.example.com/.well-known/openid-configuration",
//!   "scope": "openid email", "redirect_uri": "/.login", "session": {"secret": "$env://SESSION_SECRET"}}}
//! ```
mod answer;
mod attempt;
mod bearer;
mod caveats;
mod claims;
mod client_auth;
mod config;
mod cookies;
mod keys;
mod layer;
mod log;
mod login;
mod logout;
mod plugin;
mod provider;
#[cfg(feature = "redis")]
mod redis;
mod renew;
mod seal;
mod session;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod token;
mod tokens;
mod upstream;

pub use config::{
    AudienceValidator, ClaimValidator, ClientAuthMethod, DpopConfig, IssuerValidator, OneOrMany, OpenidConnectConfig,
    ParConfig, RedisSessions, SameSite, SessionConfig, Storage, UnauthAction,
};
pub use layer::{OpenidConnect, OpenidConnectLayer};
pub use plugin::OpenidConnectPlugin;
