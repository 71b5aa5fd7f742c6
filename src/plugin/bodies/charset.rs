//! The charset of texts (RFC 9110 §8.3.2).

/// Whether a `Content-Type` leaves its text in UTF-8: it names no charset, that one, or the part of it that is ASCII. JSON has no
/// other (RFC 8259 §8.1); who says one all the same may find a service that goes by it, and reads what nobody has judged.
pub(crate) fn is_utf8(content_type: &[u8]) -> bool {
    let parameters = content_type.split(|byte| *byte == b';').skip(1);
    let charsets = parameters.filter_map(|parameter| {
        let at = parameter.iter().position(|byte| *byte == b'=')?;
        let (name, value) = parameter.split_at_checked(at)?;
        let value = value.get(1..)?.trim_ascii();
        name.trim_ascii().eq_ignore_ascii_case(b"charset").then_some(value)
    });
    let mut charsets = charsets
        .map(|charset| charset.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(charset));
    charsets
        .all(|charset| [&b"utf-8"[..], b"utf8", b"us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(charset)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf_8_is_what_it_looks_like() {
        for (content_type, expected) in [
            ("", true),
            ("application/json", true),
            ("application/json; version=1; Charset = \"UTF-8\" ", true),
            ("text/plain;charset=us-ascii", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=utf-8; charset=ibm037", false),
            ("application/json; charset=", false),
            ("application/json; charset", true),
            ("application/json; a=\"b; charset=utf-7\"", false),
        ] {
            assert_eq!(is_utf8(content_type.as_bytes()), expected, "{content_type}");
        }
    }
}
