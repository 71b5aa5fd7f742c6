//! Field values that plugins write (security.md HOP-09).
use bytes::Bytes;
use http::HeaderValue;

use crate::request::Template;
use crate::router::Variables;

/// The one constructor of field values that are made out of what a request says: blanks around the value come off, and
/// a control character is percent-encoded, so that a value never becomes two lines (security.md HOP-09).
pub(crate) fn field_value(text: &[u8]) -> HeaderValue {
    let text = text.trim_ascii();
    if let Ok(value) = HeaderValue::from_bytes(text) {
        return value;
    }
    let mut encoded = Vec::with_capacity(text.len() + 16);
    for byte in text {
        if (*byte < b' ' && *byte != b'\t') || *byte == 0x7f {
            super::uri::push_escape(*byte, &mut encoded);
        } else {
            encoded.push(*byte);
        }
    }
    // What is left holds no control character, which is all that a value may not have.
    HeaderValue::from_maybe_shared(Bytes::from(encoded)).unwrap_or(HeaderValue::from_static(""))
}

/// A field value with variables in it; without any it is made once.
#[derive(Clone, Debug)]
pub(crate) enum FieldTemplate {
    Literal(HeaderValue),
    Template(Template),
}

impl FieldTemplate {
    /// # Errors
    /// What is wrong with the text, and the mend.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err("a field value holds no control characters; remove them".to_owned());
        }
        let template = Template::parse(text).map_err(|error| error.to_string())?;
        Ok(match template.as_literal() {
            Some(literal) => Self::Literal(field_value(literal)),
            None => Self::Template(template),
        })
    }

    /// The value for a request; empty when there is nothing to write.
    pub(crate) fn render(&self, variables: &dyn Variables) -> HeaderValue {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Template(template) => field_value(&template.render(variables).text),
        }
    }

    pub(crate) fn template(&self) -> Option<&Template> {
        match self {
            Self::Literal(_) => None,
            Self::Template(template) => Some(template),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_hop_09_a_value_is_one_line() {
        for (text, wanted) in [
            (&b"plain"[..], &b"plain"[..]),
            (b"  a\tb  ", b"a\tb"),
            (b"a\r\nx-evil: 1", b"a%0D%0Ax-evil: 1"),
            (b"a\0\x7f", b"a%00%7F"),
            (b"caf\xc3\xa9 \xff", b"caf\xc3\xa9 \xff"),
            (b"\r\n", b""),
        ] {
            assert_eq!(field_value(text).as_bytes(), wanted);
        }
    }

    #[test]
    fn control_characters_are_refused_at_load() {
        assert!(FieldTemplate::parse("a\r\nb").is_err());
        assert!(FieldTemplate::parse("${x").is_err());
        assert!(matches!(FieldTemplate::parse(r"\$5"), Ok(FieldTemplate::Literal(value)) if value == "$5"));
    }
}
