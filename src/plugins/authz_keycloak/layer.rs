//! The decision, and the layer.
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::answers::{denied, passed_on, unauthenticated, unavailable};
use super::error::Unasked;
use super::login::LogIn;
use super::permission::{self, scope};
use super::server::{GRANT, Keycloak};
use super::token::bearer;
use super::{AuthzKeycloakConfig, AuthzKeycloakPlugin, EnforcementMode};
use crate::error::reject_empty;
use crate::plugin::bodies::Bodies;
use crate::plugin::{Around, AroundLayer, ConfigError, Plugin as _};
use crate::plugins::callout::{Calling, Callouts, Calls};
use crate::plugins::checks::within;
use crate::plugins::consumer_auth::authorization;
use crate::request::RequestVars;
use crate::{Next, Request, Response};

/// Applies [`AuthzKeycloak`].
pub type AuthzKeycloakLayer = AroundLayer<AuthzKeycloak>;

const NAME: &str = AuthzKeycloakPlugin::NAME;

/// One block of `authz-keycloak`, compiled.
#[derive(Debug)]
pub struct AuthzKeycloak {
    keycloak: Keycloak,
    permissions: Vec<String>,
    mode: EnforcementMode,
    lazy: bool,
    method_as_scope: bool,
    denied_at: Option<HeaderValue>,
    log_in: Option<LogIn>,
}

impl AuthzKeycloak {
    /// Compiles a block, with connections of its own.
    ///
    /// # Errors
    /// [`ConfigError`] that names the field.
    pub fn new(config: AuthzKeycloakConfig, bodies: Bodies) -> Result<Self, ConfigError> {
        Self::with_callouts(config, bodies, &Callouts::default())
    }

    pub(super) fn with_callouts(
        config: AuthzKeycloakConfig,
        bodies: Bodies,
        callouts: &Callouts,
    ) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(NAME, field, reason);
        if config.client().is_none() {
            return Err(wrong("client_id", "property \"client_id\" is required".to_owned()));
        }
        if config.grant_type != GRANT {
            return Err(wrong(
                "grant_type",
                format!("is not one of those that there are: leave it out, or write `{GRANT}`"),
            ));
        }
        permission::judge(&config)?;
        let most = u64::from(u32::MAX);
        within(NAME, "cache_ttl_seconds", config.cache_ttl_seconds, 1..=most)?;
        within(NAME, "access_token_expires_in", config.access_token_expires_in, 1..=most)?;
        let calling = Calling {
            timeout: config.timeout,
            keepalive: config.keepalive,
            keepalive_timeout: config.keepalive_timeout,
            keepalive_pool: config.keepalive_pool,
            ssl_verify: config.ssl_verify,
        };
        let callout = calling.client(NAME, 1000..=most, callouts)?;
        let denied_at = config.access_denied_redirect_uri.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Self {
            keycloak: Keycloak::new(&config, callout)?,
            denied_at: denied_at
                .map_err(|_| wrong("access_denied_redirect_uri", "is no value of `Location`".to_owned()))?,
            log_in: LogIn::new(&config, bodies),
            permissions: config.permissions,
            mode: config.policy_enforcement_mode,
            lazy: config.lazy_load_paths,
            method_as_scope: config.http_method_as_scope,
        })
    }

    /// What is asked for with a request of that path and method.
    async fn wanted(&self, calls: &Calls<'_>, path: &str, scope: Option<&str>) -> Result<Vec<String>, Unasked> {
        let found = if self.lazy { Some(self.keycloak.resources(calls, path).await?) } else { None };
        let all = found.as_ref().unwrap_or(&self.permissions);
        Ok(match scope {
            Some(scope) => all.iter().map(|resource| format!("{resource}#{scope}")).collect(),
            None => all.clone(),
        })
    }

    /// # Errors
    /// The answer to a request that is not to go on.
    async fn judge(&self, bearer: HeaderValue, path: &str, method: &Method) -> Result<(), Response> {
        let denied = || denied(self.denied_at.as_ref());
        let scope = match self.method_as_scope {
            true => Some(scope(method).ok_or_else(denied)?),
            false => None,
        };
        let calls = self.keycloak.calls();
        let wanted = self.wanted(&calls, path, scope).await.map_err(|error| unavailable(&error))?;
        if wanted.is_empty() && self.mode == EnforcementMode::Enforcing {
            return Err(denied());
        }
        let answer = self.keycloak.decide(&calls, bearer, &wanted).await;
        let answer = answer.map_err(|error| unavailable(&error))?;
        // A decision is told in words as well: nothing but a yes is one.
        let says_yes = || {
            let told = serde_json::from_slice::<Value>(answer.body()).ok();
            told.is_some_and(|told| told.get("result") == Some(&Value::Bool(true)))
        };
        match answer.status().as_u16() {
            200..300 if says_yes() => Ok(()),
            403 if self.denied_at.is_some() => Err(denied()),
            400.. => Err(passed_on(answer)),
            _ => Err(reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME)),
        }
    }
}

impl Around for AuthzKeycloak {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        // as the client sent it: the realm's resources have the addresses that clients know
        let target = RequestVars::of(&request).original_target().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        if let Some(log_in) = &self.log_in
            && log_in.is_asked_for(&request, path)
        {
            return log_in.answer(request, &self.keycloak).await;
        }
        let bearer = match authorization(NAME, request.headers()) {
            Ok(Some(value)) => bearer(value),
            Ok(None) => return unauthenticated("Missing JWT token in request"),
            Err(response) => return response,
        };
        let Some(bearer) = bearer else { return unauthenticated("Invalid JWT token in request") };
        let method = request.method().clone();
        match self.judge(bearer, path, &method).await {
            Ok(()) => next.run(request).await,
            Err(response) => response,
        }
    }
}
