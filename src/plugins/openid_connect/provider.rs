//! The OpenID provider: its discovery document, its keys, and calls to its endpoints.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ClientAuthMethod;
use super::client_auth::{ClientAuth, NoAssertion};
use super::keys::{Key, KeySet};
use crate::plugins::callout::{BadUri, Callout, CalloutError, http_uri};
use crate::plugins::callout::{Cached, Missing};

/// What a provider says of itself (OpenID Connect Discovery 1.0 §3).
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Option<Uri>,
    pub(super) token_endpoint: Option<Uri>,
    pub(super) userinfo_endpoint: Option<Uri>,
    pub(super) jwks_uri: Option<Uri>,
    pub(super) introspection_endpoint: Option<Uri>,
    pub(super) revocation_endpoint: Option<Uri>,
    pub(super) end_session_endpoint: Option<Uri>,
    pub(super) par_endpoint: Option<Uri>,
    /// Whether it takes PKCE with S256.
    pub(super) takes_pkce: bool,
    /// Whether its answers to the browser name it (RFC 9207).
    pub(super) names_itself: bool,
}

/// Why the provider brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProviderError {
    #[error("the call failed")]
    Call(#[from] CalloutError),
    #[error("the provider answered {0}")]
    Status(StatusCode),
    #[error("the provider refused: {0}")]
    Refused(String),
    #[error("the answer is not what it should be")]
    Shape(#[from] serde_json::Error),
    #[error("the endpoint `{0}` of the discovery document {1}")]
    Endpoint(&'static str, BadUri),
    #[error("the endpoint `{0}` of the discovery document is `http`, the document itself is `https`")]
    Downgrade(&'static str),
    #[error("the provider has no {0}")]
    None(&'static str),
    #[error("the client cannot prove itself")]
    Client(#[from] NoAssertion),
    #[error("the discovery document or the keys are not to be had")]
    Missing(#[source] Box<Missing<ProviderError>>),
}

impl From<Missing<ProviderError>> for ProviderError {
    fn from(missing: Missing<ProviderError>) -> Self {
        Self::Missing(Box::new(missing))
    }
}

/// One provider, as one block knows it.
#[derive(Debug)]
pub(super) struct Provider {
    callout: Callout,
    discovery: Uri,
    pub(super) client: ClientAuth,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
}

impl Provider {
    pub(super) fn new(callout: Callout, discovery: Uri, client: ClientAuth, lifetime: Duration) -> Self {
        Self { callout, discovery, client, metadata: Cached::new(lifetime), keys: Cached::new(lifetime) }
    }

    /// The discovery document.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let fetch = async || {
            let document: Document = self.get(&self.discovery, None).await?;
            document.judge(self.discovery.scheme() == Some(&Scheme::HTTPS))
        };
        Ok(self.metadata.get(fetch).await?)
    }

    /// The key that a token names, if the provider has it and it is for that algorithm. One that is not known yet is looked
    /// for anew, since providers change their keys.
    pub(super) async fn key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Option<Arc<Key>>, ProviderError> {
        let metadata = self.metadata().await?;
        let uri = metadata.jwks_uri.as_ref().ok_or(ProviderError::None("jwks_uri"))?;
        let keys = self.keys.get(async || self.keys(uri).await).await?;
        if let Some(key) = keys.find(id, algorithm) {
            return Ok(Some(key));
        }
        let keys = self.keys.get_newer(keys, async || self.keys(uri).await).await?;
        Ok(keys.find(id, algorithm))
    }

    async fn keys(&self, uri: &Uri) -> Result<KeySet, ProviderError> {
        Ok(KeySet::read(&self.fetch(uri, None).await?)?)
    }

    /// A JSON document of the provider.
    pub(super) async fn get<T: DeserializeOwned>(&self, uri: &Uri, token: Option<&str>) -> Result<T, ProviderError> {
        Ok(serde_json::from_slice(&self.fetch(uri, token).await?)?)
    }

    async fn fetch(&self, uri: &Uri, token: Option<&str>) -> Result<Bytes, ProviderError> {
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(value) = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok()) {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let answer = self.callout.send(request).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(ProviderError::Status(status)),
        }
    }

    /// Posts a form as the client, with further fields, and reads the JSON that a success brings.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        method: ClientAuthMethod,
        endpoint: &Uri,
        form: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<T, ProviderError> {
        Ok(serde_json::from_slice(&self.submit(method, endpoint, form, headers).await?)?)
    }

    /// As [`Provider::post`], with whatever body a success has.
    pub(super) async fn submit(
        &self,
        method: ClientAuthMethod,
        endpoint: &Uri,
        form: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Bytes, ProviderError> {
        let mut request = self.client.form(method, endpoint, form)?;
        // what the form needs stays as it is
        for (name, value) in &headers {
            request.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        let answer = self.callout.send(request).await?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        // RFC 6749 §5.2: a code without secrets
        match serde_json::from_slice::<Value>(answer.body()).ok().as_ref().and_then(|body| body["error"].as_str()) {
            Some(code) => Err(ProviderError::Refused(code.chars().take(64).collect())),
            None => Err(ProviderError::Status(answer.status())),
        }
    }
}

/// The document on the wire.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Document {
    fn judge(self, secure: bool) -> Result<Metadata, ProviderError> {
        let endpoint = |name: &'static str, text: Option<String>| match text {
            None => Ok(None),
            Some(text) => {
                let uri = http_uri(&text).map_err(|error| ProviderError::Endpoint(name, error))?;
                match secure && uri.scheme() != Some(&Scheme::HTTPS) {
                    true => Err(ProviderError::Downgrade(name)),
                    false => Ok(Some(uri)),
                }
            }
        };
        Ok(Metadata {
            issuer: self.issuer,
            authorization_endpoint: endpoint("authorization_endpoint", self.authorization_endpoint)?,
            token_endpoint: endpoint("token_endpoint", self.token_endpoint)?,
            userinfo_endpoint: endpoint("userinfo_endpoint", self.userinfo_endpoint)?,
            jwks_uri: endpoint("jwks_uri", self.jwks_uri)?,
            introspection_endpoint: endpoint("introspection_endpoint", self.introspection_endpoint)?,
            revocation_endpoint: endpoint("revocation_endpoint", self.revocation_endpoint)?,
            end_session_endpoint: endpoint("end_session_endpoint", self.end_session_endpoint)?,
            par_endpoint: endpoint(
                "pushed_authorization_request_endpoint",
                self.pushed_authorization_request_endpoint,
            )?,
            takes_pkce: self.code_challenge_methods_supported.iter().any(|method| method == "S256"),
            names_itself: self.authorization_response_iss_parameter_supported,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_fetched_by_https_names_no_plain_endpoint() {
        let document = |endpoint: &str| {
            serde_json::from_value::<Document>(json!({"issuer": "https://op.test", "token_endpoint": endpoint}))
                .unwrap()
        };
        assert!(matches!(document("http://op.test/t").judge(true), Err(ProviderError::Downgrade("token_endpoint"))));
        assert!(document("http://op.test/t").judge(false).is_ok());
        assert!(matches!(document("file:///etc/passwd").judge(false), Err(ProviderError::Endpoint(..))));
        #[cfg(feature = "tls")]
        assert!(document("https://op.test/t").judge(true).is_ok());
    }
}
