//! What plugins there are.
use std::cmp::Reverse;
use std::collections::HashSet;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::api::{Call, Shared};
use crate::plugin::{Entry, SchemaOf};

impl Shared {
    /// The names of the enabled plugins by priority, descending.
    pub(super) fn plugin_names(&self, call: &Call) -> Result<Answer, Answer> {
        let names: Vec<_> = self.enabled(call)?.into_iter().map(Entry::name).collect();
        Ok(Answer::ok(json!(names)))
    }

    /// All properties of the enabled plugins; the reference asks for `?all=true`.
    pub(super) fn plugins(&self, call: &Call) -> Result<Answer, Answer> {
        if !call.query.is_true("all") {
            return Err(Answer::bad("write /plugins?all=true, or /plugins/list for the names alone"));
        }
        let plugins = self.enabled(call)?.into_iter().map(|entry| (entry.name().to_owned(), properties(entry)));
        Ok(Answer::ok(Value::Object(plugins.collect())))
    }

    /// The schema of one plugin, enabled or not.
    pub(super) fn plugin(&self, call: &Call) -> Result<Answer, Answer> {
        let of = match call.query.get("schema_type") {
            Some("consumer") => SchemaOf::Credential,
            Some("metadata") => SchemaOf::Metadata,
            _ => SchemaOf::Block,
        };
        let entry = self.registry.get(call.segment(0)).filter(|_| is_http(call));
        let missing = || Answer::error(StatusCode::NOT_FOUND, format!("not found plugin: {}", call.segment(0)));
        let entry = entry.ok_or_else(missing)?;
        Ok(Answer::ok(entry.schema(of).unwrap_or_else(|| json!({ "type": "object" }))))
    }

    fn enabled(&self, call: &Call) -> Result<Vec<&Entry>, Answer> {
        match call.query.get("subsystem") {
            None | Some("http") => {}
            // No plugin is one of L4.
            Some("stream") => return Ok(Vec::new()),
            Some(_) => return Err(Answer::bad("unsupported subsystem: write http or stream")),
        }
        let view = self.mirror.view();
        let enabled = view.snapshot().plugins.as_ref();
        let enabled: Option<HashSet<&str>> = enabled
            .map(|list| list.iter().filter(|plugin| !plugin.stream).map(|plugin| plugin.name.as_str()).collect());
        let names = self.registry.names().filter(|name| enabled.as_ref().is_none_or(|enabled| enabled.contains(name)));
        let mut entries: Vec<_> = names.filter_map(|name| self.registry.get(name)).collect();
        entries.sort_by_key(|entry| (Reverse(entry.priority()), entry.name()));
        Ok(entries)
    }
}

fn is_http(call: &Call) -> bool {
    call.query.get("subsystem") != Some("stream")
}

fn properties(entry: &Entry) -> Value {
    let mut properties = Map::new();
    properties.insert("priority".to_owned(), entry.priority().into());
    if entry.is_auth() {
        properties.insert("type".to_owned(), "auth".into());
    }
    for (name, of) in [
        ("schema", SchemaOf::Block),
        ("consumer_schema", SchemaOf::Credential),
        ("metadata_schema", SchemaOf::Metadata),
    ] {
        if let Some(schema) = entry.schema(of) {
            properties.insert(name.to_owned(), schema);
        }
    }
    Value::Object(properties)
}
