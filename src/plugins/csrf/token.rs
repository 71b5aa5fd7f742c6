//! Tokens: issued, and told from those that others made.
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::Sensitive;

/// The longest token that is looked into, in bytes of Base64.
const LONGEST: usize = 1024;

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// SHA-256 of a text with the key in it.
    Sha256,
    /// HMAC-SHA-256.
    Hmac,
}

/// What a token says, its members as they are written: the signature is about their text.
#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    random: &'a RawValue,
    #[serde(borrow)]
    expires: &'a RawValue,
    sign: String,
    #[serde(default)]
    v: Option<u8>,
}

/// Issues tokens and verifies them.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) key: Sensitive,
    pub(super) version: Version,
    /// How long tokens are good for, in seconds; 0: for ever.
    pub(super) expires: u64,
}

impl Signer {
    /// A token with that randomness in it, issued at a second since 1970.
    pub(super) fn issue(&self, random: [u8; 16], now: u64) -> String {
        let (random, now) = (hex(&random), now.to_string());
        let sign = self.sign(&random, &now);
        let version = match self.version {
            Version::Sha256 => "",
            Version::Hmac => r#","v":2"#,
        };
        STANDARD.encode(format!(r#"{{"random":"{random}","expires":{now},"sign":"{sign}"{version}}}"#))
    }

    /// Whether a token is one of ours and still good.
    pub(super) fn verify(&self, token: &[u8], now: u64) -> bool {
        if token.len() > LONGEST {
            return false;
        }
        let Ok(json) = STANDARD.decode(token) else { return false };
        let Ok(token) = serde_json::from_slice::<Token<'_>>(&json) else { return false };
        let version = match token.v {
            None | Some(1) => Version::Sha256,
            Some(2) => Version::Hmac,
            Some(_) => return false,
        };
        if version != self.version {
            return false;
        }
        // A text stands without its quotes in what is signed. It has no escapes in tokens of ours.
        let text = |raw: &'_ RawValue| raw.get().trim_matches('"').to_owned();
        if !same(token.sign.as_bytes(), self.sign(&text(token.random), &text(token.expires)).as_bytes()) {
            return false;
        }
        let issued = token.expires.get().parse::<u64>();
        self.expires == 0 || issued.is_ok_and(|issued| now.saturating_sub(issued) <= self.expires)
    }

    fn sign(&self, random: &str, expires: &str) -> String {
        let key = self.key.expose();
        match self.version {
            Version::Sha256 => {
                let text = format!("{{expires:{expires},random:{random},key:{key}}}");
                hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
            }
            Version::Hmac => {
                let text = format!("{{expires:{expires},random:{random}}}");
                hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text.as_bytes()).as_ref())
            }
        }
    }
}

/// Whether two secrets are alike, in a time that does not tell where they differ.
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    verify_slices_are_equal(left, right).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer(key: &str, version: Version, expires: u64) -> Signer {
        Signer { key: key.into(), version, expires }
    }

    #[test]
    fn tokens_verify_with_their_key_and_version_until_they_expire() {
        for version in [Version::Sha256, Version::Hmac] {
            let ours = signer("key", version, 100);
            let token = ours.issue([7; 16], 1000);
            for (signer, now, good) in [
                (ours.clone(), 1000, true),
                (ours.clone(), 1100, true),
                (ours.clone(), 1101, false),
                // A clock that was set back.
                (ours.clone(), 900, true),
                (signer("key", version, 0), u64::MAX, true),
                (signer("other", version, 100), 1000, false),
                (signer("key", Version::Sha256, 100), 1000, version == Version::Sha256),
                (signer("key", Version::Hmac, 100), 1000, version == Version::Hmac),
            ] {
                assert_eq!(signer.verify(token.as_bytes(), now), good, "{version:?} {signer:?} {now}");
            }
        }
    }

    #[test]
    fn the_wire_form_is_the_one_of_other_gateways() {
        let json = |token: &str| String::from_utf8(STANDARD.decode(token).unwrap()).unwrap();
        let token = signer("k", Version::Sha256, 9).issue([0xab; 16], 1_700_000_000);
        // printf '{expires:1700000000,random:abababababababababababababababab,key:k}' | sha256sum
        assert_eq!(
            json(&token),
            "{\"random\":\"abababababababababababababababab\",\"expires\":1700000000,\"sign\":\"a756e09c13c15298d031fea2cf7d646c36e7493809d8d3acadab670dbe95d2b3\"}"
        );
        // A random number, as such gateways write it: printf '{expires:1700000000,random:0.25,key:k}' | sha256sum
        let theirs = STANDARD.encode(r#"{"sign":"abcedae589537e1b3c69ecbe8826f56941bb1418e3d5e715aa0e4ebad4a729c9","expires":1700000000,"random":0.25}"#);
        assert!(signer("k", Version::Sha256, 9).verify(theirs.as_bytes(), 1_700_000_009));
        let token = signer("k", Version::Hmac, 9).issue([0xab; 16], 1_700_000_000);
        // printf '{expires:1700000000,random:abababababababababababababababab}' | openssl dgst -sha256 -hmac k
        assert!(
            json(&token)
                .ends_with(",\"sign\":\"53708d01ada93a327a519bb9ca8308abc4c15548c59455a17f4de4a2e500b1d4\",\"v\":2}"),
            "{}",
            json(&token)
        );
    }

    #[test]
    fn nonsense_is_no_token() {
        let ours = signer("key", Version::Sha256, 0);
        let good = ours.issue([1; 16], 5);
        assert!(ours.verify(good.as_bytes(), 5));
        let encoded = |json: &str| STANDARD.encode(json);
        for token in [
            String::new(),
            "%%%".to_owned(),
            good.trim_end_matches('=').get(1..).unwrap().to_owned(),
            encoded(""),
            encoded("[]"),
            encoded("{}"),
            encoded(r#"{"random":1,"expires":2,"sign":""}"#),
            encoded(r#"{"random":1,"expires":2,"sign":3}"#),
            encoded(r#"{"random":1,"expires":2}"#),
            encoded(r#"{"random":1,"expires":2,"sign":"x","v":3}"#),
            "A".repeat(4096),
        ] {
            assert!(!ours.verify(token.as_bytes(), 5), "{token}");
        }
        assert!(!ours.verify(b"\xff\xfe", 5));
    }

    proptest! {
        #[test]
        fn what_nobody_signed_is_refused(
            bytes in any::<Vec<u8>>(),
            members in "(\"(random|expires|sign|v)\":(\"[a-f0-9,:}]{0,8}\"|[0-9]{1,4}),?){0,4}",
        ) {
            for version in [Version::Sha256, Version::Hmac] {
                let ours = signer("key", version, 0);
                for token in [bytes.clone(), STANDARD.encode(&bytes).into(), STANDARD.encode(format!("{{{members}}}")).into()] {
                    prop_assert!(!ours.verify(&token, 5));
                }
            }
        }

        #[test]
        fn a_token_with_one_byte_changed_is_refused(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let ours = signer("key", Version::Hmac, 100);
            let mut json = STANDARD.decode(ours.issue([3; 16], 1000)).unwrap();
            let place = at.index(json.len());
            prop_assume!(json[place] != to);
            json[place] = to;
            prop_assert!(!ours.verify(STANDARD.encode(&json).as_bytes(), 1000), "{}", String::from_utf8_lossy(&json));
        }
    }

    #[test]
    fn secrets_are_compared_as_a_whole() {
        assert!(same(b"abc", b"abc") && same(b"", b""));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"", b"a"));
    }
}
