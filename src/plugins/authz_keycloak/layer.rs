//! The decision, and the layer.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::server::{Keycloak, Unasked};
use super::{AuthzKeycloakConfig, AuthzKeycloakPlugin, EnforcementMode};
use crate::body::Body;
use crate::error::{answer_of, reject, reject_empty};
use crate::plugin::bodies::Bodies;
use crate::plugin::{Around, AroundLayer, ConfigError, Plugin as _};
use crate::plugins::callout::{CalloutConfig, Callouts};
use crate::plugins::consumer_auth::authorization;
use crate::request::RequestVars;
use crate::router::{self, VarName, Variables as _};
use crate::{Next, Request, Response};

/// Applies [`AuthzKeycloak`].
pub type AuthzKeycloakLayer = AroundLayer<AuthzKeycloak>;

const NAME: &str = AuthzKeycloakPlugin::NAME;
/// A form with a name and a password is no longer.
const MAX_FORM: usize = 16 * 1024;

/// One block of `authz-keycloak`, compiled.
#[derive(Debug)]
pub struct AuthzKeycloak {
    keycloak: Keycloak,
    grant: String,
    permissions: Vec<String>,
    mode: EnforcementMode,
    lazy: bool,
    method_as_scope: bool,
    denied_at: Option<HeaderValue>,
    password_path: Option<String>,
    bodies: Bodies,
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
        let within = |field: &str, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(wrong(field, format!("{value} is out of range: write {least} to {most}"))),
        };
        if config.client_id.is_empty() {
            return Err(wrong("client_id", "property \"client_id\" is required".to_owned()));
        }
        within("timeout", config.timeout, 1000, 60_000)?;
        within("keepalive_timeout", config.keepalive_timeout, 1000, u64::from(u32::MAX))?;
        within("keepalive_pool", config.keepalive_pool as u64, 1, u64::from(u32::MAX))?;
        within("cache_ttl_seconds", config.cache_ttl_seconds, 1, u64::from(u32::MAX))?;
        within("access_token_expires_in", config.access_token_expires_in, 1, u64::from(u32::MAX))?;
        let calling = CalloutConfig {
            timeout: Duration::from_millis(config.timeout),
            keepalive: config.keepalive,
            keepalive_timeout: Duration::from_millis(config.keepalive_timeout),
            keepalive_pool: config.keepalive_pool,
            ssl_verify: config.ssl_verify,
            ..CalloutConfig::default()
        };
        let callout = callouts.get(&calling).map_err(|error| wrong("ssl_verify", error.to_string()))?;
        let denied_at = config.access_denied_redirect_uri.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Self {
            keycloak: Keycloak::new(&config, callout)?,
            denied_at: denied_at
                .map_err(|_| wrong("access_denied_redirect_uri", "is no value of `Location`".to_owned()))?,
            grant: config.grant_type,
            permissions: config.permissions,
            mode: config.policy_enforcement_mode,
            lazy: config.lazy_load_paths,
            method_as_scope: config.http_method_as_scope,
            password_path: config.password_grant_token_generation_incoming_uri,
            bodies,
        })
    }

    /// What is asked for with a request of that path and method.
    async fn wanted(&self, path: &str, method: &Method) -> Result<Vec<String>, Unasked> {
        let found = if self.lazy { Some(self.keycloak.resources(path).await?) } else { None };
        let all = found.as_ref().unwrap_or(&self.permissions);
        Ok(match self.method_as_scope {
            true => all.iter().map(|resource| format!("{resource}#{method}")).collect(),
            false => all.clone(),
        })
    }

    /// # Errors
    /// The answer to a request that is not to go on.
    async fn judge(&self, bearer: HeaderValue, path: &str, method: &Method) -> Result<(), Response> {
        let wanted = self.wanted(path, method).await.map_err(|error| unavailable(&error))?;
        if wanted.is_empty() {
            return match self.mode {
                EnforcementMode::Permissive => Ok(()),
                EnforcementMode::Enforcing => Err(self.denied()),
            };
        }
        let answer = self.keycloak.decide(&self.grant, bearer, &wanted).await.map_err(|error| unavailable(&error))?;
        let status = answer.status();
        // A decision is told in words as well: nothing but a yes is one.
        let says_yes = || {
            let told = serde_json::from_slice::<Value>(answer.body()).ok();
            told.is_some_and(|told| told.get("result") == Some(&Value::Bool(true)))
        };
        match status.as_u16() {
            200..300 if says_yes() => Ok(()),
            200..300 => Err(reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME)),
            403 if self.denied_at.is_some() => Err(self.denied()),
            400.. => Err(passed_on(answer)),
            _ => Err(reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME)),
        }
    }

    fn denied(&self) -> Response {
        const DENIED: &str = "{\"error\":\"access_denied\",\"error_description\":\"not_authorized\"}\n";
        let json = HeaderValue::from_static("application/json");
        let (status, (name, value), body) = match &self.denied_at {
            Some(at) => (StatusCode::TEMPORARY_REDIRECT, (LOCATION, at.clone()), Body::empty()),
            None => (StatusCode::FORBIDDEN, (CONTENT_TYPE, json), Body::from(DENIED)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(name, value);
        answer_of(NAME, response)
    }

    /// Whether a token is asked for: by the path that the client wrote, whatever has become of it since.
    fn is_log_in(&self, request: &Request) -> bool {
        let Some(wanted) = self.password_path.as_deref().filter(|_| request.method() == Method::POST) else {
            return false;
        };
        text(request, &VarName::RequestUri).split('?').next() == Some(wanted)
    }

    /// Answers whoever asks for a token with name and password.
    async fn log_in(&self, request: Request) -> Response {
        let bytes = match self.bodies.collect(request.into_body(), MAX_FORM).await {
            Ok(bytes) => bytes,
            Err(unread) => return unread.into_response(NAME),
        };
        let fields = self.bodies.form(&bytes).unwrap_or_default();
        let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        let missing = |name: &str| reject(StatusCode::UNPROCESSABLE_ENTITY, NAME, format!("{name} is missing."));
        let Some(username) = field("username") else { return missing("username") };
        let Some(password) = field("password") else { return missing("password") };
        match self.keycloak.password(username, password).await {
            Ok(answer) => passed_on(answer),
            Err(error) => unavailable(&error),
        }
    }
}

impl Around for AuthzKeycloak {
    async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
        let path = text(&request, &VarName::Uri);
        if self.is_log_in(&request) {
            return self.log_in(request).await;
        }
        let bearer = match authorization(NAME, request.headers()) {
            Ok(Some(value)) => bearer(value),
            Ok(None) => return reject(StatusCode::UNAUTHORIZED, NAME, "Missing JWT token in request"),
            Err(response) => return response,
        };
        let method = request.method().clone();
        match self.judge(bearer, &path, &method).await {
            Ok(()) => next.run(request).await,
            Err(response) => response,
        }
    }
}

/// A variable as text.
fn text(request: &Request, name: &VarName) -> String {
    match RequestVars::of(request).get(name) {
        Some(router::Value::Text(text)) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    }
}

/// The value with its scheme, which clients may leave out.
fn bearer(value: &HeaderValue) -> HeaderValue {
    let has_scheme = value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer "));
    match has_scheme {
        true => value.clone(),
        false => HeaderValue::from_bytes(&[b"Bearer ", value.as_bytes()].concat()).unwrap_or_else(|_| value.clone()),
    }
}

/// An answer of Keycloak for the client, with the type of its body and no other field.
fn passed_on(answer: http::Response<Bytes>) -> Response {
    let (head, body) = answer.into_parts();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = head.status;
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    answer_of(NAME, response)
}

fn unavailable(error: &Unasked) -> Response {
    #[cfg(feature = "tracing")]
    tracing::warn!(plugin = NAME, error = error as &dyn std::error::Error, "Keycloak gave no decision");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
    reject_empty(StatusCode::SERVICE_UNAVAILABLE, NAME)
}
