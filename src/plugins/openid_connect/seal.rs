//! Encryption of what the browser keeps for us.
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Seals values with AES-256-GCM-SIV, by a key that is derived (HKDF, SHA-256) from a secret and from what the values are
/// bound to: what was sealed for another route, issuer or client does not open (security.md AUTH-10).
pub(super) struct Seal(RandomizedNonceKey);

impl Seal {
    /// # Errors
    /// When the cipher cannot be set up.
    pub(super) fn new(secret: &str, binding: &[&str]) -> Result<Self, Unspecified> {
        let mut key = [0; 32];
        let extracted = Salt::new(HKDF_SHA256, b"tollgate openid-connect 1").extract(secret.as_bytes());
        // each part ends in a zero byte, which none contains, so that no two lists give the same text
        let parts: Vec<&[u8]> = binding.iter().flat_map(|part| [part.as_bytes(), b"\0"]).collect();
        extracted.expand(&parts, HKDF_SHA256)?.fill(&mut key)?;
        Ok(Self(RandomizedNonceKey::new(&AES_256_GCM_SIV, &key)?))
    }

    /// Seals a value for one purpose, as text that a cookie can hold.
    ///
    /// # Errors
    /// When there is no randomness, or no JSON form.
    pub(super) fn seal<T: Serialize>(&self, purpose: &str, value: &T) -> Result<String, Unspecified> {
        let mut text = serde_json::to_vec(value).map_err(|_| Unspecified)?;
        let nonce = self.0.seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut text)?;
        text.splice(..0, nonce.as_ref().iter().copied());
        Ok(URL_SAFE_NO_PAD.encode(text))
    }

    /// Opens what was sealed for the same purpose; `None` for anything else.
    pub(super) fn open<T: DeserializeOwned>(&self, purpose: &str, sealed: &str) -> Option<T> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.0.open_in_place(nonce, Aad::from(purpose.as_bytes()), text).ok()?;
        serde_json::from_slice(text).ok()
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

/// Random text of `bytes` bytes of randomness, for URLs and cookies.
///
/// # Errors
/// When there is no randomness.
pub(super) fn random_text<const BYTES: usize>() -> Result<String, Unspecified> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(super) fn same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of sixteen or more";

    #[test]
    fn sec_auth_10_only_what_was_sealed_for_the_same_purpose_route_and_secret_opens() {
        let seal = Seal::new(SECRET, &["routes/1", "issuer"]).unwrap();
        let sealed = seal.seal("session", &"hello").unwrap();
        assert_eq!(seal.open::<String>("session", &sealed).as_deref(), Some("hello"));
        assert_eq!(seal.open::<String>("attempt", &sealed), None);
        for (secret, binding) in [
            ("another secret of sixteen", &["routes/1", "issuer"][..]),
            (SECRET, &["routes/2", "issuer"]),
            (SECRET, &["routes/1", "other"]),
            (SECRET, &["routes/1i", "ssuer"]),
            (SECRET, &["routes/1", "issuer", ""]),
        ] {
            assert_eq!(Seal::new(secret, binding).unwrap().open::<String>("session", &sealed), None, "{binding:?}");
        }
    }

    #[test]
    fn any_changed_character_is_noticed() {
        let seal = Seal::new(SECRET, &[]).unwrap();
        let sealed = seal.seal("session", &"hello").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open::<String>("session", &String::from_utf8(changed).unwrap()), None, "{at}");
        }
        for text in ["", "A", "é", "....", &sealed[..15], &sealed[..sealed.len() - 1]] {
            assert_eq!(seal.open::<String>("session", text), None, "{text}");
        }
        assert_ne!(seal.seal("session", &"hello").unwrap(), sealed, "a value never looks the same twice");
    }
}
