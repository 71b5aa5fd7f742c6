//! The OpenAPI 3.1 document of the Admin API, made of the table that requests are routed by.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::routes::{Endpoint, Operation};
use crate::model::{Kind, schema};

/// The document, for an API under `prefix`.
pub(super) fn document(endpoints: &[Endpoint], prefix: &str) -> Value {
    let mut paths = Map::new();
    let mut kinds = BTreeSet::new();
    for endpoint in endpoints {
        let Some(summary) = &endpoint.summary else { continue };
        kinds.extend(endpoint.operation.kind());
        let path = match endpoint.path.as_str() {
            "" => "/".to_owned(),
            path => path.replace("*}", "}"),
        };
        let parameters: Vec<_> = names(&endpoint.path).map(parameter).collect();
        let item = paths.entry(path).or_insert_with(|| json!({ "parameters": parameters }));
        if let Some(item) = item.as_object_mut() {
            item.insert(endpoint.method.as_str().to_ascii_lowercase(), operation(endpoint, summary));
        }
    }
    let schemas = kinds.into_iter().map(|kind| (component(kind), schema(kind)));
    let mut schemas: Map<_, _> = schemas.collect();
    schemas.insert("Error".to_owned(), error());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tollgate Admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Reads and changes the configuration of the gateway.",
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{ "url": if prefix.is_empty() { "/" } else { prefix } }],
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "apiKey", "in": "header", "name": "X-API-KEY" } },
            "schemas": schemas,
        },
    })
}

fn operation(endpoint: &Endpoint, summary: &str) -> Value {
    let mut operation = Map::new();
    let words = endpoint.path.split(['/', '{', '}', '*', '.']).filter(|word| !word.is_empty());
    let id = std::iter::once(endpoint.method.as_str().to_ascii_lowercase()).chain(words.map(str::to_owned));
    operation.insert("operationId".to_owned(), id.collect::<Vec<_>>().join("_").into());
    operation.insert("summary".to_owned(), summary.into());
    if let Some(kind) = endpoint.operation.kind() {
        operation.insert("tags".to_owned(), json!([kind.root_key()]));
    }
    if endpoint.operation == Operation::Alive {
        operation.insert("security".to_owned(), json!([]));
    }
    let arguments: Vec<_> = arguments(endpoint.operation).map(argument).collect();
    if !arguments.is_empty() {
        operation.insert("parameters".to_owned(), arguments.into());
    }
    if let Some(content) = content(endpoint.operation) {
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    operation.insert("responses".to_owned(), responses(endpoint.operation));
    Value::Object(operation)
}

fn component(kind: Kind) -> String {
    kind.as_str().replace(' ', "_")
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|step| Some(step.strip_prefix('{')?.trim_end_matches(['}', '*'])))
}

fn parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

/// Name, type and meaning of each argument behind `?`.
fn arguments(operation: Operation) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let list: &[_] = &[
        ("page", "integer", "A page, from 1; needs `page_size`"),
        ("page_size", "integer", "Items on a page, 10 to 500"),
        ("cursor", "string", "What `next_cursor` said; empty for the beginning"),
        ("name", "string", "A regular expression that is looked for in names"),
        ("label", "string", "A label, or `label=value`"),
        ("uri", "string", "A regular expression that is looked for in `uri` and `uris`"),
        ("filter", "string", "`service_id=…&upstream_id=…`, encoded once more"),
    ];
    let write: &[_] = &[
        ("ttl", "number", "Seconds after which the item vanishes"),
        ("dry_run", "boolean", "Tells what would change, and changes nothing"),
    ];
    let delete: &[_] = &[
        ("force", "boolean", "Whoever refers to the item"),
        ("dry_run", "boolean", "Tells what would change, and changes nothing"),
    ];
    let history: &[_] =
        &[("limit", "integer", "Changes, 1 to 1000"), ("before", "integer", "Only changes before this revision")];
    let chosen = match operation {
        Operation::List(_) => list,
        Operation::Put(_) | Operation::Create(_) | Operation::Patch(_) | Operation::PatchAt(_) => write,
        Operation::Delete(_) => delete,
        Operation::Restore | Operation::ReplaceConfigs => write.get(1..).unwrap_or_default(),
        Operation::History => history,
        Operation::Plugins => &[("all", "boolean", "Has to be true")],
        Operation::PluginNames => &[("subsystem", "string", "`http` or `stream`")],
        Operation::Plugin | Operation::PluginSchema => &[("schema_type", "string", "`consumer` or `metadata`")],
        _ => &[],
    };
    chosen.iter().copied()
}

