//! `_meta`: what every block of plugin configuration accepts (model.md §7.4).
use serde_json::{Map, Value, json};

/// The settings under `_meta`.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Meta {
    /// The block is off; it still hides blocks of the same plugin beneath it.
    pub disable: bool,
    /// Replaces the plugin's priority for this binding.
    pub priority: Option<i32>,
    /// Expression; when it is false for a request the plugin does not exist for it.
    pub filter: Option<Value>,
    /// Body of the plugin's own answers of status 400 and above: text, or an object sent as JSON.
    pub error_response: Option<Value>,
}

/// What is wrong under `_meta`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// `_meta` is no object.
    #[error("property \"_meta\" validation failed: wrong type: expected object")]
    NoObject,
    /// A key that does not exist.
    #[error(
        "property \"_meta\" validation failed: unknown key `{0}`; known are disable, priority, filter, error_response"
    )]
    Unknown(String),
    /// A value of the wrong type.
    #[error("property \"_meta\" validation failed: `{key}` must be {expected}")]
    Type {
        /// The key.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// Script hooks of the reference.
    #[error(
        "property \"_meta\" validation failed: `pre_function` holds a script, which is not supported; use a plugin"
    )]
    Script,
}

impl Meta {
    /// The JSON Schema of `_meta`.
    pub fn schema() -> Value {
        json!({
            "type": "object",
            "description": "What every block accepts.",
            "properties": {
                "disable": {
                    "type": "boolean", "default": false,
                    "description": "The block is off; it still hides blocks of the same plugin beneath it.",
                },
                "priority": {
                    "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX,
                    "description": "Replaces the plugin's priority for this binding.",
                },
                "filter": {
                    "type": "array",
                    "description": "Expression; when it is false for a request the plugin does not exist for it.",
                },
                "error_response": {
                    "type": ["string", "object"],
                    "description": "Body of the plugin's own answers of status 400 and above.",
                },
            },
            "additionalProperties": false,
        })
    }

    /// Takes `_meta` out of a block.
    ///
    /// # Errors
    /// [`MetaError`], the first fault found.
    pub fn take(block: &mut Map<String, Value>) -> Result<Self, MetaError> {
        let Some(meta) = block.remove("_meta") else { return Ok(Self::default()) };
        let Value::Object(fields) = meta else { return Err(MetaError::NoObject) };
        let mut out = Self::default();
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("disable", Value::Bool(disable)) => out.disable = disable,
                ("disable", _) => return Err(MetaError::Type { key: "disable", expected: "a boolean" }),
                ("priority", value) => {
                    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
                    out.priority = Some(number.ok_or(MetaError::Type { key: "priority", expected: "an integer" })?);
                }
                ("filter", filter @ Value::Array(_)) => out.filter = Some(filter),
                ("filter", _) => return Err(MetaError::Type { key: "filter", expected: "an expression array" }),
                ("error_response", body @ (Value::String(_) | Value::Object(_))) => out.error_response = Some(body),
                ("error_response", _) => {
                    return Err(MetaError::Type { key: "error_response", expected: "a string or an object" });
                }
                ("pre_function", _) => return Err(MetaError::Script),
                (key, _) => return Err(MetaError::Unknown(key.to_owned())),
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(block: Value) -> Result<Meta, MetaError> {
        Meta::take(block.as_object().cloned().as_mut().unwrap())
    }

    #[test]
    fn all_keys_are_read_and_others_refused() {
        let meta = take(json!({"a": 1, "_meta": {"disable": true, "priority": 0, "error_response": "x"}})).unwrap();
        assert!(meta.disable);
        assert_eq!(meta.priority, Some(0));
        assert_eq!(meta.error_response, Some(json!("x")));
        for (bad, says) in [
            (json!({"_meta": 1}), "expected object"),
            (json!({"_meta": {"priority": "1"}}), "`priority` must be an integer"),
            (json!({"_meta": {"filter": {}}}), "`filter` must be"),
            (json!({"_meta": {"pre_function": "return"}}), "script"),
            (json!({"_meta": {"enable": true}}), "unknown key `enable`"),
        ] {
            assert!(take(bad.clone()).unwrap_err().to_string().contains(says), "{bad}");
        }
    }
}
