//! From the schemas of a document to JSON Schema as requests are judged by it.
use serde_json::{Map, Value, json};

use super::reference::{pointer, reference, resolve};

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
    pub(super) fn translate(self, document: &mut Value) {
        let original = document.clone();
        let translation = Translation { dialect: self, original: &original };
        if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
            schemas.values_mut().for_each(|schema| translation.schema(schema));
        }
        let parts = document.as_object_mut().into_iter().flatten();
        for (name, part) in parts {
            match (name.as_str(), part) {
                ("components", Value::Object(components)) => {
                    let others = components.iter_mut().filter(|(name, _)| *name != "schemas");
                    others.for_each(|(_, part)| translation.part(part));
                }
                (_, part) => translation.part(part),
            }
        }
    }
}

struct Translation<'d> {
    dialect: Dialect,
    original: &'d Value,
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
    /// Finds schemas in a part of the document that is none.
    fn part(&self, part: &mut Value) {
        match part {
            Value::Array(items) => items.iter_mut().for_each(|item| self.part(item)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    match name.as_str() {
                        "schema" => self.schema(field),
                        "example" | "examples" | "default" | "enum" | "value" => {}
                        name if name.starts_with("x-") => {}
                        _ => self.part(field),
                    }
                }
            }
            _ => {}
        }
    }

    fn schema(&self, schema: &mut Value) {
        let Some(fields) = schema.as_object_mut() else { return };
        if let Some(Value::String(text)) = fields.get_mut("$ref")
            && let Ok(place) = pointer(text)
        {
            *text = reference(&place);
        }
        for keyword in ONE {
            fields.get_mut(keyword).into_iter().for_each(|schema| self.schema(schema));
        }
        for keyword in LIST {
            let list = fields.get_mut(keyword).and_then(Value::as_array_mut).into_iter().flatten();
            list.for_each(|schema| self.schema(schema));
        }
        for keyword in NAMED {
            let named = fields.get_mut(keyword).and_then(Value::as_object_mut).into_iter().flatten();
            named.for_each(|(_, schema)| self.schema(schema));
        }
        self.forget_what_only_answers_have(fields);
        bound_integers(fields);
        choose_by_discriminator(fields);
        if self.dialect == Dialect::V30 {
            bound_exclusively(fields, "minimum", "exclusiveMinimum");
            bound_exclusively(fields, "maximum", "exclusiveMaximum");
            allow_null(fields);
        }
    }

    /// Members with `readOnly` are required of answers only.
    fn forget_what_only_answers_have(&self, fields: &mut Map<String, Value>) {
        let Some(Value::Array(mut required)) = fields.remove("required") else { return };
        let properties = fields.get("properties");
        required.retain(|name| {
            let member = name.as_str().and_then(|name| properties?.get(name));
            !member.is_some_and(|member| self.is_read_only(member))
        });
        // a list without names is no schema in earlier drafts
        if !required.is_empty() {
            fields.insert("required".to_owned(), required.into());
        }
    }

    fn is_read_only(&self, schema: &Value) -> bool {
        let says = |schema: &Value| schema.get("readOnly") == Some(&Value::Bool(true));
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|text| pointer(text).ok());
        let target = target.and_then(|place| resolve(self.original, place).ok());
        says(schema) || target.is_some_and(|(schema, _)| says(schema))
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

/// A `discriminator` says which one of the schemas counts: the schema under the member's value, and no other.
fn choose_by_discriminator(fields: &mut Map<String, Value>) {
    let Some(discriminator) = fields.get("discriminator") else { return };
    let Some(member) = discriminator.get("propertyName").and_then(Value::as_str) else { return };
    let keyword = match (fields.contains_key("oneOf"), fields.contains_key("anyOf")) {
        (true, false) => "oneOf",
        (false, true) => "anyOf",
        _ => return,
    };
    let choices = fields.get(keyword).and_then(Value::as_array).into_iter().flatten();
    let guarded = choices.map(|choice| {
        let target = choice.get("$ref")?.as_str()?;
        let names = names_of(target, discriminator.get("mapping"));
        let guard = json!({"required": [member], "properties": {member: {"enum": names}}});
        Some(json!({"allOf": [guard, {"$ref": target}]}))
    });
    if let Some(guarded) = guarded.collect::<Option<Vec<_>>>() {
        fields.remove(keyword);
        fields.insert("anyOf".to_owned(), guarded.into());
    }
}

/// What a discriminator calls a schema: its own name, and those that are mapped to it.
fn names_of(target: &str, mapping: Option<&Value>) -> Vec<String> {
    let place = |text: &str| pointer(text).ok();
    let own = place(target).and_then(|place| Some(place.rsplit_once('/')?.1.to_owned()));
    let mapped = mapping.and_then(Value::as_object).into_iter().flatten().filter(|(_, value)| {
        let value = value.as_str().unwrap_or_default();
        let named = || Some(format!("/components/schemas/{value}"));
        place(target) == place(value) && value.starts_with('#') || place(target) == named()
    });
    own.into_iter().chain(mapped.map(|(name, _)| name.clone())).collect()
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

/// In 3.0 `nullable` allows null, whatever else a schema says.
fn allow_null(fields: &mut Map<String, Value>) {
    if fields.remove("nullable") != Some(Value::Bool(true)) {
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
        }}});
        Dialect::of(&document).unwrap().translate(&mut document);
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
    }

    #[test]
    fn a_discriminator_chooses_one_schema() {
        let schema = json!({
            "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
            "discriminator": {"propertyName": "kind", "mapping": {"c": "Cat", "d": "#/components/schemas/Dog"}},
        });
        let translated_schema = translated("3.0.0", schema);
        let names = |at: usize| &translated_schema["anyOf"][at]["allOf"][0]["properties"]["kind"]["enum"];
        assert_eq!((names(0), names(1)), (&json!(["Cat", "c"]), &json!(["Dog", "d"])));
        let inline = json!({"oneOf": [{"type": "object"}], "discriminator": {"propertyName": "kind"}});
        assert_eq!(translated("3.0.0", inline.clone()), inline);
    }
}
