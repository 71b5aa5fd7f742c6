//! The text of a document: JSON or YAML.
use serde_json::Value;

use crate::syntax::{Bounds, Syntax, json};

/// Reads a text.
///
/// # Errors
/// What is wrong with it, and in which line.
pub(super) fn read(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| format!("is no text in UTF-8: {error}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with('{') {
        return yaml(text);
    }
    json::parse(text, bounds(text).depth()).map_err(|fault| told("JSON", &fault))
}

/// As deep as can be.
fn bounds(text: &str) -> Bounds {
    Bounds { document_bytes: text.len() as u64, nesting: usize::MAX, ..Bounds::default() }
}

fn told(form: &str, fault: &Syntax) -> String {
    match fault.line {
        Some(line) => format!("is no {form}: {} in line {line}", fault.message),
        None => format!("is no {form}: {}", fault.message),
    }
}

#[cfg(feature = "yaml")]
fn yaml(text: &str) -> Result<Value, String> {
    crate::syntax::yaml::parse(text, &bounds(text)).map_err(|fault| told("YAML", &fault))
}

#[cfg(not(feature = "yaml"))]
fn yaml(_: &str) -> Result<Value, String> {
    Err("is no JSON: it does not begin with `{`; YAML needs the feature `yaml`".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_strictly() {
        assert_eq!(read(b"\xef\xbb\xbf {\"a\": [1]}").unwrap(), json!({"a": [1]}));
        for (text, says) in [
            (&b"{\"a\":\n 1, \"a\": 2}"[..], "the key `a` stands twice in one object in line 2"),
            (b"{\"a\": \"\xff\"}", "UTF-8"),
            (b"{", "is no JSON: "),
            ("{\"a\": ".repeat(200).as_bytes(), "nested too deep"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[cfg(feature = "yaml")]
    #[test]
    fn yaml_has_the_same_values() {
        let text = b"---\nopenapi: 3.0.0\nresponses:\n  200: &ok\n    description: \"yes\"\n  '201': *ok\n";
        let expected =
            json!({"openapi": "3.0.0", "responses": {"200": {"description": "yes"}, "201": {"description": "yes"}}});
        assert_eq!(read(text).unwrap(), expected);
        for (text, says) in [
            (&b"a: 1\nb: 2\na: 3\n"[..], "the key `a` stands twice"),
            (b"a: [1\n", "is no YAML: "),
            (b"a: *gone\n", "is no YAML: "),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[cfg(not(feature = "yaml"))]
    #[test]
    fn yaml_is_named_where_it_is_not_built_in() {
        assert!(read(b"openapi: 3.0.0\n").unwrap_err().contains("feature `yaml`"));
    }
}
