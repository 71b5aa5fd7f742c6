//! Tokens, and what opens them.
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::{JweDecryptCredential, JweDecryptPlugin};
use crate::plugin::{ConfigError, Plugin as _};

/// Longer tokens are none.
const MAX_TOKEN: usize = 16 * 1024;
/// Bytes of the key, and of the tag (RFC 7518 §5.3).
const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;

/// Secrets are written by people, with padding and without; once their alphabet is that of URLs.
const SECRET: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a token's tag vouches for its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vouched {
    /// As RFC 7516 §5.1 has it.
    Always,
    /// Or it vouches for the text alone, and the header need not say how that is encrypted.
    OrNot,
}

/// A token in its parts, still closed (RFC 7516 §7.1).
pub(super) struct Token<'t> {
    header: Header,
    /// The header as it stands there: what the tag vouches for beside the ciphertext.
    protected: &'t [u8],
    key_is_empty: bool,
    iv: [u8; NONCE_LEN],
    /// Ciphertext, then tag.
    sealed: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    enc: Option<String>,
    kid: Option<String>,
    zip: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
}

impl<'t> Token<'t> {
    /// Takes a token apart; `None` if it is none.
    pub(super) fn read(text: &'t [u8]) -> Option<Self> {
        if text.len() > MAX_TOKEN {
            return None;
        }
        let mut parts = text.split(|byte| *byte == b'.');
        let [protected, key, iv, sealed, tag] =
            [parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?];
        if parts.next().is_some() {
            return None;
        }
        let header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(protected).ok()?).ok()?;
        let mut sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        if tag.len() != TAG_LEN {
            return None;
        }
        sealed.extend_from_slice(&tag);
        let iv = URL_SAFE_NO_PAD.decode(iv).ok()?.try_into().ok()?;
        Some(Self { header, protected, key_is_empty: key.is_empty(), iv, sealed })
    }

    /// Whose secret it was made with, as it says.
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// What is in it; `None` if `key` does not open it, or would have to in another way than it is for.
    pub(super) fn open(self, key: &JweKey, vouched: Vouched) -> Option<Vec<u8>> {
        let Header { alg, enc, zip, crit, .. } = &self.header;
        let names = |told: &Option<String>, ours: &str| match told {
            Some(told) => told == ours,
            None => vouched == Vouched::OrNot,
        };
        let is_ours =
            names(alg, "dir") && names(enc, "A256GCM") && self.key_is_empty && zip.is_none() && crit.is_none();
        if !is_ours {
            return None;
        }
        let open = |vouched_for: &[u8]| {
            let mut opened = self.sealed.clone();
            let nonce = Nonce::assume_unique_for_key(self.iv);
            let length = key.0.open_in_place(nonce, Aad::from(vouched_for), &mut opened).ok()?.len();
            opened.truncate(length);
            Some(opened)
        };
        open(self.protected).or_else(|| open(b"").filter(|_| vouched == Vouched::OrNot))
    }
}

/// A consumer's secret.
pub struct JweKey(LessSafeKey);

