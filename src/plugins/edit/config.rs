//! How edits of fields are written.
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::{Map, Value};

use super::{HeaderEdits, headers};
use crate::plugin::ConfigError;

/// Edits of a request's fields: `{"add": {..}, "set": {..}, "remove": [..]}` with at least one of the three, or a flat
/// map of names to values, which is the same as `set`.
///
/// Values are strings (templates), numbers, or in `add` and `set` arrays of these, one line each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestHeaders {
    /// Lines that are added to those that are there. An empty value adds none.
    pub add: Vec<(String, FieldValues)>,
    /// Lines that replace those that are there. A field whose values are all empty is removed.
    pub set: Vec<(String, FieldValues)>,
    /// Fields that are removed, after the rest was done.
    pub remove: Vec<String>,
}

/// Edits of a response's fields: `{"add": ["Name: value"], "set": {..}, "remove": [..]}` with at least one of the
/// three, or a flat map of names to values, which is the same as `set`.
///
/// Values are strings (templates) or numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseHeaders {
    /// Lines that are added to those that are there. An empty value adds none.
    pub add: Vec<(String, FieldValues)>,
    /// Values that replace those that are there. A field with an empty value is removed.
    pub set: Vec<(String, FieldValues)>,
    /// Fields that are removed, after the rest was done.
    pub remove: Vec<String>,
}

/// The values of one field, one line each: a string or number, or an array of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldValues(pub Vec<String>);

impl From<&str> for FieldValues {
    fn from(value: &str) -> Self {
        Self(vec![value.to_owned()])
    }
}

impl FieldValues {
    fn one(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for FieldValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = match Value::deserialize(deserializer)? {
            Value::Array(items) if !items.is_empty() => items.iter().map(Self::one).collect::<Option<_>>(),
            single => Self::one(&single).map(|value| vec![value]),
        };
        values.map(Self).ok_or_else(|| D::Error::custom("a field value is a string, a number, or an array of these"))
    }
}

/// The long form, or the flat one.
enum Form {
    Long(Map<String, Value>),
    Flat(Map<String, Value>),
}

impl Form {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(deserializer)?;
        if map.is_empty() {
            return Err(D::Error::custom("write at least one of `add`, `set` and `remove`"));
        }
        // A field may be called `set`, too; its value is no object.
        let is_edit = |(key, value): (&String, &Value)| {
            matches!((key.as_str(), value), ("add" | "set" | "remove", Value::Object(_) | Value::Array(_)))
        };
        Ok(if map.iter().any(is_edit) { Self::Long(map) } else { Self::Flat(map) })
    }
}

/// A map of names to values, in the order of names.
fn fields(map: Map<String, Value>) -> Result<Vec<(String, FieldValues)>, String> {
    let read = |(name, value)| match FieldValues::deserialize(value) {
        Ok(values) => Ok((name, values)),
        Err(error) => Err(format!("{name}: {error}")),
    };
    let mut fields = map.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(fields)
}

/// The old form takes one value a field.
fn flat(map: Map<String, Value>) -> Result<Vec<(String, FieldValues)>, String> {
    match map.iter().find(|(_, value)| !matches!(value, Value::String(_) | Value::Number(_))) {
        Some((name, _)) => Err(format!("{name}: a field value is a string or a number")),
        None => fields(map),
    }
}

fn part<T: DeserializeOwned>(key: &str, value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| format!("{key}: {error}"))
}

fn unknown(key: &str) -> String {
    format!("unknown field `{key}`, expected `add`, `set` or `remove`")
}

impl<'de> Deserialize<'de> for RequestHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |form| {
            let mut headers = Self::default();
            match form {
                Form::Flat(map) => headers.set = flat(map)?,
                Form::Long(map) => {
                    for (key, value) in map {
                        match key.as_str() {
                            "add" => headers.add = fields(part("add", value)?)?,
                            "set" => headers.set = fields(part("set", value)?)?,
                            "remove" => headers.remove = part("remove", value)?,
                            key => return Err(unknown(key)),
                        }
                    }
                }
            }
            Ok(headers)
        };
        read(Form::read(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ResponseHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = |line: String| match line.split_once(':') {
            Some((name, value)) => Ok((name.trim().to_owned(), FieldValues::from(value.trim()))),
            None => Err(format!("add: {line:?} is no line; write \"Name: value\"")),
        };
        let read = |form| {
            let mut headers = Self::default();
            match form {
                Form::Flat(map) => headers.set = flat(map)?,
                Form::Long(map) => {
                    for (key, value) in map {
                        match key.as_str() {
                            "add" => {
                                let lines: Vec<String> = part("add", value)?;
                                headers.add = lines.into_iter().map(line).collect::<Result<_, _>>()?;
                            }
                            "set" => headers.set = flat(part("set", value)?)?,
                            "remove" => headers.remove = part("remove", value)?,
                            key => return Err(unknown(key)),
                        }
                    }
                }
            }
            Ok(headers)
        };
        read(Form::read(deserializer)?).map_err(D::Error::custom)
    }
}

