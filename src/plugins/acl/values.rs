//! The values of a label, in the forms that labels have.
use regex::Regex;
use serde_json::Value;

/// How values are read.
#[derive(Clone, Debug)]
pub(super) enum Reader {
    /// One word, a list with commas, a JSON array as text, an array.
    Any,
    /// Text, with what stands between its values.
    Segmented(Regex),
    /// A JSON array as text.
    Json,
    /// An array.
    Table,
}

impl Reader {
    /// Whether one of the values of a label is wanted.
    pub(super) fn has(&self, label: &Value, wanted: &[String]) -> bool {
        match (self, label) {
            (Self::Any, Value::String(text)) => has(text, wanted),
            (Self::Any | Self::Table, Value::Array(values)) => any_of(values, wanted),
            (Self::Segmented(separator), Value::String(text)) => separator.split(text).any(|value| is(value, wanted)),
            (Self::Json, Value::String(text)) => any_in_json(text, wanted),
            _ => false,
        }
    }
}

/// As [`Reader::Any`], for the label of a consumer, which is text.
pub(super) fn has(text: &str, wanted: &[String]) -> bool {
    if text.starts_with('[') {
        any_in_json(text, wanted)
    } else {
        text.split(',').any(|value| is(value.trim(), wanted)) || is(text, wanted)
    }
}

impl Reader {
    /// Whether a label has a form in which its values can be read. `null` has none to read.
    pub(super) fn reads(&self, label: &Value) -> bool {
        match (self, label) {
            (_, Value::Null) | (Self::Any | Self::Segmented(_), Value::String(_)) => true,
            (Self::Any | Self::Table, Value::Array(_)) => true,
            (Self::Json, Value::String(text)) => serde_json::from_str::<Vec<Value>>(text).is_ok(),
            _ => false,
        }
    }
}

fn any_in_json(text: &str, wanted: &[String]) -> bool {
    serde_json::from_str::<Vec<Value>>(text).is_ok_and(|values| any_of(&values, wanted))
}

/// Numbers are what they are written as: providers number their groups, too.
fn any_of(values: &[Value], wanted: &[String]) -> bool {
    values.iter().any(|value| match value {
        Value::String(text) => is(text, wanted),
        Value::Number(number) => is(&number.to_string(), wanted),
        _ => false,
    })
}

fn is(value: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|wanted| wanted == value)
}
