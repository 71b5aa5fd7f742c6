//! Keys that tokens are verified with: which key, and which algorithms it is for.
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};

/// A key with the algorithms that it may be used for, all of one family (security.md AUTH-02): the token's header chooses
/// among these and no others.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl Key {
    /// The public key of a PEM text.
    pub(super) fn of_pem(pem: &str) -> Option<Self> {
        let bytes = pem.trim().as_bytes();
        let (key, algorithms) = if let Ok(key) = DecodingKey::from_rsa_pem(bytes) {
            (key, vec![RS256, RS384, RS512, PS256, PS384, PS512])
        } else if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
            (key, vec![ES256, ES384])
        } else {
            (DecodingKey::from_ed_pem(bytes).ok()?, vec![EdDSA])
        };
        // a private key would do as well, but has no business here
        pem.contains("PUBLIC KEY").then_some(Self { id: None, algorithms, key })
    }

    /// A shared secret.
    pub(super) fn of_secret(secret: &str) -> Self {
        let key = DecodingKey::from_secret(secret.as_bytes());
        Self { id: None, algorithms: vec![HS256, HS384, HS512], key }
    }

    /// A public key for signatures; anything else in a key set is none of ours, shared secrets above all.
    fn of_jwk(jwk: &Jwk) -> Option<Self> {
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return None;
        }
        let of_type = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
            AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
                EllipticCurve::P256 => vec![ES256],
                EllipticCurve::P384 => vec![ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => vec![EdDSA],
            _ => return None,
        };
        let algorithms = match &jwk.common.key_algorithm {
            None => of_type,
            Some(named) => {
                let named = named.to_string().parse().ok()?;
                of_type.contains(&named).then(|| vec![named])?
            }
        };
        Some(Self { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk).ok()? })
    }

    /// Whether the key is for an algorithm.
    pub(super) fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }
}

/// The keys of a provider (RFC 7517 §5).
#[derive(Debug)]
pub(super) struct KeySet(Vec<Arc<Key>>);

impl KeySet {
    /// More keys than any provider has; the rest is not read.
    const MAX: usize = 256;

    /// Reads a key set. Keys of types, uses or algorithms that are not ours are left out.
    pub(super) fn read(document: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let keys = serde_json::from_slice::<Document>(document)?.keys.into_iter().take(Self::MAX);
        let keys = keys.filter_map(|key| serde_json::from_value(key).ok()).filter_map(|jwk| Key::of_jwk(&jwk));
        Ok(Self(keys.map(Arc::new).collect()))
    }

    /// The key for a token: the one with exactly its `kid`, or, for a token that names none, the only one that is for its
    /// algorithm (OpenID Connect Core 1.0 §10.1).
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<Key>> {
        let mut fitting = self.0.iter().filter(|key| key.takes(algorithm));
        let found = match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        found.cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

    fn set(keys: Value) -> KeySet {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn sec_auth_02_a_key_is_for_the_algorithms_of_its_own_family() {
        let keys = set(json!([
            {"kty": "RSA", "kid": "any", "n": N, "e": "AQAB"},
            {"kty": "RSA", "kid": "one", "alg": "RS256", "n": N, "e": "AQAB"},
            {"kty": "RSA", "kid": "mixed", "alg": "HS256", "n": N, "e": "AQAB"},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": N, "e": "AQAB"},
            {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
            {"kty": "new", "kid": "unknown"},
        ]));
        assert!(keys.find(Some("any"), PS384).is_some());
        assert!(keys.find(Some("one"), RS256).is_some());
        for (id, algorithm) in [
            ("any", HS256),
            ("any", ES256),
            ("one", RS384),
            ("mixed", HS256),
            ("mixed", RS256),
            ("enc", RS256),
            ("secret", HS256),
        ] {
            assert!(keys.find(Some(id), algorithm).is_none(), "{id} {algorithm:?}");
        }
    }

    #[test]
    fn sec_auth_03_a_key_id_is_looked_up_exactly() {
        let keys = set(json!([{"kty": "RSA", "kid": "a", "n": N, "e": "AQAB"}]));
        for id in ["", "A", "a ", "../a", "a' OR '1'='1", "http://evil.test/a"] {
            assert!(keys.find(Some(id), RS256).is_none(), "{id}");
        }
    }

    #[test]
    fn a_token_without_key_id_needs_the_only_key() {
        let one = json!({"kty": "RSA", "kid": "a", "n": N, "e": "AQAB"});
        assert!(set(json!([one])).find(None, RS256).is_some());
        assert!(set(json!([one, one])).find(None, RS256).is_none());
    }
}
