//! From the schemas of a document to JSON Schema as requests are judged by it.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::anchors;
use super::discriminator;
use super::places::each_schema;
use super::reference::{pointer, reference, resolve};
use super::work::Work;

/// Which schemas a document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Of OpenAPI 3.0: its own.
    V30,
    /// Of OpenAPI 3.1: JSON Schema 2020-12.
    V31,
}

impl Dialect {
    /// By the document's `openapi`.
    pub(super) fn of(document: &Value) -> Option<Self> {
        let version = document.get("openapi")?.as_str()?;
        let is =
            |series: &str| version.strip_prefix(series).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        match () {
            () if is("3.0") => Some(Self::V30),
            () if is("3.1") => Some(Self::V31),
            () => None,
        }
    }

    pub(super) fn draft(self) -> jsonschema::Draft {
        match self {
            // as in 3.0, nothing counts beside `$ref`
            Self::V30 => jsonschema::Draft::Draft7,
            Self::V31 => jsonschema::Draft::Draft202012,
        }
    }

    /// Writes every schema of a document anew.
    ///
    /// # Errors
    /// What none can be made of.
    pub(super) fn translate(self, document: &mut Value, work: &Work) -> Result<(), String> {
        if self == Self::V31 {
            anchors::replace(document);
        }
        discriminator::tell_apart(document, work)?;
        let original = document.clone();
        let translation = Translation { dialect: self, original: &original, work };
        each_schema(document, |schema| translation.schema(schema, &BTreeSet::new()));
        work.judge()
    }
}

/// Schemas that one may take in by `allOf`, at any distance, as far as `readOnly` is looked for.
const MOST_KIN: usize = 100;

struct Translation<'d> {
    dialect: Dialect,
    original: &'d Value,
    work: &'d Work,
}

/// Keywords with one schema.
const ONE: [&str; 11] = [
    "additionalProperties",
    "items",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keywords with a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords with schemas by name.
const NAMED: [&str; 5] = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];

impl Translation<'_> {
    /// Writes a schema anew. `around` are the members that only answers have by the schemas that hold it in their `allOf`.
    fn schema(&self, schema: &mut Value, around: &BTreeSet<String>) {
        let Some(fields) = schema.as_object_mut() else { return };
        let mut in_answers = around.clone();
        if fields.contains_key("required") || fields.contains_key("allOf") {
            self.gather_read_only(fields, &mut BTreeSet::new(), &mut in_answers);
        }
        forget_required(fields, &in_answers);
        if let Some(Value::String(text)) = fields.get_mut("$ref")
            && let Ok(place) = pointer(text)
        {
            *text = reference(&place);
        }
        for keyword in ONE {
            fields.get_mut(keyword).into_iter().for_each(|schema| self.schema(schema, &BTreeSet::new()));
        }
        for keyword in LIST {
            let around = if keyword == "allOf" { &in_answers } else { &BTreeSet::new() };
            let list = fields.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten();
            list.for_each(|schema| self.schema(schema, around));
        }
        for keyword in NAMED {
            let named = fields.get_mut(keyword).and_then(Value::as_object_mut).into_iter().flatten();
            named.for_each(|(_, schema)| self.schema(schema, &BTreeSet::new()));
        }
        bound_integers(fields);
        discriminator::choose(fields, self.work);
        if self.dialect == Dialect::V30 {
            bound_exclusively(fields, "minimum", "exclusiveMinimum");
            bound_exclusively(fields, "maximum", "exclusiveMaximum");
            allow_null(fields);
        }
    }

    /// The members with `readOnly` of a schema that is still as it was written, and of those behind its `$ref` and `allOf`.
    fn gather_read_only(&self, fields: &Map<String, Value>, seen: &mut BTreeSet<String>, names: &mut BTreeSet<String>) {
        let members = fields.get("properties").and_then(Value::as_object);
        if !self.work.spend(members.map_or(1, |members| members.len() + 1)) {
            return;
        }
        for (name, member) in members.into_iter().flatten() {
            if self.is_read_only(member) {
                names.insert(name.clone());
            }
        }
        if let Some(place) = fields.get("$ref").and_then(Value::as_str).and_then(|text| pointer(text).ok())
            && let Ok((Value::Object(target), place)) = resolve(self.original, place)
            && seen.len() < MOST_KIN
            && seen.insert(place)
        {
            self.gather_read_only(target, seen, names);
        }
        let parts = fields.get("allOf").and_then(Value::as_array).into_iter().flatten();
        parts.filter_map(Value::as_object).for_each(|part| self.gather_read_only(part, seen, names));
    }

    fn is_read_only(&self, schema: &Value) -> bool {
        let says = |schema: &Value| schema.get("readOnly") == Some(&Value::Bool(true));
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|text| pointer(text).ok());
        let target = target.and_then(|place| resolve(self.original, place).ok());
        says(schema) || target.is_some_and(|(schema, _)| says(schema))
    }
}

/// Members that only answers have are required of answers only.
fn forget_required(fields: &mut Map<String, Value>, in_answers: &BTreeSet<String>) {
    let Some(required) = fields.get_mut("required").and_then(Value::as_array_mut) else { return };
    required.retain(|name| !name.as_str().is_some_and(|name| in_answers.contains(name)));
    // a list without names is no schema in earlier drafts
    if required.is_empty() {
        fields.remove("required");
    }
}