impl RequestHeaders {
    /// Compiles the edits; `field` is their path in the block of `plugin`.
    ///
    /// # Errors
    /// A name that is none or frames the message, a value with control characters or a faulty template.
    pub fn compile(&self, plugin: &'static str, field: &str) -> Result<HeaderEdits, ConfigError> {
        headers::compile(plugin, field, &self.add, &self.set, &self.remove)
    }
}

impl ResponseHeaders {
    /// Compiles the edits; `field` is their path in the block of `plugin`.
    ///
    /// # Errors
    /// As [`RequestHeaders::compile`].
    pub fn compile(&self, plugin: &'static str, field: &str) -> Result<HeaderEdits, ConfigError> {
        headers::compile(plugin, field, &self.add, &self.set, &self.remove)
    }
}

/// What the forms have in common; the rest is told in words.
#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{FieldValues, RequestHeaders, ResponseHeaders};

    impl JsonSchema for FieldValues {
        fn schema_name() -> Cow<'static, str> {
            "FieldValues".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "type": ["string", "number", "array"],
                "items": {"type": ["string", "number"]},
                "minItems": 1,
            })
        }
    }

    impl JsonSchema for RequestHeaders {
        fn schema_name() -> Cow<'static, str> {
            "RequestHeaders".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "object", "minProperties": 1})
        }
    }

    impl JsonSchema for ResponseHeaders {
        fn schema_name() -> Cow<'static, str> {
            "ResponseHeaders".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "object", "minProperties": 1})
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_a_request() {
        let long: RequestHeaders = serde_json::from_value(
            json!({"add": {"x-a": ["1", 2]}, "set": {"x-b": 3.5, "add": "x"}, "remove": ["x-c"]}),
        )
        .unwrap();
        assert_eq!(long.add, [("x-a".to_owned(), FieldValues(vec!["1".to_owned(), "2".to_owned()]))]);
        assert_eq!(long.set, [("add".to_owned(), "x".into()), ("x-b".to_owned(), "3.5".into())]);
        assert_eq!(long.remove, ["x-c"]);
        let flat: RequestHeaders = serde_json::from_value(json!({"set": "1", "x-d": ""})).unwrap();
        assert_eq!(flat.set, [("set".to_owned(), "1".into()), ("x-d".to_owned(), "".into())]);
    }

    #[test]
    fn lines_of_a_response_may_hold_colons() {
        let headers: ResponseHeaders =
            serde_json::from_value(json!({"add": ["Link:<http://a.test:80/>; rel=x", "X: "]})).unwrap();
        assert_eq!(
            headers.add,
            [("Link".to_owned(), "<http://a.test:80/>; rel=x".into()), ("X".to_owned(), "".into())]
        );
    }

    #[test]
    fn what_is_neither_form_is_refused() {
        for (bad, says) in [
            (json!({}), "at least one of"),
            (json!({"add": {"x": "1"}, "x-d": "1"}), "unknown field `x-d`"),
            (json!({"x": ["1"]}), "x: a field value is a string or a number"),
            (json!({"set": {"x": true}}), "x: a field value is"),
            (json!({"set": {"x": []}}), "x: a field value is"),
            (json!({"remove": {"x": "1"}}), "remove: invalid type"),
        ] {
            let error = serde_json::from_value::<RequestHeaders>(bad.clone()).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
        for (bad, says) in [
            (json!({"add": ["no colon"]}), "write \"Name: value\""),
            (json!({"set": {"x": ["1", "2"]}}), "x: a field value is a string or a number"),
        ] {
            let error = serde_json::from_value::<ResponseHeaders>(bad.clone()).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
