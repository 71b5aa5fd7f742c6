//! The decision, and the layer.
use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderName;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use serde_json::Value;

use super::cookie::{cookie, remove_cookie};
use super::token::Token;
use super::{JwtAuthConfig, JwtAuthPlugin, JwtClaims, TimeClaim};
use crate::error::Response;
use crate::hop::is_hop;
use crate::plugin::{ConfigError, ConsumerLookup, Gate, GateLayer, Plugin as _};
use crate::plugins::consumer_auth::{Argument, Entrance, Repeated, authorization, single, without_bearer};
use crate::request::Consumer;
#[cfg(feature = "cache")]
use crate::request::{CallerFields, CallerIdentity};

/// Why `jwt-auth` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtAuthRejection {
    /// There is no token.
    #[error("Missing JWT token in request")]
    Missing,
    /// It is no token, too long, or there twice.
    #[error("JWT token invalid")]
    Malformed,
    /// It does not say whose it is.
    #[error("missing user key in JWT token")]
    NoKey,
    /// It is nobody's.
    #[error("Invalid user key in JWT token")]
    UnknownKey,
    /// Its algorithm, signature or time is wrong.
    #[error("failed to verify jwt")]
    Unverified,
}

/// Where a token was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Query,
    Cookie,
}

/// The compiled block.
#[derive(Debug)]
pub struct JwtAuth {
    header: HeaderName,
    query: Argument,
    cookie: String,
    one_location: bool,
    key_claim: String,
    required: Vec<TimeClaim>,
    to_headers: Vec<(HeaderName, String)>,
    /// The names of these. Claims in them may be the token's own, such as `jti`.
    #[cfg(feature = "cache")]
    tells: std::sync::Arc<[HeaderName]>,
    store: bool,
    hide: bool,
    entrance: Entrance,
}

/// [`JwtAuth`] as a layer.
pub type JwtAuthLayer = GateLayer<JwtAuth>;

impl JwtAuth {
    /// Compiles a block for these consumers.
    ///
    /// # Errors
    /// [`ConfigError`] when a field is not as its documentation says.
    pub fn new(config: JwtAuthConfig, consumers: impl Into<ConsumerLookup>) -> Result<Self, ConfigError> {
        let header = HeaderName::try_from(&config.header)
            .map_err(|_| invalid("header", "is no name of a header: use letters, digits and `-`"))?;
        for (field, text) in
            [("query", &config.query), ("cookie", &config.cookie), ("key_claim_name", &config.key_claim_name)]
        {
            if text.is_empty() {
                return Err(invalid(field, "is empty: write a name"));
            }
        }
        let required = config.claims_to_verify;
        if required.iter().enumerate().any(|(at, claim)| required.iter().skip(at + 1).any(|other| other == claim)) {
            return Err(invalid("claims_to_verify", "names a claim twice: remove one"));
        }
        let to_headers = config.claims_to_headers.into_iter().map(|(header, claim)| Ok((writable(&header)?, claim)));
        let to_headers = to_headers.collect::<Result<Vec<_>, ConfigError>>()?;
        let (realm, anonymous) = (&config.realm, config.anonymous_consumer);
        Ok(Self {
            header,
            query: Argument::new(config.query),
            cookie: config.cookie,
            one_location: config.one_location,
            key_claim: config.key_claim_name,
            required,
            #[cfg(feature = "cache")]
            tells: to_headers.iter().map(|(name, _)| name.clone()).collect(),
            to_headers,
            store: config.store_in_ctx,
            hide: config.hide_credentials,
            entrance: Entrance::new(JwtAuthPlugin::NAME, "Bearer", realm, anonymous, consumers.into())?,
        })
    }