impl JweKey {
    pub(super) fn new(block: &JweDecryptCredential) -> Result<Self, ConfigError> {
        let invalid = |reason: String| ConfigError::invalid(JweDecryptPlugin::NAME, "secret", reason);
        let secret = block.secret.expose();
        let bytes = Zeroizing::new(match block.is_base64_encoded {
            true => {
                let secret = Zeroizing::new(secret.replace('+', "-").replace('/', "_"));
                SECRET.decode(&*secret).map_err(|_| invalid("is no Base64".to_owned()))?
            }
            false => secret.as_bytes().to_vec(),
        });
        if bytes.len() != KEY_LEN {
            let length = bytes.len();
            return Err(invalid(format!("has {length} bytes: the secret length must be {KEY_LEN}")));
        }
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| invalid("is no key of A256GCM".to_owned()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// A token with `text` in it.
    #[cfg(test)]
    pub(super) fn seal(&self, header: &str, text: &[u8]) -> String {
        self.seal_as(header, text, true)
    }

    /// A token with `text` in it, the tag of which vouches for the header or does not.
    #[cfg(test)]
    pub(super) fn seal_as(&self, header: &str, text: &[u8], vouched: bool) -> String {
        let protected = URL_SAFE_NO_PAD.encode(header);
        let iv = [7; NONCE_LEN];
        let mut sealed = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(iv);
        self.0
            .seal_in_place_append_tag(nonce, Aad::from(if vouched { protected.as_bytes() } else { b"" }), &mut sealed)
            .unwrap();
        let (text, tag) = sealed.split_at(text.len());
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        format!("{protected}..{}.{}.{}", encode(&iv), encode(text), encode(tag))
    }
}

impl fmt::Debug for JweKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JweKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> JweKey {
        JweKey::new(&JweDecryptCredential::new("k", "0123456789abcdef0123456789abcdef")).unwrap()
    }

    const HEADER: &str = r#"{"alg":"dir","enc":"A256GCM","kid":"k"}"#;

    #[test]
    fn a_token_of_another_maker_opens() {
        // by Python's `cryptography`: AESGCM(key).encrypt(b"\x01" * 12, b"hello", protected)
        let token = concat!(
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiayJ9.",
            ".AQEBAQEBAQEBAQEB.VnGhUlA.FRtp1hUSGSsUM8sufxKGFA"
        );
        assert_eq!(Token::read(token.as_bytes()).unwrap().open(&key(), Vouched::Always).unwrap(), b"hello");
    }

    #[test]
    fn tokens_that_apisix_has_made_open_where_they_may() {
        // out of its own tests: nothing but the ciphertext is vouched for
        let key = JweKey::new(&JweDecryptCredential::new("user-key", "12345678901234567890123456789012")).unwrap();
        let token = concat!(
            "eyJraWQiOiJ1c2VyLWtleSIsImFsZyI6ImRpciIsImVuYyI6IkEyNTZHQ00ifQ.",
            ".MTIzNDU2Nzg5MDEy.6JeRgm0.rNt131nG5wMvUD1KXbwLGA"
        );
        let read = || Token::read(token.as_bytes()).unwrap();
        assert_eq!(read().open(&key, Vouched::OrNot).unwrap(), b"hello");
        assert!(read().open(&key, Vouched::Always).is_none());
        assert_eq!(read().kid(), Some("user-key"));
    }

    #[test]
    fn a_header_that_nothing_vouches_for_may_say_less_and_nothing_else() {
        for (header, opens) in [
            (HEADER, true),
            (r#"{"kid":"k"}"#, true),
            (r#"{"alg":"dir","kid":"k"}"#, true),
            (r#"{"alg":"A256KW","enc":"A256GCM","kid":"k"}"#, false),
            (r#"{"alg":"dir","enc":"A128GCM","kid":"k"}"#, false),
            (r#"{"alg":"dir","enc":"A256GCM","kid":"k","zip":"DEF"}"#, false),
        ] {
            for vouched in [true, false] {
                let token = key().seal_as(header, b"x", vouched);
                let opened = Token::read(token.as_bytes()).unwrap().open(&key(), Vouched::OrNot);
                assert_eq!(opened.is_some(), opens, "{header}");
            }
        }
    }

    #[test]
    fn other_ways_to_encrypt_are_refused() {
        for header in [
            r#"{"enc":"A256GCM"}"#,
            r#"{"alg":"dir"}"#,
            r#"{"alg":"DIR","enc":"A256GCM"}"#,
            r#"{"alg":"A256KW","enc":"A256GCM"}"#,
            r#"{"alg":"dir","enc":"A128GCM"}"#,
            r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#,
            r#"{"alg":"dir","enc":"A256GCM","crit":[]}"#,
        ] {
            let token = key().seal(header, b"x");
            assert!(Token::read(token.as_bytes()).unwrap().open(&key(), Vouched::Always).is_none(), "{header}");
        }
        let with_key = key().seal(HEADER, b"x").replacen("..", ".AAAA.", 1);
        assert!(Token::read(with_key.as_bytes()).unwrap().open(&key(), Vouched::Always).is_none());
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = key().seal(HEADER, b"x");
        let long = format!("{}.....", "a".repeat(MAX_TOKEN));
        for text in ["", "....", "a.b.c", &good[1..], &format!("{good}.x"), &good[..good.len() - 2], &long] {
            assert!(Token::read(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_sealed_opens_and_nothing_else_does(
            text in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..64,
        ) {
            let token = key().seal(HEADER, &text);
            prop_assert_eq!(Token::read(token.as_bytes()).unwrap().open(&key(), Vouched::Always).unwrap(), text);
            let mut changed = token.clone().into_bytes();
            let index = at.index(changed.len());
            changed[index] ^= flip;
            let opened = Token::read(&changed).and_then(|token| token.open(&key(), Vouched::Always));
            prop_assert!(opened.is_none(), "{} opened", String::from_utf8_lossy(&changed));
        }

        #[test]
        fn any_bytes_are_answered(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Token::read(&text);
        }
    }
}
