//! Values made up by a schema.
use serde_json::{Map, Value};

use crate::plugins::chance::Dice;

/// Schemas that may stand inside one another.
const DEPTH: usize = 32;
/// Arrays that may stand inside one another: each of them multiplies what is made up by up to three.
const ARRAYS: usize = 6;

/// A compiled schema.
#[derive(Clone, Debug)]
pub(super) enum Schema {
    Example(Value),
    Object(Vec<(String, Schema)>),
    Array(Box<Schema>),
    Text,
    Number,
    Integer,
    Boolean,
    Null,
}

impl Schema {
    /// Compiles the schema that stands at `at` in the block.
    ///
    /// # Errors
    /// Where, and what is wrong.
    pub(super) fn compile(json: &Value, at: &str) -> Result<Self, (String, String)> {
        Self::compile_at(json, at, 0, 0)
    }

    fn compile_at(json: &Value, at: &str, depth: usize, arrays: usize) -> Result<Self, (String, String)> {
        let fault = |at: String, reason: &str| Err((at, reason.to_owned()));
        let Value::Object(words) = json else { return fault(at.to_owned(), "a schema is an object") };
        if depth >= DEPTH {
            return fault(at.to_owned(), "schemas may stand 32 deep inside one another");
        }
        if let Some(example) = words.get("example") {
            return Ok(Self::Example(example.clone()));
        }
        let implied = [("properties", "object"), ("items", "array")];
        let implied = implied.into_iter().find(|(word, _)| words.contains_key(*word)).map(|(_, kind)| kind);
        match words.get("type").and_then(Value::as_str).or(implied) {
            Some("object") => match words.get("properties") {
                None => Ok(Self::Object(Vec::new())),
                Some(Value::Object(properties)) => {
                    let property = |(name, json): (&String, &Value)| {
                        let at = format!("{at}.properties.{name}");
                        Ok((name.clone(), Self::compile_at(json, &at, depth + 1, arrays)?))
                    };
                    properties.iter().map(property).collect::<Result<_, _>>().map(Self::Object)
                }
                Some(_) => fault(format!("{at}.properties"), "is an object of schemas"),
            },
            Some("array") => match words.get("items") {
                None => Ok(Self::Example(Value::Array(Vec::new()))),
                Some(_) if arrays >= ARRAYS => fault(at.to_owned(), "arrays may stand 6 deep inside one another"),
                Some(items) => {
                    let items = Self::compile_at(items, &format!("{at}.items"), depth + 1, arrays + 1)?;
                    Ok(Self::Array(Box::new(items)))
                }
            },
            Some("string") => Ok(Self::Text),
            Some("number") => Ok(Self::Number),
            Some("integer") => Ok(Self::Integer),
            Some("boolean") => Ok(Self::Boolean),
            Some("null") => Ok(Self::Null),
            _ => fault(
                format!("{at}.type"),
                "is one of object, array, string, number, integer, boolean and null, or write an `example`",
            ),
        }
    }

    /// A value of this schema.
    pub(super) fn make(&self, random: &mut Dice) -> Value {
        match self {
            Self::Example(value) => value.clone(),
            Self::Object(properties) => {
                let made = properties.iter().map(|(name, schema)| (name.clone(), schema.make(random)));
                Value::Object(made.collect::<Map<_, _>>())
            }
            Self::Array(items) => {
                let count = 1 + random.below(3);
                Value::Array((0..count).map(|_| items.make(random)).collect())
            }
            Self::Text => {
                let count = 1 + random.below(10);
                Value::String((0..count).map(|_| letter(random)).collect())
            }
            Self::Number => Value::from(f64::from(random.below(1_000_000)) / 100.0),
            Self::Integer => Value::from(1 + random.below(10_000)),
            Self::Boolean => Value::from(random.below(2) == 1),
            Self::Null => Value::Null,
        }
    }
}

fn letter(random: &mut Dice) -> char {
    char::from_u32(u32::from(b'a') + random.below(26)).unwrap_or('a')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_the_shape_of_their_schema() {
        let schema = json!({"type": "object", "properties": {
            "text": {"type": "string"},
            "number": {"type": "number"},
            "integer": {"type": "integer"},
            "boolean": {"type": "boolean"},
            "null": {"type": "null"},
            "list": {"items": {"type": "integer"}},
            "inner": {"properties": {"a": {"example": [1, {"b": null}]}}},
            "bare": {"type": "array"},
        }, "required": ["text"]});
        let schema = Schema::compile(&schema, "s").unwrap();
        let mut random = Dice::new();
        for _ in 0..200 {
            let made = schema.make(&mut random);
            let text = made["text"].as_str().unwrap();
            assert!((1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase()));
            assert!((0.0..10_000.0).contains(&made["number"].as_f64().unwrap()));
            assert!((1..=10_000).contains(&made["integer"].as_u64().unwrap()));
            assert!(made["boolean"].is_boolean() && made["null"].is_null());
            let list = made["list"].as_array().unwrap();
            assert!((1..=3).contains(&list.len()) && list.iter().all(Value::is_u64));
            assert_eq!(made["inner"], json!({"a": [1, {"b": null}]}));
            assert_eq!(made["bare"], json!([]));
        }
    }

    #[test]
    fn faults_tell_their_place() {
        let objects = |depth| (0..depth).fold(json!({"type": "null"}), |inner, _| json!({"properties": {"a": inner}}));
        let arrays = |depth| (0..depth).fold(json!({"type": "null"}), |inner, _| json!({ "items": inner }));
        for (schema, at) in [
            (json!([]), "s"),
            (json!({}), "s.type"),
            (json!({"properties": {"a": {"items": {"type": "x"}}}}), "s.properties.a.items.type"),
            (json!({"type": "object", "properties": []}), "s.properties"),
        ] {
            assert_eq!(Schema::compile(&schema, "s").unwrap_err().0, at, "{schema}");
        }
        assert!(Schema::compile(&objects(31), "s").is_ok() && Schema::compile(&objects(32), "s").is_err());
        assert!(Schema::compile(&arrays(6), "s").is_ok() && Schema::compile(&arrays(7), "s").is_err());
    }
}
