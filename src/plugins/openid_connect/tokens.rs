//! What the token endpoint gives, and what becomes of it.
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::Value;

use super::layer::OpenidConnect;
use super::log;
use super::provider::{Metadata, ProviderError};
use super::seal::same;
use super::sessions::SessionError;
use super::token::{Claims, TokenFault};

/// An answer of the token endpoint (RFC 6749 §5.1; OpenID Connect Core 1.0 §3.1.3.3).
#[derive(Clone, Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    token_type: String,
    #[serde(default, deserialize_with = "seconds")]
    pub(super) expires_in: Option<u64>,
    pub(super) refresh_token: Option<String>,
    pub(super) id_token: Option<String>,
    pub(super) scope: Option<String>,
}

/// Some providers write numbers as text.
fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text.parse().ok(),
        number => number.as_u64(),
    })
}

/// Why a log-in did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error("the provider brought no tokens")]
    Provider(#[from] ProviderError),
    #[error("the ID token is refused")]
    IdToken(#[from] TokenFault),
    #[error("the provider sent no ID token")]
    NoIdToken,
    #[error("the access token is of a type that is not known")]
    TokenType,
    #[error("the userinfo is about another user")]
    AnotherUser,
    #[error("the session cannot be kept")]
    Session(#[from] SessionError),
    #[error("nothing can be encrypted")]
    Crypto(#[from] aws_lc_rs::error::Unspecified),
    #[error("the renewal broke off")]
    Broken,
    #[error("another gateway did not renew the session in time")]
    Elsewhere,
    #[error("the provider's answer to the browser is not of this log-in: {0}")]
    Answer(&'static str),
    #[error("the provider refused the log-in: {0}")]
    Refused(String),
}

impl OpenidConnect {
    /// Exchanges a grant for tokens.
    pub(super) async fn tokens(&self, metadata: &Metadata, form: &[(&str, &str)]) -> Result<Tokens, LoginError> {
        let endpoint = metadata.token_endpoint.as_ref().ok_or(ProviderError::None("token_endpoint"))?;
        let method = self.settings.login.method;
        let tokens: Tokens = self.provider.post(method, endpoint, form, HeaderMap::new()).await?;
        match tokens.token_type.eq_ignore_ascii_case("bearer") {
            true => Ok(tokens),
            false => Err(LoginError::TokenType),
        }
    }

    /// Verifies an ID token (OpenID Connect Core 1.0 §3.1.3.7).
    pub(super) async fn id_token(
        &self,
        token: &str,
        metadata: &Metadata,
        nonce: Option<&str>,
    ) -> Result<Claims, LoginError> {
        let acceptance = &self.settings.acceptance;
        let header = acceptance.header(token)?;
        let claims = match &self.settings.secret_key {
            Some(key) if key.takes(header.alg) => acceptance.claims(token, &header, key)?,
            _ => {
                let key = self.provider.key(header.kid.as_deref(), header.alg).await?.ok_or(TokenFault::UnknownKey)?;
                acceptance.claims(token, &header, &key)?
            }
        };
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let client = self.provider.client.id.as_str();
        if text("iss") != Some(&metadata.issuer) {
            return Err(TokenFault::Issuer.into());
        }
        if !super::claims::names(claims.get("aud"), client) || text("azp").is_some_and(|party| party != client) {
            return Err(TokenFault::Audience.into());
        }
        if text("sub").is_none_or(str::is_empty) {
            return Err(TokenFault::Claims.into());
        }
        match nonce {
            Some(nonce) if !text("nonce").is_some_and(|found| same(found, nonce)) => Err(TokenFault::Nonce.into()),
            _ => Ok(claims),
        }
    }

    /// What the provider knows of the user. A provider that does not tell is no obstacle; one that tells of somebody else
    /// is (OpenID Connect Core 1.0 §5.3.2).
    pub(super) async fn userinfo(
        &self,
        metadata: &Metadata,
        access_token: &str,
        claims: &Claims,
    ) -> Result<Option<Value>, LoginError> {
        let Some(endpoint) = &metadata.userinfo_endpoint else { return Ok(None) };
        match self.provider.get::<Value>(endpoint, Some(access_token)).await {
            Ok(user) if user.get("sub") == claims.get("sub") => Ok(Some(user)),
            Ok(_) => Err(LoginError::AnotherUser),
            Err(error) => {
                log::warn("the provider's userinfo is not to be had", &error);
                Ok(None)
            }
        }
    }

    /// Revokes a token (RFC 7009), if the provider can.
    pub(super) async fn revoke(&self, endpoint: &Uri, token: &str, hint: &str) {
        let form = [("token", token), ("token_type_hint", hint)];
        if let Err(error) = self.provider.submit(self.settings.login.method, endpoint, &form, HeaderMap::new()).await {
            log::warn("a token was not revoked", &error);
        }
    }
}
