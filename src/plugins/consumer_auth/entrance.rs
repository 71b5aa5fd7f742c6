//! Who comes in without a credential, and how the others are refused.
use std::fmt;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::single;
use crate::error::{Response, reject};
use crate::plugin::{Caveat, ConfigError, ConsumerLookup};
use crate::request::Consumer;

/// What route-side blocks of these plugins have alike, compiled.
#[derive(Debug)]
pub(crate) struct Entrance {
    plugin: &'static str,
    challenge: HeaderValue,
    anonymous: Option<String>,
    pub(crate) consumers: ConsumerLookup,
}

impl Entrance {
    /// `scheme` is the one of `WWW-Authenticate`.
    ///
    /// # Errors
    /// A realm that cannot be quoted, an anonymous consumer without a name.
    pub(crate) fn new(
        plugin: &'static str,
        scheme: &str,
        realm: &str,
        anonymous: Option<String>,
        consumers: ConsumerLookup,
    ) -> Result<Self, ConfigError> {
        let quotable = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if !realm.bytes().all(quotable) {
            let reason = "has a character that cannot be quoted: use printable ASCII without `\"` and `\\`";
            return Err(ConfigError::invalid(plugin, "realm", reason));
        }
        if anonymous.as_ref().is_some_and(String::is_empty) {
            let reason = "is empty: name a consumer, or remove the field to let nobody in without a credential";
            return Err(ConfigError::invalid(plugin, "anonymous_consumer", reason));
        }
        let challenge = HeaderValue::from_str(&format!("{scheme} realm=\"{realm}\""))
            .map_err(|_| ConfigError::invalid(plugin, "realm", "is no value of a field"))?;
        Ok(Self { plugin, challenge, anonymous, consumers })
    }

    /// The anonymous consumer, for a request that failed to identify itself for whatever reason.
    ///
    /// # Errors
    /// The answer to the request: `refusal`, or that the anonymous consumer does not exist.
    pub(crate) fn anonymous<B>(
        &self,
        request: &http::Request<B>,
        refusal: impl fmt::Display,
    ) -> Result<Consumer, Response> {
        match &self.anonymous {
            None => Err(self.refuse(refusal)),
            Some(name) => self.consumers.by_name(request, name).cloned().ok_or_else(|| {
                #[cfg(feature = "tracing")]
                tracing::warn!(plugin = self.plugin, consumer = name, "the anonymous consumer does not exist");
                self.refuse("Invalid user authorization")
            }),
        }
    }

    /// 401 with the challenge.
    pub(crate) fn refuse(&self, message: impl fmt::Display) -> Response {
        #[cfg(feature = "tracing")]
        tracing::warn!(plugin = self.plugin, reason = %message, "a caller was refused");
        let mut response = reject(StatusCode::UNAUTHORIZED, self.plugin, message);
        response.headers_mut().insert(WWW_AUTHENTICATE, self.challenge.clone());
        response
    }
}

/// The value of `Authorization`.
///
/// # Errors
/// 400 when there are several: hops that read different ones would see different callers (security.md AUTH-05).
pub(crate) fn authorization<'h>(
    plugin: &'static str,
    headers: &'h HeaderMap,
) -> Result<Option<&'h HeaderValue>, Response> {
    single(headers, &AUTHORIZATION)
        .map_err(|_| reject(StatusCode::BAD_REQUEST, plugin, "More than one Authorization header in request"))
}

/// Judges a text of a consumer-side block that must be there and not be longer than `max` bytes.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn required(plugin: &'static str, field: &'static str, text: &str, max: usize) -> Result<(), ConfigError> {
    let reason = match text.len() {
        0 => format!("is empty: property \"{field}\" is required, 1 to {max} bytes"),
        length if length > max => format!("has {length} bytes: at most {max} are allowed"),
        _ => return Ok(()),
    };
    Err(ConfigError::invalid(plugin, field, reason))
}

/// The doubt about a block that leaves the credential in the request (security.md AUTH-08).
pub(crate) fn forwarded(hide_credentials: bool) -> Option<Caveat> {
    let message = "is off: the origin gets the caller's credential";
    (!hide_credentials).then(|| Caveat::new("hide_credentials", message, "set it to `true` unless the origin needs it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realms_are_quotable_and_names_are_not_empty() {
        let new = |realm: &str, anonymous: Option<&str>| {
            Entrance::new("p", "apikey", realm, anonymous.map(str::to_owned), ConsumerLookup::of_request())
        };
        assert_eq!(new("key", None).unwrap().refuse("no").headers()["www-authenticate"], "apikey realm=\"key\"");
        for realm in ["a\"b", "a\\b", "a\nb", "ä"] {
            assert_eq!(new(realm, None).unwrap_err().field(), "realm");
        }
        assert_eq!(new("", Some("")).unwrap_err().field(), "anonymous_consumer");
    }

    #[test]
    fn sec_auth_05_two_authorization_fields_are_400() {
        let mut headers = HeaderMap::new();
        assert!(authorization("p", &headers).unwrap().is_none());
        headers.append("authorization", HeaderValue::from_static("Basic eA=="));
        assert!(authorization("p", &headers).unwrap().is_some());
        headers.append("authorization", HeaderValue::from_static("Basic eA=="));
        assert_eq!(authorization("p", &headers).unwrap_err().status(), 400);
    }
}
