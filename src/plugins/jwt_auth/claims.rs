//! The claims of a token.
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::TimeClaim;

/// Request extension under `store_in_ctx`: the claims of the token that identified the caller. A clone is one reference
/// count.
#[derive(Clone, PartialEq)]
pub struct JwtClaims(Arc<Map<String, Value>>);

impl JwtClaims {
    /// One claim.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All claims.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    #[cfg(feature = "cache")]
    pub(super) fn shared(&self) -> Arc<Map<String, Value>> {
        Arc::clone(&self.0)
    }

    /// Whether the token counts at `now`, in seconds since 1970, give or take `grace` seconds: `required` claims must be
    /// there, and whichever is there must be a number and hold (RFC 7519 §4.1.4, §4.1.5).
    pub(super) fn hold_at(&self, now: u64, grace: u64, required: &[TimeClaim]) -> bool {
        let holds = |claim: TimeClaim, name: &str, holds: &dyn Fn(f64) -> bool| match self.get(name) {
            Some(time) => time.as_f64().is_some_and(holds),
            None => !required.contains(&claim),
        };
        // Times of this size are whole numbers of `f64`.
        let (now, grace) = (now as f64, grace as f64);
        holds(TimeClaim::Exp, "exp", &|exp| now < exp + grace)
            && holds(TimeClaim::Nbf, "nbf", &|nbf| nbf <= now + grace)
    }

    /// A claim as the value of a header.
    pub(super) fn to_header(&self, name: &str) -> Option<HeaderValue> {
        match self.get(name)? {
            Value::Null => None,
            Value::String(text) => HeaderValue::from_str(text).ok(),
            other => HeaderValue::try_from(other.to_string()).ok(),
        }
    }
}

impl fmt::Debug for JwtClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Their values are about a person.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for JwtClaims {
    /// An object whose names are there once: of two, readers take different ones (RFC 7519 §4).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim is repeated"));
                    }
                }
                Ok(claims)
            }
        }
        deserializer.deserialize_map(Object).map(|claims| Self(Arc::new(claims)))
    }
}
