//! Who calls, as far as credentials tell more than the consumer or user that they stand for.
use std::sync::Arc;

use serde_json::{Map, Value};

use super::ExternalUser;

/// Request extension: what credentials that were verified say of the caller, the same each time that the caller comes. One
/// consumer may speak for many users, and the credentials themselves may be others in each request.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallerIdentity {
    told: Vec<Told>,
    /// `Authorization` says no more than that.
    pub(crate) is_authorization: bool,
}

#[derive(Clone, Debug)]
#[cfg_attr(
    not(all(feature = "hmac", feature = "jwt", feature = "oidc")),
    allow(dead_code, reason = "each of them tells one of these")
)]
enum Told {
    Key(String),
    Claims(Arc<Map<String, Value>>),
    User(ExternalUser),
}

/// Claims of one token, not of its bearer.
const OF_THE_TOKEN: [&str; 4] = ["exp", "iat", "jti", "nbf"];

#[cfg_attr(
    not(all(feature = "hmac", feature = "jwt", feature = "oidc")),
    allow(dead_code, reason = "each of them tells one of these")
)]
impl CallerIdentity {
    /// Adds the name of a key.
    pub(crate) fn add_key(extensions: &mut http::Extensions, key: String, is_authorization: bool) {
        Self::add(extensions, Told::Key(key), is_authorization);
    }

    /// Adds the claims of a token.
    pub(crate) fn add_claims(
        extensions: &mut http::Extensions,
        claims: Arc<Map<String, Value>>,
        is_authorization: bool,
    ) {
        Self::add(extensions, Told::Claims(claims), is_authorization);
    }

    /// Adds a user, by all that is said of it.
    pub(crate) fn add_user(extensions: &mut http::Extensions, user: ExternalUser, is_authorization: bool) {
        Self::add(extensions, Told::User(user), is_authorization);
    }

    fn add(extensions: &mut http::Extensions, told: Told, is_authorization: bool) {
        let identity = extensions.get_or_insert_default::<Self>();
        identity.told.push(told);
        identity.is_authorization |= is_authorization;
    }

    /// Gives each part of it, in an order that does not depend on how a token is written.
    pub(crate) fn parts(&self, mut part: impl FnMut(&[u8])) {
        for told in &self.told {
            match told {
                Told::Key(key) => part(key.as_bytes()),
                Told::Claims(claims) => of_claims(claims, &mut part),
                Told::User(user) => match user.description() {
                    Value::Object(claims) => of_claims(claims, &mut part),
                    other => part(other.to_string().as_bytes()),
                },
            }
        }
    }
}

fn of_claims(claims: &Map<String, Value>, part: &mut impl FnMut(&[u8])) {
    let mut claims: Vec<_> = claims.iter().filter(|(name, _)| !OF_THE_TOKEN.contains(&name.as_str())).collect();
    claims.sort_unstable_by_key(|(name, _)| *name);
    part(&(claims.len() as u64).to_le_bytes());
    for (name, value) in claims {
        part(name.as_bytes());
        part(value.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parts(claims: &[Value]) -> Vec<Vec<u8>> {
        let mut extensions = http::Extensions::new();
        for claims in claims {
            CallerIdentity::add(&mut extensions, Told::User(ExternalUser::new(claims.clone())), true);
        }
        let mut parts = Vec::new();
        extensions.get::<CallerIdentity>().unwrap().parts(|part| parts.push(part.to_vec()));
        parts
    }

    #[test]
    fn a_bearer_is_the_same_with_each_token() {
        let first = parts(&[json!({"sub": "ann", "role": "a", "exp": 1, "iat": 2, "nbf": 3, "jti": "x"})]);
        assert_eq!(first, parts(&[json!({"exp": 9, "role": "a", "sub": "ann"})]));
        for other in [json!({"sub": "bob", "role": "a"}), json!({"sub": "ann"}), json!({"sub": "ann", "role": ["a"]})] {
            assert_ne!(first, parts(&[other]));
        }
        assert_ne!(first, parts(&[json!({"sub": "ann", "role": "a"}), json!({})]), "two tokens are not one");
    }
}
