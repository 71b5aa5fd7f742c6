//! How many ways a value can fail in.
//!
//! That a value fits none of several schemas is told by what is wrong in each of them, and so on in what each of them says of the
//! values inside. A few hundred bytes, nested as deep as a body may be, fail in more ways than memory holds; whether they fit at all
//! is known after a look at each value. So the look comes first, and ways are only gone through when they are few.
use std::collections::HashMap;

use serde_json::Value;

/// Faults that may come of one value.
const MOST: u64 = 20_000;

/// What a reference counts that leads to where nothing is known: as much as many alternatives.
const UNKNOWN: u64 = 16;

/// How many schemas that are alternatives one value is held against at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plugins) struct Width(u64);

impl Width {
    /// Of all schemas in a document, which references lead into.
    pub(in crate::plugins) fn of(document: &Value) -> Self {
        let mut found = Found { document, known: HashMap::new(), alternatives: false };
        let width = found.widest(document);
        Self(if found.alternatives { width } else { 1 })
    }

    /// Whether the faults of a value that does not fit can be gone through.
    pub(super) fn lets_tell(self, value: &Value) -> bool {
        if self.0 <= 1 {
            return true;
        }
        let (values, depth) = size(value);
        values.saturating_mul(self.0.saturating_pow(depth)) <= MOST
    }
}

/// How many values there are in a value, and on how many levels.
fn size(value: &Value) -> (u64, u32) {
    let inside = |size: (u64, u32), item: &Value| {
        let (values, depth) = self::size(item);
        (size.0 + values, size.1.max(depth))
    };
    let (values, depth) = match value {
        Value::Array(items) => items.iter().fold((0, 0), inside),
        Value::Object(members) => members.values().fold((0, 0), inside),
        _ => (0, 0),
    };
    (values + 1, depth + 1)
}

struct Found<'d> {
    document: &'d Value,
    /// Widths of schemas, by where they lie in memory; 0 while one is worked out, for what leads back to it.
    known: HashMap<*const Value, u64>,
    alternatives: bool,
}

impl<'d> Found<'d> {
    fn widest(&mut self, value: &'d Value) -> u64 {
        let inside = match value {
            Value::Array(items) => items.iter().map(|item| self.widest(item)).max(),
            Value::Object(members) => members.values().map(|member| self.widest(member)).max(),
            _ => return 1,
        };
        inside.unwrap_or(1).max(self.width(value))
    }

    /// Of a schema, what one value is held against: each alternative, and what each of those leads to.
    fn width(&mut self, schema: &'d Value) -> u64 {
        let Value::Object(fields) = schema else { return 1 };
        if let Some(known) = self.known.get(&std::ptr::from_ref(schema)) {
            return *known;
        }
        self.known.insert(schema, 0);
        let mut width = 0_u64;
        for name in ["anyOf", "oneOf", "allOf"] {
            let Some(Value::Array(schemas)) = fields.get(name) else { continue };
            self.alternatives |= name != "allOf";
            width = schemas.iter().fold(width, |width, schema| width.saturating_add(self.width(schema)));
        }
        for schema in ["then", "else"].into_iter().filter_map(|name| fields.get(name)) {
            width = width.saturating_add(self.width(schema));
        }
        for name in ["$ref", "$dynamicRef", "$recursiveRef"] {
            let Some(Value::String(reference)) = fields.get(name) else { continue };
            let target = reference.split_once('#').and_then(|(_, place)| self.document.pointer(place));
            width = width.saturating_add(target.map_or(UNKNOWN, |target| self.width(target)));
        }
        let width = width.max(1);
        self.known.insert(schema, width);
        width
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn alternatives_count_and_what_they_lead_to() {
        for (schema, width) in [
            (json!({"type": "object", "allOf": [{"$ref": "#/a"}, {"$ref": "#/a"}], "a": {"type": "string"}}), 1),
            (json!({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}), 2),
            (json!({"oneOf": [{"$ref": "#/$defs/a"}, true], "$defs": {"a": {"anyOf": [true, true, true]}}}), 4),
            (json!({"anyOf": [{"$ref": "#"}, {"$ref": "elsewhere"}, {"if": true, "then": true, "else": true}]}), 18),
        ] {
            assert_eq!(Width::of(&schema), Width(width), "{schema}");
        }
    }

    #[test]
    fn ways_grow_by_level() {
        assert_eq!(size(&json!([1, {"a": [[]]}])), (5, 4));
        let flat = json!(vec![1; 9_000]);
        let deep = json!([[[[[[[[[[[[[1]]]]]]]]]]]]]);
        assert!(Width(1).lets_tell(&deep) && Width(2).lets_tell(&json!({"a": [flat[0]], "b": [[[]]]})));
        assert!(!Width(2).lets_tell(&flat) && !Width(2).lets_tell(&deep));
        assert!(!Width(u64::MAX).lets_tell(&json!(1)));
    }
}
