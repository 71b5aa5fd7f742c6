//! Bodies by their format.
use serde_json::{Map, Value};

use super::config::InputFormat;
use super::fault::Fault;
use super::multipart;
use crate::plugin::bodies::Bodies;
use crate::plugins::xml::{self, add};

/// What came, taken apart.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Decoded {
    pub(super) data: Value,
    /// What is known of the parts of a multipart body.
    pub(super) parts: Option<Value>,
}

/// Takes a body apart.
///
/// # Errors
/// [`Fault::Decode`].
pub(super) fn decode(bodies: &Bodies, format: InputFormat, content_type: &[u8], body: &[u8]) -> Result<Decoded, Fault> {
    let fault = |error: &dyn std::fmt::Display| Fault::Decode(error.to_string());
    let data = match format {
        InputFormat::Json => bodies.json(body).map_err(|error| fault(&error))?,
        InputFormat::Xml => xml::decode(bodies, body).map_err(|error| fault(&error))?,
        InputFormat::Encoded | InputFormat::Args => {
            let mut fields = Map::new();
            for (name, value) in bodies.form(body).map_err(|error| fault(&error))? {
                add(&mut fields, name, value.into());
            }
            fields.into()
        }
        InputFormat::Plain => Value::Null,
        InputFormat::Multipart => {
            let (data, parts) = multipart::decode(bodies, content_type, body).map_err(|error| fault(&error))?;
            return Ok(Decoded { data: data.into(), parts: Some(parts.into()) });
        }
    };
    Ok(Decoded { data, parts: None })
}

#[cfg(test)]
mod unit {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_are_decoded() {
        for (format, body, data) in [
            (InputFormat::Json, r#"{"a": [1]}"#, json!({"a": [1]})),
            (InputFormat::Json, "[1]", json!([1])),
            (InputFormat::Encoded, "a=1&b=%26+x&a=2&c", json!({"a": ["1", "2"], "b": "& x", "c": ""})),
            (InputFormat::Args, "a=1", json!({"a": "1"})),
            (InputFormat::Plain, "\u{1}", Value::Null),
            (InputFormat::Xml, "<a>1</a>", json!({"a": "1"})),
        ] {
            let decoded = decode(&Bodies::default(), format, b"", body.as_bytes()).unwrap();
            assert_eq!(decoded.data, data, "{body}");
        }
        let error = decode(&Bodies::default(), InputFormat::Json, b"", b"{").unwrap_err().to_string();
        assert!(error.starts_with("body decode: ") && error.contains("line 1 column"), "{error}");
    }

    #[test]
    fn formats_are_known_by_their_type() {
        for (told, format) in [
            ("application/json; charset=utf-8", InputFormat::Json),
            ("Text/XML", InputFormat::Xml),
            ("application/x-www-form-urlencoded", InputFormat::Encoded),
            ("multipart/form-data; boundary=x", InputFormat::Multipart),
            ("application/jsonl", InputFormat::Plain),
            ("", InputFormat::Plain),
        ] {
            assert_eq!(InputFormat::of(told.as_bytes()), format, "{told}");
        }
    }
}
