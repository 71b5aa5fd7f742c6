//! What a consumer's tokens are verified by.
use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::Family;
use super::{JwtAlgorithm, JwtAuthCredential, JwtAuthPlugin};
use crate::plugin::{ConfigError, Plugin as _};

/// No RSA key of 2,048 bits fits into fewer bytes of DER.
const SHORTEST_RSA: usize = 256;

/// A consumer's algorithm and key, parsed.
pub struct JwtKey {
    algorithm: JwtAlgorithm,
    verifier: Verifier,
    grace: u64,
}

enum Verifier {
    /// Not as a key of AWS-LC: one has 1,232 bytes, and is made out of the secret in less time than it verifies.
    Secret(hmac::Algorithm, Box<[u8]>),
    Public(ParsedPublicKey),
}

impl JwtKey {
    pub(super) fn new(block: &JwtAuthCredential) -> Result<Self, ConfigError> {
        let verifier = match block.algorithm.family() {
            Family::Secret(algorithm) => Verifier::Secret(algorithm, secret(block)?.into()),
            Family::Rsa(algorithm) => {
                let der = public_key(block)?;
                if der.len() < SHORTEST_RSA {
                    return Err(invalid(
                        "public_key",
                        "is an RSA key of less than 2,048 bits, or none: make a longer one",
                    ));
                }
                Verifier::Public(parsed(ParsedPublicKey::new(algorithm, der), block.algorithm)?)
            }
            Family::Curve(algorithm) => {
                Verifier::Public(parsed(ParsedPublicKey::new(algorithm, public_key(block)?), block.algorithm)?)
            }
        };
        Ok(Self { algorithm: block.algorithm, verifier, grace: block.lifetime_grace_period })
    }

    /// Whether `signature` is the consumer's, by his algorithm and no other (security.md AUTH-02).
    pub(super) fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        algorithm == self.algorithm.name()
            && match &self.verifier {
                // In constant time (AUTH-01).
                Verifier::Secret(algorithm, secret) => {
                    hmac::verify(&hmac::Key::new(*algorithm, secret), message, signature).is_ok()
                }
                Verifier::Public(key) => key.verify_sig(message, signature).is_ok(),
            }
    }

    /// Seconds by which clocks may differ.
    pub(super) fn grace(&self) -> u64 {
        self.grace
    }
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwtKey({})", self.algorithm.name())
    }
}

fn secret(block: &JwtAuthCredential) -> Result<Vec<u8>, ConfigError> {
    let secret = block.secret.as_ref().map_or("", |secret| secret.expose());
    if secret.is_empty() {
        return Err(invalid("secret", "property \"secret\" is required when using HS based algorithms"));
    }
    if secret.trim_start().starts_with("-----BEGIN") {
        // Who knows a public key could sign by it (AUTH-02).
        return Err(invalid("secret", "is a PEM key: put a public key into `public_key` and name its algorithm"));
    }
    if !block.base64_secret {
        return Ok(secret.into());
    }
    let decoded = STANDARD.decode(secret).ok().filter(|decoded| !decoded.is_empty());
    decoded.ok_or_else(|| invalid("secret", "base64_secret required but the secret is not in base64 format"))
}

/// DER of the PEM.
fn public_key(block: &JwtAuthCredential) -> Result<Vec<u8>, ConfigError> {
    let Some(text) = block.public_key.as_deref().filter(|text| !text.is_empty()) else {
        let name = block.algorithm.name();
        return Err(invalid("public_key", &format!("property \"public_key\" is required when using {name}")));
    };
    let parsed = pem::parse(text).map_err(|_| invalid("public_key", "is no PEM"))?;
    match parsed.tag() {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Ok(parsed.into_contents()),
        tag => Err(invalid("public_key", &format!("is a PEM of `{tag}`: write the `PUBLIC KEY`"))),
    }
}

fn parsed<E>(key: Result<ParsedPublicKey, E>, algorithm: JwtAlgorithm) -> Result<ParsedPublicKey, ConfigError> {
    key.map_err(|_| {
        invalid("public_key", &format!("is no key of {}: its kind, or its curve, is another", algorithm.name()))
    })
}

fn invalid(field: &str, reason: &str) -> ConfigError {
    ConfigError::invalid(JwtAuthPlugin::NAME, field, reason)
}
