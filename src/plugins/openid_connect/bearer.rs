//! Requests that bring a token.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::claims::refuse_token;
use super::layer::OpenidConnect;
use super::log;
use super::plugin::NAME;
use super::provider::ProviderError;
use super::settings::Bearer;
use super::token::{Claims, TokenFault};
use crate::Response;
use crate::error::reject;
use crate::plugins::browser::unix_now;
use crate::request::ExternalUser;

/// Longest token of a request (security.md AUTH-04).
const MAX_TOKEN: usize = 8 * 1024;

/// The token of a request: of `Authorization`, else `aside`, the `X-Access-Token` that came with it.
///
/// # Errors
/// 400, when `Authorization` is one word, is no text, or stands there twice.
pub(super) fn token(headers: &HeaderMap, aside: Option<HeaderValue>) -> Result<Option<String>, Response> {
    let bad = || reject(StatusCode::BAD_REQUEST, NAME, "Invalid Authorization header format.");
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    if let Some(field) = fields.next() {
        if fields.next().is_some() {
            return Err(bad());
        }
        let (scheme, token) = field.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(bad)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Some(token.trim().to_owned()));
        }
    }
    aside.map(|token| token.to_str().map(str::to_owned).map_err(|_| bad())).transpose()
}

/// Whether `Authorization` is this token and no more.
#[cfg(feature = "cache")]
pub(super) fn is_told(headers: &HeaderMap, token: &str) -> bool {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let is_it = |field: &HeaderValue| field.to_str().is_ok_and(|text| text.ends_with(token));
    fields.next().is_some_and(is_it) && fields.next().is_none()
}

/// 401 for a request without a token.
pub(super) fn missing(challenge: &str) -> Response {
    let mut response = reject(StatusCode::UNAUTHORIZED, NAME, "No bearer token found in request.");
    if let Ok(value) = HeaderValue::from_str(challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

impl OpenidConnect {
    /// Verifies a bearer token and what it must be for: who brings it.
    pub(super) async fn bearer(&self, token: &str, headers: &HeaderMap) -> Result<ExternalUser, Response> {
        let settings = &self.settings;
        let user = self.genuine(token, headers).await.map_err(|fault| refuse_token(settings, fault))?;
        let claims = user.description();
        settings.check_audience(claims, &self.provider.client.id)?;
        settings.check_scopes(claims.get("scope").or_else(|| claims.get("scp")))?;
        settings.check_schema(claims)?;
        Ok(user)
    }

    async fn genuine(&self, token: &str, headers: &HeaderMap) -> Result<ExternalUser, TokenFault> {
        if token.len() > MAX_TOKEN {
            return Err(TokenFault::TooLong);
        }
        let acceptance = &self.settings.acceptance;
        let claims = match &self.settings.bearer {
            Bearer::PublicKey(key) => acceptance.claims(token, &acceptance.header(token)?, key)?,
            Bearer::Keys => {
                let header = acceptance.header(token)?;
                let key = self.provider.key(header.kid.as_deref(), header.alg).await;
                let key = key.map_err(|error| unavailable(&error))?.ok_or(TokenFault::UnknownKey)?;
                acceptance.claims(token, &header, &key)?
            }
            Bearer::Introspection => return self.introspected(token, headers).await,
            Bearer::None => return Err(TokenFault::Inactive),
        };
        self.issued(&claims, true).await?;
        Ok(ExternalUser::new(Value::Object(claims)))
    }

    /// Whether somebody issued the token who may. An introspection need not tell who did (RFC 7662 §2.2), unless the block
    /// names issuers.
    async fn issued(&self, claims: &Claims, must_tell: bool) -> Result<(), TokenFault> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        let valid = match (&self.settings.issuers, issuer) {
            (Some(valid), issuer) => issuer.is_some_and(|issuer| valid.iter().any(|one| one == issuer)),
            (None, None) => !must_tell,
            (None, Some(issuer)) => {
                self.provider.metadata().await.map_err(|error| unavailable(&error))?.issuer == issuer
            }
        };
        if valid { Ok(()) } else { Err(TokenFault::Issuer) }
    }

    /// Asks the provider about a token (RFC 7662), unless it told a moment ago.
    async fn introspected(&self, token: &str, headers: &HeaderMap) -> Result<ExternalUser, TokenFault> {
        let settings = &self.settings.introspection;
        if let Some(user) = self.introspections.get(token) {
            return Ok(user);
        }
        let claims: Claims = self.ask_about(token, headers).await.map_err(|error| unavailable(&error))?;
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenFault::Inactive);
        }
        let left = match claims.get(&settings.expiry_claim).map(Value::as_u64) {
            None => None,
            Some(Some(expires)) => Some(Duration::from_secs(expires.saturating_sub(unix_now()))),
            Some(None) => return Err(TokenFault::Claims),
        };
        if left == Some(Duration::ZERO) {
            return Err(TokenFault::Expired);
        }
        self.issued(&claims, false).await?;
        let user = ExternalUser::new(Value::Object(claims));
        if let Some(kept) = [left, settings.interval].into_iter().flatten().min() {
            self.introspections.put(token, &user, kept);
        }
        Ok(user)
    }

    async fn ask_about(&self, token: &str, headers: &HeaderMap) -> Result<Claims, ProviderError> {
        let settings = &self.settings.introspection;
        let metadata;
        let endpoint = match &settings.endpoint {
            Some(endpoint) => endpoint,
            None => {
                metadata = self.provider.metadata().await?;
                metadata.introspection_endpoint.as_ref().ok_or(ProviderError::None("introspection_endpoint"))?
            }
        };
        let mut along = HeaderMap::new();
        for name in &settings.headers {
            if let Some(value) = headers.get(name) {
                along.insert(name, value.clone());
            }
        }
        let form = [("token", token), ("token_type_hint", "access_token")];
        self.provider.post(settings.method, endpoint, &form, along).await
    }
}

