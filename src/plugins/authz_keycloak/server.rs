//! Keycloak: what is asked of it.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::AuthzKeycloakConfig;
use super::endpoints::Endpoints;
use super::error::Unasked;
use crate::model::Sensitive;
use crate::plugin::ConfigError;
use crate::plugins::callout::{Cached, Callout, Calls, http_uri};

/// The grant by which decisions are asked for.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:uma-ticket";
/// A token of our own is not believed to live longer, whatever is said of it.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Nor shorter, leeway or not: it would have to be fetched for each request, one after the other.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// One realm, as one block knows it.
pub(super) struct Keycloak {
    callout: Callout,
    endpoints: Endpoints,
    client_id: String,
    client_secret: Option<Sensitive>,
    /// The gateway's own token, by which it may look at resources: a value of `Authorization`.
    own: Cached<HeaderValue>,
    own_lifetime: Duration,
    own_leeway: Duration,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: Option<u64>,
}

impl Keycloak {
    pub(super) fn new(config: &AuthzKeycloakConfig, callout: Callout) -> Result<Self, ConfigError> {
        let own_lifetime = Duration::from_secs(config.access_token_expires_in);
        Ok(Self {
            callout,
            endpoints: Endpoints::new(config)?,
            client_id: config.client().unwrap_or_default().to_owned(),
            client_secret: config.client_secret.clone().filter(|secret| !secret.is_empty()),
            own: Cached::new(own_lifetime),
            own_lifetime,
            own_leeway: Duration::from_secs(config.access_token_expires_leeway),
        })
    }

    /// The calls of one request of a client: all of them within one time-out.
    pub(super) fn calls(&self) -> Calls<'_> {
        self.callout.calls()
    }

    /// Asks whether the bearer of a token may have any of these permissions, or where there are none, anything at all:
    /// Keycloak's answer, whatever it is.
    pub(super) async fn decide(
        &self,
        calls: &Calls<'_>,
        bearer: HeaderValue,
        permissions: &[String],
    ) -> Result<http::Response<Bytes>, Unasked> {
        let asked = [("grant_type", GRANT), ("audience", &*self.client_id), ("response_mode", "decision")];
        let permissions = permissions.iter().map(|permission| ("permission", &**permission));
        self.submit(calls, form(asked.into_iter().chain(permissions)), Some(bearer)).await
    }

    /// Asks for a user's token by his password: Keycloak's answer, whatever it is.
    pub(super) async fn password(&self, username: &str, password: &str) -> Result<http::Response<Bytes>, Unasked> {
        let form = self.client("password", &[("username", username), ("password", password)]);
        self.submit(&self.calls(), form, None).await
    }

    /// The ids of the resources that a path belongs to.
    pub(super) async fn resources(&self, calls: &Calls<'_>, path: &str) -> Result<Vec<String>, Unasked> {
        let endpoint = self.endpoints.resources(calls).await?;
        let joint = if endpoint.query().is_some() { '&' } else { '?' };
        let target = format!("{endpoint}{joint}{}", form([("uri", path), ("matchingUri", "true")]));
        let target = http_uri(&target).map_err(Unasked::Target)?;
        let token = self.own.get_for(async || self.fetch_own(calls).await).await?;
        let mut answer = look_up(calls, &target, &token).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The keys may be new, the session revoked: a token's life is not what it says then.
            let newer = self.own.get_newer_for(Arc::clone(&token), async || self.fetch_own(calls).await).await?;
            if !Arc::ptr_eq(&newer, &token) {
                answer = look_up(calls, &target, &newer).await?;
            }
        }
        let found: Vec<String> = read("the resource registration endpoint", answer)?;
        match found.iter().any(|id| id.is_empty() || id.contains('#')) {
            // what stands behind `#` would be taken for scopes
            true => Err(Unasked::Resource),
            false => Ok(found),
        }
    }

    /// A token of our own, and for how long it holds.
    async fn fetch_own(&self, calls: &Calls<'_>) -> Result<(HeaderValue, Duration), Unasked> {
        let answer = self.submit(calls, self.client("client_credentials", &[]), None).await?;
        let token: Token = read("the token endpoint", answer)?;
        let lifetime = token.expires_in.map_or(self.own_lifetime, Duration::from_secs);
        let lifetime = lifetime.saturating_sub(self.own_leeway).clamp(SHORTEST_LIFE, LONGEST_LIFE);
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.access_token)).map_err(|_| Unasked::Token)?;
        value.set_sensitive(true);
        Ok((value, lifetime))
    }

    /// A form of a grant that the client itself asks for.
    fn client(&self, grant: &str, more: &[(&str, &str)]) -> String {
        let secret = self.client_secret.as_ref().map(|secret| ("client_secret", secret.expose()));
        let own = [("grant_type", grant), ("client_id", &*self.client_id)];
        form(own.into_iter().chain(secret).chain(more.iter().copied()))
    }

    async fn submit(
        &self,
        calls: &Calls<'_>,
        form: String,
        bearer: Option<HeaderValue>,
    ) -> Result<http::Response<Bytes>, Unasked> {
        let mut request = http::Request::new(Bytes::from(form));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoints.token(calls).await?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(bearer) = bearer {
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(calls.send(request).await?)
    }
}

async fn look_up(calls: &Calls<'_>, target: &Uri, token: &HeaderValue) -> Result<http::Response<Bytes>, Unasked> {
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = target.clone();
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(AUTHORIZATION, token.clone());
    Ok(calls.send(request).await?)
}

/// A form, or a query.
fn form<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The JSON of a success.
pub(super) fn read<T: DeserializeOwned>(who: &'static str, answer: http::Response<Bytes>) -> Result<T, Unasked> {
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