    /// Finds the token.
    fn find<'r, B>(&self, request: &'r http::Request<B>) -> Result<(Cow<'r, [u8]>, Place), JwtAuthRejection> {
        let mut found = None;
        for place in [Place::Header, Place::Query, Place::Cookie] {
            match self.at(place, request).map_err(|_: Repeated| JwtAuthRejection::Malformed)? {
                Some(_) if found.is_some() => return Err(JwtAuthRejection::Malformed),
                Some(token) if !self.one_location => return Ok((token, place)),
                Some(token) => found = Some((token, place)),
                None => {}
            }
        }
        found.ok_or(JwtAuthRejection::Missing)
    }

    fn at<'r, B>(&self, place: Place, request: &'r http::Request<B>) -> Result<Option<Cow<'r, [u8]>>, Repeated> {
        let headers = request.headers();
        match place {
            Place::Header => Ok(single(headers, &self.header)?.map(|value| without_bearer(value.as_bytes()).into())),
            Place::Query => self.query.of(request.uri()),
            Place::Cookie => Ok(cookie(headers, &self.cookie)?.map(Cow::Borrowed)),
        }
    }

    /// Whose token it is, at `now`, in seconds since 1970.
    fn identify<B>(
        &self,
        request: &http::Request<B>,
        now: u64,
    ) -> Result<(Consumer, JwtClaims, Place), JwtAuthRejection> {
        let (token, place) = self.find(request)?;
        let token = Token::read(&token).ok_or(JwtAuthRejection::Malformed)?;
        let key = match token.claims.get(&self.key_claim) {
            Some(Value::String(key)) => key,
            None | Some(Value::Null) => return Err(JwtAuthRejection::NoKey),
            Some(_) => return Err(JwtAuthRejection::UnknownKey),
        };
        let (consumer, own) = self
            .entrance
            .consumers
            .find::<JwtAuthPlugin, B>(request, key.as_bytes())
            .ok_or(JwtAuthRejection::UnknownKey)?;
        let verified = !token.is_critical()
            && own.verifies(token.algorithm(), token.message, &token.signature)
            && token.claims.hold_at(now, own.grace(), &self.required);
        match verified {
            true => Ok((consumer.clone(), token.claims, place)),
            false => Err(JwtAuthRejection::Unverified),
        }
    }

    pub(super) fn check_at<B>(&self, request: &mut http::Request<B>, now: u64) -> Result<(), Response> {
        if self.header == AUTHORIZATION {
            authorization(JwtAuthPlugin::NAME, request.headers())?;
        }
        let (consumer, claims, place) = match self.identify(request, now) {
            Ok((consumer, claims, place)) => (consumer, Some(claims), Some(place)),
            Err(rejection) => (self.entrance.anonymous(request, rejection)?, None, None),
        };
        if self.hide {
            self.hide(request, place);
        }
        for (header, claim) in &self.to_headers {
            match claims.as_ref().and_then(|claims| claims.to_header(claim)) {
                Some(value) => drop(request.headers_mut().insert(header, value)),
                None => drop(request.headers_mut().remove(header)),
            }
        }
        #[cfg(feature = "cache")]
        if let Some(claims) = &claims {
            let is_authorization = place == Some(Place::Header) && self.header == AUTHORIZATION;
            CallerIdentity::add_claims(request.extensions_mut(), claims.shared(), is_authorization);
            if !self.tells.is_empty() {
                CallerFields::add(request.extensions_mut(), &self.tells);
            }
        }
        if let Some(claims) = claims.filter(|_| self.store) {
            request.extensions_mut().insert(claims);
        }
        consumer.attach(request);
        Ok(())
    }

    /// Takes the token out of its place, or all there are out of all places.
    fn hide<B>(&self, request: &mut http::Request<B>, place: Option<Place>) {
        let is = |one| place.is_none_or(|place| place == one);
        if is(Place::Header) {
            request.headers_mut().remove(&self.header);
        }
        if is(Place::Query) {
            self.query.remove(request.uri_mut());
        }
        if is(Place::Cookie) {
            remove_cookie(request.headers_mut(), &self.cookie);
        }
    }
}

impl Gate for JwtAuth {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        // A clock before 1970 makes every token one of the future.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.check_at(request, now)
    }
}

/// A header that claims may be written into: not one of framing, of one hop, or of the consumer's identity.
fn writable(header: &str) -> Result<HeaderName, ConfigError> {
    let place = format!("claims_to_headers.{header}");
    let name = HeaderName::try_from(header)
        .map_err(|_| ConfigError::invalid(JwtAuthPlugin::NAME, &*place, "is no name of a header"))?;
    let text = name.as_str();
    let reserved = is_hop(text.as_bytes())
        || [HOST, CONTENT_LENGTH].contains(&name)
        || text.starts_with("x-consumer-")
        || text == "x-credential-identifier";
    match reserved {
        true => Err(ConfigError::invalid(JwtAuthPlugin::NAME, place, "is the gateway's to write: use another header")),
        false => Ok(name),
    }
}

fn invalid(field: &str, reason: &str) -> ConfigError {
    ConfigError::invalid(JwtAuthPlugin::NAME, field, reason)
}
