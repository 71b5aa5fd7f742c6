//! JSON Schema of each resource: the tables say what a value may be, the types say what it means.
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::check::Described;
use super::check::shape::{Shape, Struct, Text};
use super::check::walk::expects;
use super::settings::SETTINGS;
use super::{
    ConsumerGroupSpec, ConsumerSpec, CredentialSpec, EnabledPlugin, GlobalRuleSpec, Kind, PluginConfigSpec,
    PluginMetadataSpec, ProtoSpec, RouteSpec, SecretSpec, ServiceSpec, Settings, SslSpec, StreamRouteSpec,
    UpstreamSpec,
};

/// The JSON Schema (draft 2020-12) of a resource of `kind`: what [`read`](super::read) takes, with the descriptions
/// and defaults of the types. Fields that Apache APISIX does not have carry `"x-extension": true`.
///
/// Rules that tie several fields together (exactly one of `uri` and `uris`) are not in it. Of [`Kind::Document`]: the
/// whole declarative document.
pub fn schema(kind: Kind) -> Value {
    match kind {
        Kind::Route => of::<RouteSpec>(),
        Kind::Service => of::<ServiceSpec>(),
        Kind::Upstream => of::<UpstreamSpec>(),
        Kind::Consumer => of::<ConsumerSpec>(),
        Kind::Credential => of::<CredentialSpec>(),
        Kind::ConsumerGroup => of::<ConsumerGroupSpec>(),
        Kind::PluginConfig => of::<PluginConfigSpec>(),
        Kind::GlobalRule => of::<GlobalRuleSpec>(),
        Kind::PluginMetadata => of::<PluginMetadataSpec>(),
        Kind::Plugin => of::<EnabledPlugin>(),
        Kind::Secret => of::<SecretSpec>(),
        Kind::Ssl => of::<SslSpec>(),
        Kind::Proto => of::<ProtoSpec>(),
        Kind::StreamRoute => of::<StreamRouteSpec>(),
        Kind::Settings => described(form(&SETTINGS), &typed::<Settings>()),
        Kind::Document => document(),
    }
}

fn document() -> Value {
    const LISTS: [Kind; 12] = [
        Kind::Route,
        Kind::Service,
        Kind::Upstream,
        Kind::ConsumerGroup,
        Kind::PluginConfig,
        Kind::GlobalRule,
        Kind::PluginMetadata,
        Kind::Plugin,
        Kind::Proto,
        Kind::Secret,
        Kind::Ssl,
        Kind::StreamRoute,
    ];
    let mut properties: Map<String, Value> = LISTS
        .into_iter()
        .map(|kind| (kind.root_key().to_owned(), json!({"type": "array", "items": schema(kind)})))
        .collect();
    let consumer = json!({"anyOf": [schema(Kind::Consumer), schema(Kind::Credential)]});
    properties.insert(Kind::Consumer.root_key().to_owned(), json!({"type": "array", "items": consumer}));
    properties.insert(Kind::Settings.root_key().to_owned(), schema(Kind::Settings));
    json!({"type": "object", "properties": properties})
}

fn of<T: Described + JsonSchema>() -> Value {
    described(object(T::SHAPE), &typed::<T>())
}

/// What the type says, with everything in place instead of by reference.
fn typed<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// `form` with the descriptions and defaults of `typed`.
fn described(mut form: Value, typed: &Value) -> Value {
    // An optional value stands as a choice between its type and null.
    let inner = typed.get("anyOf").and_then(Value::as_array).and_then(|choices| choices.first()).unwrap_or(typed);
    if let Value::Object(form) = &mut form {
        // An empty text is what a field is that has to be written.
        for key in ["description", "default"] {
            if let Some(said) = typed.get(key).or_else(|| inner.get(key)).filter(|said| !said.is_null() && *said != "")
            {
                form.insert(key.to_owned(), said.clone());
            }
        }
        if let (Some(Value::Object(fields)), Some(said)) = (form.get_mut("properties"), inner.get("properties")) {
            for (name, field) in fields {
                if let Some(said) = said.get(name) {
                    *field = described(field.take(), said);
                }
            }
        }
        if let (Some(items), Some(said)) = (form.get_mut("items"), inner.get("items")) {
            *items = described(items.take(), said);
        }
        if let (Some(Value::Array(forms)), Some(_)) = (form.get_mut("anyOf"), inner.get("items")) {
            for form in forms {
                *form = described(form.take(), inner);
            }
        }
    }
    form
}

/// What the table says.
fn form(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Int(min, max) => {
            let mut form = json!({"type": "integer"});
            if *min > i64::MIN {
                set(&mut form, "minimum", json!(min));
            }
            if *max < i64::MAX {
                set(&mut form, "maximum", json!(max));
            }
            form
        }
        Shape::From(min) => json!({"type": "number", "minimum": min}),
        Shape::Above(bound) => json!({"type": "number", "exclusiveMinimum": bound}),
        Shape::Text(rules) => text(rules),
        Shape::Word(words) => json!({"type": "string", "enum": words}),
        Shape::Id => json!({"anyOf": [
            {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
            {"type": "integer", "minimum": 1},
        ]}),
        Shape::Address => json!({"type": "string", "$comment": expects(shape)}),
        Shape::List(list) => {
            let mut form = json!({"type": "array", "items": self::form(&list.of)});
            if list.min > 0 {
                set(&mut form, "minItems", json!(list.min));
            }
            if list.max < usize::MAX {
                set(&mut form, "maxItems", json!(list.max));
            }
            if list.unique {
                set(&mut form, "uniqueItems", json!(true));
            }
            form
        }
        Shape::Struct(table) => object(table),
        Shape::Dict(dict) => json!({"type": "object", "additionalProperties": form(&dict.value)}),
        Shape::Either(either) => match either.forms {
            [one] => form(one),
            several => json!({"anyOf": several.iter().map(form).collect::<Vec<_>>()}),
        },
    }
}