fn argument((name, form, description): (&str, &str, &str)) -> Value {
    json!({ "name": name, "in": "query", "description": description, "schema": { "type": form } })
}

fn content(operation: Operation) -> Option<Value> {
    let of = |kind: Kind| json!({ "$ref": format!("#/components/schemas/{}", component(kind)) });
    let object = || json!({ "type": "object" });
    Some(match operation {
        // The schema asks for what the path has said already.
        Operation::Put(kind) | Operation::Create(kind) => json!({ "application/json": { "schema": of(kind) } }),
        Operation::Patch(_) => json!({
            "application/json": { "schema": object() },
            "application/merge-patch+json": { "schema": object() },
            "application/json-patch+json": { "schema": { "type": "array", "items": object() } },
        }),
        Operation::PatchAt(_) | Operation::ValidateItem => json!({ "application/json": { "schema": {} } }),
        Operation::ValidateDocument | Operation::ReplaceConfigs => json!({
            "application/json": { "schema": object() },
            "application/yaml": { "schema": object() },
        }),
        _ => return None,
    })
}

fn responses(operation: Operation) -> Value {
    let json_of = |description: &str, schema: Value| json!({ "description": description, "content": { "application/json": { "schema": schema } } });
    let failed = |description: &str| json_of(description, json!({ "$ref": "#/components/schemas/Error" }));
    let object = json!({ "type": "object" });
    let codes: &[(&str, &str)] = match operation {
        Operation::Alive => &[("200", "It is")],
        Operation::Put(_) => &[("200", "Replaced"), ("201", "Created")],
        Operation::Create(_) => &[("201", "Created")],
        Operation::ReplaceConfigs => &[("202", "Applied"), ("204", "As it was")],
        Operation::Read(_) => &[("200", "The item"), ("304", "As it was")],
        _ => &[("200", "Done")],
    };
    let mut responses = Map::new();
    for (code, description) in codes {
        let answer = match *code {
            "204" | "304" => json!({ "description": description }),
            _ if operation == Operation::Alive => json!({ "description": description }),
            _ => json_of(description, object.clone()),
        };
        responses.insert((*code).to_owned(), answer);
    }
    if operation == Operation::Alive {
        return Value::Object(responses);
    }
    let write: &[_] = match operation.writes() {
        true => &[
            ("400", "Refused: the body, the item, or what it refers to"),
            ("409", "Somebody else was faster"),
            ("412", "The item is not the one that If-Match names"),
            ("503", "The store does not answer"),
        ],
        false => &[("400", "Refused")],
    };
    let all: [(&str, &str); 4] = [
        ("401", "No key, or a wrong one"),
        ("403", "Not for this key, client or page"),
        ("404", "Not there"),
        ("429", "Too many failed keys"),
    ];
    for (code, description) in write.iter().copied().chain(all) {
        responses.insert(code.to_owned(), failed(description));
    }
    Value::Object(responses)
}

fn error() -> Value {
    json!({
        "type": "object",
        "properties": {
            "error_msg": { "type": "string" },
            "message": { "type": "string" },
            "description": { "type": "string" },
            "findings": { "type": "array", "items": { "type": "object" } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::routes::endpoints;
    use super::*;

    #[test]
    fn every_line_of_the_table_is_described() {
        let endpoints = endpoints();
        let document = document(&endpoints, "/apisix/admin");
        let mut ids = BTreeSet::new();
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.summary.is_some()) {
            let path = if endpoint.path.is_empty() { "/" } else { &endpoint.path }.replace("*}", "}");
            let item = &document["paths"][&path];
            let operation = &item[endpoint.method.as_str().to_ascii_lowercase()];
            assert!(operation["responses"].as_object().is_some_and(|codes| !codes.is_empty()), "{path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}: the id is another's");
            let named: Vec<_> = names(&endpoint.path).collect();
            let said: Vec<_> =
                item["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
            assert_eq!(named, said, "{path}");
        }
    }

    #[test]
    fn references_lead_somewhere() {
        fn each(value: &Value, document: &Value) {
            match value {
                Value::Object(object) => {
                    if let Some(target) = object.get("$ref").and_then(Value::as_str) {
                        let pointer = target.strip_prefix('#').expect("inside the document");
                        assert!(document.pointer(pointer).is_some(), "{target}");
                    }
                    object.values().for_each(|value| each(value, document));
                }
                Value::Array(list) => list.iter().for_each(|value| each(value, document)),
                _ => {}
            }
        }
        let document = document(&endpoints(), "");
        each(&document, &document);
    }
}
