//! References inside of a document.
use std::fmt::Write as _;

use serde_json::Value;

use crate::router::percent_decode;

/// How many references may lead to one another.
const MOST_HOPS: usize = 16;

/// The JSON pointer that a reference holds.
///
/// # Errors
/// When it leads out of the document.
pub(super) fn pointer(reference: &str) -> Result<String, String> {
    let fragment = reference.strip_prefix('#').filter(|fragment| fragment.is_empty() || fragment.starts_with('/'));
    let fragment = fragment.ok_or_else(|| {
        format!(
            "`$ref: {reference}` leads out of the document: bundle it into one, with references that begin with `#/`"
        )
    })?;
    Ok(String::from_utf8_lossy(&percent_decode(fragment.as_bytes())).into_owned())
}

/// The reference that holds a pointer, with whatever no URI may have encoded.
pub(super) fn reference(pointer: &str) -> String {
    let mut text = String::with_capacity(pointer.len() + 1);
    text.push('#');
    for byte in pointer.bytes() {
        match byte {
            b'/' | b'~' | b'-' | b'.' | b'_' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

/// A pointer one step further.
pub(super) fn below(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// What stands at a place, or behind the references there, and where that is.
///
/// # Errors
/// When a reference leads nowhere, out of the document, or in a circle.
pub(super) fn resolve(document: &Value, pointer: String) -> Result<(&Value, String), String> {
    let mut at = pointer;
    for _ in 0..MOST_HOPS {
        let found = document.pointer(&at).ok_or_else(|| format!("`#{at}` is not there"))?;
        match found.get("$ref").and_then(Value::as_str) {
            None => return Ok((found, at)),
            Some(next) => at = self::pointer(next)?,
        }
    }
    Err(format!("references lead in a circle at `#{at}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_followed_inside_of_the_document_only() {
        let document = json!({
            "a": {"$ref": "#/b/x~1%7By%7D"}, "b": {"x/{y}": {"c": 1}},
            "out": {"$ref": "other.json#/a"}, "none": {"$ref": "#/gone"}, "round": {"$ref": "#/round"},
        });
        let resolve = |at: &str| resolve(&document, at.to_owned());
        assert_eq!(resolve("/a").unwrap(), (&json!({"c": 1}), "/b/x~1{y}".to_owned()));
        for (at, says) in [("/out", "leads out"), ("/none", "`#/gone` is not there"), ("/round", "circle")] {
            assert!(resolve(at).unwrap_err().contains(says), "{at}");
        }
        assert_eq!(reference(&below("/paths", "/a/{id}")), "#/paths/~1a~1%7Bid%7D");
    }
}
