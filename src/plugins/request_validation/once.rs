//! Names whose values a schema judges as texts. One that stands there several times is an array, which keywords for texts do not
//! look at.
use std::collections::HashSet;

use serde_json::{Map, Value};

/// The names of which there must be one value.
#[derive(Debug, Default)]
pub(super) struct Once {
    names: HashSet<String>,
    /// Names that the schema speaks of otherwise, which `others` does not reach.
    known: HashSet<String>,
    others: bool,
}

/// That a name stands there several times.
pub(super) fn several(name: &str) -> String {
    format!("{name}: stands there several times")
}

impl Once {
    /// By a schema of fields or of a form.
    pub(super) fn of(schema: &Map<String, Value>) -> Self {
        let mut once = Self::default();
        once.gather(schema);
        once
    }

    fn gather(&mut self, schema: &Map<String, Value>) {
        for (name, schema) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let names = if judges_texts(schema) { &mut self.names } else { &mut self.known };
            names.insert(name.clone());
        }
        self.others |= schema.get("additionalProperties").is_some_and(judges_texts);
        for keyword in ["allOf", "anyOf", "oneOf", "then", "else"] {
            let parts = schema.get(keyword).map_or(&[][..], |parts| match parts {
                Value::Array(parts) => parts,
                part => std::slice::from_ref(part),
            });
            parts.iter().filter_map(Value::as_object).for_each(|part| self.gather(part));
        }
    }

    /// Whether there must be one value of that name.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.names.contains(name) || self.others && !self.known.contains(name)
    }
}

/// Whether a schema has keywords for texts, and none that says what else there may be: `type` refuses arrays itself.
fn judges_texts(schema: &Value) -> bool {
    const TEXTS: [&str; 4] = ["pattern", "minLength", "maxLength", "format"];
    const ELSE: [&str; 7] = ["type", "items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems"];
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| schema.get(keyword).is_some());
    has(&TEXTS) && !has(&ELSE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_texts_stand_once() {
        let schema = json!({
            "properties": {"a": {"pattern": "x"}, "b": {"type": "string", "pattern": "x"}, "c": {"items": {"pattern": "x"}}, "d": true},
            "allOf": [{"properties": {"e": {"format": "date"}}}], "then": {"properties": {"f": {"maxLength": 1}}},
        });
        let once = Once::of(schema.as_object().unwrap());
        let held = ["a", "b", "c", "d", "e", "f", "g"].map(|name| once.holds(name));
        assert_eq!(held, [true, false, false, false, true, true, false]);
        let others = json!({"properties": {"a": {}}, "additionalProperties": {"minLength": 1}});
        let others = Once::of(others.as_object().unwrap());
        assert_eq!((others.holds("a"), others.holds("b")), (false, true));
    }
}
