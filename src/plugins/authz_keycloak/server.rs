//! Keycloak: where it is, and what is asked of it.
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{AuthzKeycloakConfig, AuthzKeycloakPlugin};
use crate::model::Sensitive;
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::callout::{BadUri, Cached, Callout, CalloutError, Missing, http_uri};

/// Why Keycloak brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unasked {
    #[error(transparent)]
    Call(#[from] CalloutError),
    #[error("{0} answered {1}")]
    Status(&'static str, StatusCode),
    #[error("the answer is not what it should be")]
    Shape(#[from] serde_json::Error),
    #[error("the discovery document has no `{0}`")]
    None(&'static str),
    #[error("`{0}` of the discovery document {1}")]
    Endpoint(&'static str, BadUri),
    #[error("the discovery document, or a token of our own, is not to be had")]
    Missing(#[source] Box<Missing<Unasked>>),
}

impl From<Missing<Unasked>> for Unasked {
    fn from(missing: Missing<Unasked>) -> Self {
        Self::Missing(Box::new(missing))
    }
}

/// One realm, as one block knows it.
pub(super) struct Keycloak {
    callout: Callout,
    client_id: String,
    client_secret: Option<Sensitive>,
    token_endpoint: Option<Uri>,
    resources_endpoint: Option<Uri>,
    discovery: Option<(Uri, Cached<Document>)>,
    /// The gateway's own token, by which it may look at resources.
    own: Cached<String>,
    own_lifetime: Duration,
    own_leeway: Duration,
}

#[derive(Debug, Deserialize)]
struct Document {
    token_endpoint: Option<String>,
    resource_registration_endpoint: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: Option<u64>,
}

impl Keycloak {
    pub(super) fn new(config: &AuthzKeycloakConfig, callout: Callout) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: String| ConfigError::invalid(AuthzKeycloakPlugin::NAME, field, reason);
        let endpoint = |field: &str, text: &Option<String>| {
            text.as_deref().map(|text| http_uri(text).map_err(|error| wrong(field, error.to_string()))).transpose()
        };
        let own_lifetime = Duration::from_secs(config.access_token_expires_in);
        let discovery = endpoint("discovery", &config.discovery)?;
        let discovery = discovery.map(|uri| (uri, Cached::new(Duration::from_secs(config.cache_ttl_seconds))));
        let keycloak = Self {
            callout,
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone().filter(|secret| !secret.is_empty()),
            token_endpoint: endpoint("token_endpoint", &config.token_endpoint)?,
            resources_endpoint: endpoint("resource_registration_endpoint", &config.resource_registration_endpoint)?,
            discovery,
            own: Cached::new(own_lifetime),
            own_lifetime,
            own_leeway: Duration::from_secs(config.access_token_expires_leeway),
        };
        if keycloak.discovery.is_none() && keycloak.token_endpoint.is_none() {
            return Err(wrong("discovery", "property \"discovery\" or \"token_endpoint\" is required".to_owned()));
        }
        if config.lazy_load_paths && keycloak.discovery.is_none() && keycloak.resources_endpoint.is_none() {
            let reason = "is on: write `discovery` or `resource_registration_endpoint` as well";
            return Err(wrong("lazy_load_paths", reason.to_owned()));
        }
        let needs_secret = config.lazy_load_paths || config.password_grant_token_generation_incoming_uri.is_some();
        if needs_secret && keycloak.client_secret.is_none() {
            let reason = "is required with `lazy_load_paths` and `password_grant_token_generation_incoming_uri`";
            return Err(wrong("client_secret", reason.to_owned()));
        }
        Ok(keycloak)
    }

    /// Asks whether the bearer of a token may have these permissions: Keycloak's answer, whatever it is.
    pub(super) async fn decide(
        &self,
        grant: &str,
        bearer: HeaderValue,
        permissions: &[String],
    ) -> Result<http::Response<Bytes>, Unasked> {
        let asked = [("grant_type", grant), ("audience", &*self.client_id), ("response_mode", "decision")];
        let permissions = permissions.iter().map(|permission| ("permission", &**permission));
        self.submit(form(asked.into_iter().chain(permissions)), Some(bearer)).await
    }

    /// Asks for a user's token by his password: Keycloak's answer, whatever it is.
    pub(super) async fn password(&self, username: &str, password: &str) -> Result<http::Response<Bytes>, Unasked> {
        self.submit(self.client("password", &[("username", username), ("password", password)]), None).await
    }

    /// The ids of the resources that a path belongs to.
    pub(super) async fn resources(&self, path: &str) -> Result<Vec<String>, Unasked> {
        let endpoint = match &self.resources_endpoint {
            Some(endpoint) => endpoint.clone(),
            None => {
                self.discovered("resource_registration_endpoint", |told| &told.resource_registration_endpoint).await?
            }
        };
        let joint = if endpoint.query().is_some() { '&' } else { '?' };
        let target = format!("{endpoint}{joint}{}", form([("uri", path), ("matchingUri", "true")]));
        let target = http_uri(&target).map_err(|error| Unasked::Endpoint("resource_registration_endpoint", error))?;
        let token = self.own.get_for(async || self.fetch_own().await).await?;
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = target;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        read("the resource registration endpoint", self.callout.send(request).await?)
    }

    /// A token of our own, and for how long it holds.
    async fn fetch_own(&self) -> Result<(String, Duration), Unasked> {
        let answer = self.submit(self.client("client_credentials", &[]), None).await?;
        let token: Token = read("the token endpoint", answer)?;
        let lifetime = token.expires_in.map_or(self.own_lifetime, Duration::from_secs);
        Ok((token.access_token, lifetime.saturating_sub(self.own_leeway)))
    }

    /// A form of a grant that the client itself asks for.
    fn client(&self, grant: &str, more: &[(&str, &str)]) -> String {
        let secret = self.client_secret.as_ref().map(|secret| ("client_secret", secret.expose()));
        let own = [("grant_type", grant), ("client_id", &*self.client_id)];
        form(own.into_iter().chain(secret).chain(more.iter().copied()))
    }

    async fn submit(&self, form: String, bearer: Option<HeaderValue>) -> Result<http::Response<Bytes>, Unasked> {
        let endpoint = match &self.token_endpoint {
            Some(endpoint) => endpoint.clone(),
            None => self.discovered("token_endpoint", |told| &told.token_endpoint).await?,
        };
        let mut request = http::Request::new(Bytes::from(form));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(self.callout.send(request).await?)
    }

    async fn discovered(&self, name: &'static str, of: impl Fn(&Document) -> &Option<String>) -> Result<Uri, Unasked> {
        let Some((uri, cached)) = &self.discovery else { return Err(Unasked::None(name)) };
        let fetch = async || {
            let mut request = http::Request::new(Bytes::new());
            *request.uri_mut() = uri.clone();
            read::<Document>("the discovery document", self.callout.send(request).await?)
        };
        let document = cached.get(fetch).await?;
        let text = of(&document).as_deref().ok_or(Unasked::None(name))?;
        http_uri(text).map_err(|error| Unasked::Endpoint(name, error))
    }
}

/// A form, or a query.
fn form<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The JSON of a success.
fn read<T: DeserializeOwned>(who: &'static str, answer: http::Response<Bytes>) -> Result<T, Unasked> {
    match answer.status().is_success() {
        true => Ok(serde_json::from_slice(answer.body())?),
        false => Err(Unasked::Status(who, answer.status())),
    }
}

impl fmt::Debug for Keycloak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keycloak({})", self.client_id)
    }
}