/// `int32` and `int64` are bounds, where a schema has none of its own.
fn bound_integers(fields: &mut Map<String, Value>) {
    let (least, most) = match fields.get("format").and_then(Value::as_str) {
        Some("int32") => (Value::from(i32::MIN), Value::from(i32::MAX)),
        Some("int64") => (Value::from(i64::MIN), Value::from(i64::MAX)),
        _ => return,
    };
    fields.entry("minimum").or_insert(least);
    fields.entry("maximum").or_insert(most);
}

/// In 3.0 `exclusiveMinimum` says of `minimum` that it is not allowed itself.
fn bound_exclusively(fields: &mut Map<String, Value>, bound: &str, exclusive: &str) {
    let Some(Value::Bool(is_exclusive)) = fields.get(exclusive) else { return };
    let is_exclusive = *is_exclusive;
    fields.remove(exclusive);
    if is_exclusive && let Some(value) = fields.remove(bound) {
        fields.insert(exclusive.to_owned(), value);
    }
}

/// In 3.0 `nullable` allows null, whatever else a schema says but for `enum`, which names all there is (3.0.3).
fn allow_null(fields: &mut Map<String, Value>) {
    let names_others = |values: &Value| values.as_array().is_some_and(|values| !values.contains(&Value::Null));
    if fields.remove("nullable") != Some(Value::Bool(true)) || fields.get("enum").is_some_and(names_others) {
        return;
    }
    let rest = std::mem::take(fields);
    fields.insert("anyOf".to_owned(), json!([{"type": "null"}, rest]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(version: &str, schema: Value) -> Value {
        let mut document = json!({"openapi": version, "components": {"schemas": {
            "S": schema, "Id": {"type": "integer", "readOnly": true},
            "Base": {"properties": {"id": {"$ref": "#/components/schemas/Id"}}},
        }}});
        Dialect::of(&document).unwrap().translate(&mut document, &Work::new()).unwrap();
        document["components"]["schemas"]["S"].take()
    }

    #[test]
    fn documents_are_of_two_versions() {
        for (version, dialect) in [
            ("3.0", Some(Dialect::V30)),
            ("3.0.4", Some(Dialect::V30)),
            ("3.1.1", Some(Dialect::V31)),
            ("3.10", None),
            ("2.0", None),
        ] {
            assert_eq!(Dialect::of(&json!({"openapi": version})), dialect, "{version}");
        }
        assert_eq!(Dialect::of(&json!({"swagger": "2.0"})), None);
    }

    #[test]
    fn schemas_of_3_0_become_json_schema() {
        for (schema, expected) in [
            (json!({"type": "string", "nullable": true}), json!({"anyOf": [{"type": "null"}, {"type": "string"}]})),
            (json!({"type": "string", "nullable": false}), json!({"type": "string"})),
            (json!({"enum": ["a"], "nullable": true}), json!({"enum": ["a"]})),
            (
                json!({"type": "string", "enum": ["a", null], "nullable": true}),
                json!({"anyOf": [{"type": "null"}, {"type": "string", "enum": ["a", null]}]}),
            ),
            (json!({"minimum": 1, "exclusiveMinimum": true}), json!({"exclusiveMinimum": 1})),
            (json!({"maximum": 1, "exclusiveMaximum": false}), json!({"maximum": 1})),
            (
                json!({"properties": {"nullable": {"items": {"maximum": 2, "exclusiveMaximum": true}}}}),
                json!({"properties": {"nullable": {"items": {"exclusiveMaximum": 2}}}}),
            ),
            (json!({"format": "int32", "minimum": 0}), json!({"format": "int32", "minimum": 0, "maximum": i32::MAX})),
            (json!({"enum": [{"nullable": true}]}), json!({"enum": [{"nullable": true}]})),
        ] {
            assert_eq!(translated("3.0.3", schema.clone()), expected, "{schema}");
        }
        assert_eq!(translated("3.1.0", json!({"exclusiveMinimum": 1})), json!({"exclusiveMinimum": 1}));
    }

    #[test]
    fn what_only_answers_have_is_not_required() {
        let schema = json!({"required": ["id", "at", "name"], "properties": {
            "id": {"$ref": "#/components/schemas/Id"}, "at": {"readOnly": true}, "name": {},
        }});
        assert_eq!(translated("3.1.0", schema)["required"], json!(["name"]));
        let all = json!({"required": ["at"], "properties": {"at": {"readOnly": true}}});
        assert_eq!(translated("3.0.0", all).get("required"), None);
        let nullable =
            json!({"required": ["a", "b"], "properties": {"a": {"readOnly": true, "nullable": true}, "b": {}}});
        assert_eq!(translated("3.0.0", nullable)["required"], json!(["b"]));
        let around = json!({"allOf": [
            {"$ref": "#/components/schemas/Base"}, {"required": ["id", "name"]}, {"oneOf": [{"required": ["id"]}]},
        ]});
        let translated = translated("3.0.0", around);
        assert_eq!(translated["allOf"][1]["required"], json!(["name"]));
        assert_eq!(translated["allOf"][2]["oneOf"][0]["required"], json!(["id"]), "which is no demand but a choice");
    }
}