fn unavailable(error: &ProviderError) -> TokenFault {
    log::warn("a bearer token cannot be verified", error);
    TokenFault::Unavailable
}

/// What the provider said of tokens, by their digests: a memory dump shows none that works.
#[derive(Debug, Default)]
pub(super) struct Introspections(Mutex<HashMap<[u8; 32], Known>>);

/// What was said, and until when it holds.
type Known = (ExternalUser, Instant);

impl Introspections {
    /// Most tokens that are remembered. Beyond them, those that have run out are forgotten, and then no more is added.
    const MAX: usize = 10_000;

    fn get(&self, token: &str) -> Option<ExternalUser> {
        let token = fingerprint(token);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (user, until) = kept.get(&token)?;
        (Instant::now() < *until).then(|| user.clone())
    }

    fn put(&self, token: &str, user: &ExternalUser, lifetime: Duration) {
        let now = Instant::now();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= Self::MAX {
            kept.retain(|_, (_, until)| now < *until);
        }
        if kept.len() < Self::MAX
            && let Some(until) = now.checked_add(lifetime)
        {
            kept.insert(fingerprint(token), (user.clone(), until));
        }
    }
}

/// The digest of a token.
pub(super) fn fingerprint(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_or_the_request_is_wrong() {
        for (fields, aside, found) in [
            (&["Bearer abc"][..], None, Ok(Some("abc"))),
            (&["bEARER  abc"], None, Ok(Some("abc"))),
            (&["Bearer abc"], Some("other"), Ok(Some("abc"))),
            (&[], Some("other"), Ok(Some("other"))),
            (&["Basic abc"], None, Ok(None)),
            (&["Basic abc"], Some("other"), Ok(Some("other"))),
            (&[], None, Ok(None)),
            (&["abc"], None, Err(400)),
            (&[""], None, Err(400)),
            (&["Bearer abc", "Bearer abc"], None, Err(400)),
            (&["Bearer \u{e9}"], None, Err(400)),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(field.as_bytes()).unwrap());
            }
            let token =
                token(&headers, aside.map(HeaderValue::from_static)).map_err(|response| response.status().as_u16());
            assert_eq!(token, found.map(|found| found.map(str::to_owned)), "{fields:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn introspections_are_forgotten_in_time_and_bounded() {
        let (cache, claims) = (Introspections::default(), ExternalUser::new(Value::Null));
        for token in 0..Introspections::MAX {
            cache.put(&token.to_string(), &claims, Duration::from_secs(1));
        }
        cache.put("more", &claims, Duration::from_secs(1));
        assert!(cache.get("0").is_some() && cache.get("more").is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(cache.get("0").is_none());
        cache.put("more", &claims, Duration::from_secs(1));
        assert!(cache.get("more").is_some());
    }
}