/// Lengths and looks of a text. No pattern: a secret reference passes without (model.md §9).
fn text(rules: &Text) -> Value {
    let mut form = json!({"type": "string"});
    if rules.min > 0 {
        set(&mut form, "minLength", json!(rules.min.min(1)));
    }
    if rules.max < usize::MAX {
        set(&mut form, "maxLength", json!(rules.max));
    }
    if let Some(rule) = rules.rule {
        set(&mut form, "$comment", json!(rule.expects));
    }
    form
}

fn object(table: &Struct) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in table.fields {
        let mut form = form(&field.shape);
        if field.extension {
            set(&mut form, "x-extension", json!(true));
        }
        if field.required {
            required.push(json!(field.name));
        }
        properties.insert(field.name.to_owned(), form);
    }
    let mut form = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        set(&mut form, "required", Value::Array(required));
    }
    if table.variants.is_empty() {
        if !table.open && !table.tolerant {
            set(&mut form, "additionalProperties", json!(false));
        }
    } else {
        let variants: Vec<Value> = table.variants.iter().map(|(_, variant)| open(object(variant))).collect();
        set(&mut form, "anyOf", Value::Array(variants));
    }
    form
}

/// A variant lies over the fields that all have.
fn open(mut form: Value) -> Value {
    if let Value::Object(form) = &mut form {
        form.remove("additionalProperties");
    }
    form
}

fn set(form: &mut Value, key: &str, value: Value) {
    if let Value::Object(form) = form {
        form.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names of all fields, as paths, so that a table and its type can be compared.
    fn fields(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            for (name, field) in properties {
                let path = format!("{path}.{name}");
                fields(field, &path, found);
                found.insert(path);
            }
        }
        if let Some(items) = schema.get("items") {
            fields(items, path, found);
        }
        for choice in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            fields(choice, path, found);
        }
    }

    fn names(schema: &Value) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        fields(schema, "", &mut found);
        found
    }

    #[track_caller]
    fn agree<T: Described + JsonSchema>(only_in_table: &[&str]) {
        let table: BTreeSet<String> =
            names(&object(T::SHAPE)).into_iter().filter(|name| !only_in_table.contains(&name.as_str())).collect();
        assert_eq!(table, names(&typed::<T>()), "{}", T::KIND);
    }

    #[test]
    fn tables_and_types_have_the_same_fields() {
        // What a plugin is told of `_meta` is in the table only: the type keeps it as it stands.
        agree::<RouteSpec>(&[]);
        agree::<ServiceSpec>(&[]);
        agree::<UpstreamSpec>(&[]);
        agree::<ConsumerSpec>(&[".id"]);
        agree::<CredentialSpec>(&[]);
        agree::<ConsumerGroupSpec>(&[]);
        agree::<PluginConfigSpec>(&[]);
        agree::<GlobalRuleSpec>(&[]);
        agree::<PluginMetadataSpec>(&[]);
        agree::<EnabledPlugin>(&[]);
        agree::<SecretSpec>(&[]);
        agree::<SslSpec>(&[]);
        agree::<ProtoSpec>(&[]);
        agree::<StreamRouteSpec>(&[]);
        assert_eq!(names(&form(&SETTINGS)), names(&typed::<Settings>()));
    }

    #[test]
    fn a_schema_says_form_meaning_and_default() {
        let upstream = schema(Kind::Upstream);
        assert_eq!(upstream["properties"]["scheme"]["enum"][0], "http");
        assert_eq!(upstream["properties"]["max_requests"]["minimum"], 1);
        assert_eq!(upstream["properties"]["max_requests"]["default"], 1024);
        assert_eq!(upstream["properties"]["max_requests"]["x-extension"], true);
        assert_eq!(upstream["properties"]["tls"]["properties"]["sni"]["x-extension"], true);
        let said = upstream["properties"]["tls"]["properties"]["client_cert"]["description"].as_str();
        assert_eq!(said, Some("Client certificate, PEM."));
        assert_eq!(upstream["additionalProperties"], false);
        let weight = &upstream["properties"]["nodes"]["anyOf"][0]["items"]["properties"]["weight"];
        assert!(weight["description"].as_str().is_some_and(|said| said.starts_with("Its share")), "{weight}");
    }

    #[test]
    fn every_field_has_a_description() {
        fn lacking(schema: &Value, path: &str, found: &mut Vec<String>) {
            for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let path = format!("{path}.{name}");
                if field.get("description").is_none() {
                    found.push(path.clone());
                }
                lacking(field, &path, found);
            }
        }
        for kind in [Kind::Route, Kind::Upstream, Kind::Service, Kind::Ssl, Kind::StreamRoute, Kind::Settings] {
            let mut found = Vec::new();
            lacking(&schema(kind), kind.as_str(), &mut found);
            assert_eq!(found, [""; 0]);
        }
    }
}
