//! The decision, and the layer.
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, StatusCode};

use super::token::{Token, Vouched};
use super::{JweDecryptConfig, JweDecryptPlugin};
use crate::Response;
use crate::error::reject;
use crate::plugin::{ConfigError, ConsumerLookup, Gate, GateLayer, Plugin as _};
use crate::plugins::checks::own_field;
use crate::plugins::consumer_auth::{Repeated, authorization, single, without_bearer};
use crate::request::CallerFields;

const NAME: &str = JweDecryptPlugin::NAME;

/// Why `jwe-decrypt` turned a request away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JweDecryptRejection {
    /// There is no token.
    #[error("missing JWE token in request")]
    Missing,
    /// It is no token, too long, or there twice.
    #[error("JWE token invalid")]
    Malformed,
    /// It does not say with whose secret it was made.
    #[error("missing kid in JWE token")]
    NoKid,
    /// That is nobody's.
    #[error("invalid kid in JWE token")]
    UnknownKid,
    /// The secret does not open it, or what is in it cannot stand in a field.
    #[error("failed to decrypt JWE token")]
    Closed,
}

impl JweDecryptRejection {
    fn into_response(self) -> Response {
        let status = if self == Self::Missing { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        reject(status, NAME, self)
    }
}

/// The compiled block.
#[derive(Debug)]
pub struct JweDecrypt {
    header: HeaderName,
    forward: HeaderName,
    /// The same, as what tells the upstream who calls.
    tells: Arc<[HeaderName]>,
    strict: bool,
    vouched: Vouched,
    consumers: ConsumerLookup,
}

/// [`JweDecrypt`] as a layer.
pub type JweDecryptLayer = GateLayer<JweDecrypt>;

impl JweDecrypt {
    /// Compiles a block for these consumers.
    ///
    /// # Errors
    /// [`ConfigError`] when a field is not as its documentation says.
    pub fn new(config: JweDecryptConfig, consumers: impl Into<ConsumerLookup>) -> Result<Self, ConfigError> {
        let header = HeaderName::try_from(&config.header).map_err(|_| {
            ConfigError::invalid(NAME, "header", "is no name of a field: write one such as Authorization")
        })?;
        let forward = own_field(NAME, "forward_header", &config.forward_header)?;
        let vouched = if config.unauthenticated_header { Vouched::OrNot } else { Vouched::Always };
        let tells = [forward.clone()].into();
        Ok(Self { header, forward, tells, strict: config.strict, vouched, consumers: consumers.into() })
    }

    /// What is in the token of a request.
    fn open<B>(&self, request: &http::Request<B>) -> Result<HeaderValue, JweDecryptRejection> {
        let value = single(request.headers(), &self.header).map_err(|_: Repeated| JweDecryptRejection::Malformed)?;
        let value = value.ok_or(JweDecryptRejection::Missing)?;
        let token = Token::read(without_bearer(value.as_bytes())).ok_or(JweDecryptRejection::Malformed)?;
        let kid = token.kid().ok_or(JweDecryptRejection::NoKid)?;
        let found = self.consumers.find::<JweDecryptPlugin, B>(request, kid.as_bytes());
        let (_, key) = found.ok_or(JweDecryptRejection::UnknownKid)?;
        let plaintext = token.open(key, self.vouched).ok_or(JweDecryptRejection::Closed)?;
        let mut value = HeaderValue::try_from(plaintext).map_err(|_| JweDecryptRejection::Closed)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Gate for JweDecrypt {
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
        if self.header == AUTHORIZATION {
            authorization(NAME, request.headers())?;
        }
        match self.open(request) {
            Ok(value) => {
                request.headers_mut().insert(self.forward.clone(), value);
                CallerFields::add(request.extensions_mut(), &self.tells);
                Ok(())
            }
            Err(JweDecryptRejection::Missing) if !self.strict => {
                // nobody but a token says what stands there
                request.headers_mut().remove(&self.forward);
                Ok(())
            }
            Err(rejection) => {
                #[cfg(feature = "tracing")]
                tracing::warn!(plugin = NAME, reason = %rejection, "a token was refused");
                Err(rejection.into_response())
            }
        }
    }
}
