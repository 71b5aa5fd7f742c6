//! `Basic` credentials (RFC 7617 §2).
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;

/// Padding may be left out: some clients do, and nothing becomes ambiguous by it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decoded, `name:password` with a colon in it.
pub(crate) struct Login {
    decoded: Vec<u8>,
    colon: usize,
}

impl Login {
    /// Reads a value of `Authorization`; `None` if it is not such a login.
    pub(crate) fn read(value: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = value.as_bytes().split_at_checked("Basic ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Basic ") {
            return None;
        }
        let decoded = BASE64.decode(encoded.trim_ascii_start()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self { decoded, colon })
    }

    pub(crate) fn username(&self) -> &[u8] {
        self.decoded.get(..self.colon).unwrap_or_default()
    }

    pub(crate) fn password(&self) -> &[u8] {
        self.decoded.get(self.colon + 1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;

    use super::*;

    #[test]
    fn logins_part_at_the_first_colon_and_nothing_is_dropped() {
        let encode = |text: &[u8]| general_purpose::STANDARD.encode(text);
        for (value, wanted) in [
            (format!("Basic {}", encode(b"a:b")), Some((&b"a"[..], &b"b"[..]))),
            (format!("bASIC   {}", encode(b"a: b:c ")), Some((b"a", b" b:c "))),
            (format!("Basic {}", encode(b"a:b").trim_end_matches('=')), Some((b"a", b"b"))),
            (format!("Basic {}", encode(b":")), Some((b"", b""))),
            (format!("Basic {}", encode(b"\xff:\x00")), Some((b"\xff", b"\x00"))),
            (format!("Basic {}", encode(b"ab")), None),
            (format!("Basic {}x", encode(b"a:bc")), None),
            (format!("Basic{}", encode(b"a:b")), None),
            (format!("Basic a b {}", encode(b"a:b")), None),
            (format!("Bearer {}", encode(b"a:b")), None),
            ("Basic".to_owned(), None),
            ("Basic ".to_owned(), None),
            (String::new(), None),
        ] {
            let login = Login::read(&HeaderValue::from_str(&value).unwrap());
            assert_eq!(login.as_ref().map(|login| (login.username(), login.password())), wanted, "{value}");
        }
        assert!(Login::read(&HeaderValue::from_bytes(b"Basic \xff\xff").unwrap()).is_none());
    }
}
