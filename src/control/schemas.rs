//! `/v1/schema`: what every resource and every enabled plugin is configured with, in the reference's form.
use crate::Response;

use super::api::Inner;
use super::reply;

#[cfg(not(feature = "schema"))]
pub(super) fn answer(_: &Inner) -> Response {
    reply::fault(http::StatusCode::NOT_IMPLEMENTED, "this gateway was built without the feature `schema`")
}

#[cfg(feature = "schema")]
pub(super) fn answer(inner: &Inner) -> Response {
    use serde_json::{Map, Value, json};

    use crate::model::{Kind, schema};
    use crate::plugin::{Entry, SchemaOf};

    const RESOURCES: [(&str, Kind); 14] = [
        ("consumer", Kind::Consumer),
        ("consumer_group", Kind::ConsumerGroup),
        ("credential", Kind::Credential),
        ("global_rule", Kind::GlobalRule),
        ("plugin_config", Kind::PluginConfig),
        ("plugin_metadata", Kind::PluginMetadata),
        ("plugins", Kind::Plugin),
        ("proto", Kind::Proto),
        ("route", Kind::Route),
        ("secret", Kind::Secret),
        ("service", Kind::Service),
        ("ssl", Kind::Ssl),
        ("stream_route", Kind::StreamRoute),
        ("upstream", Kind::Upstream),
    ];
    let plugin = |entry: &Entry| {
        let mut told = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "priority": entry.priority(),
            "stage": super::effective::stage(entry.stage()),
            "schema": entry.schema(SchemaOf::Block).unwrap_or_else(|| json!({"type": "object"})),
        });
        if let Value::Object(told) = &mut told {
            if entry.is_auth() {
                told.insert("type".to_owned(), json!("auth"));
            }
            let more = [("consumer_schema", SchemaOf::Credential), ("metadata_schema", SchemaOf::Metadata)];
            told.extend(more.into_iter().filter_map(|(name, of)| Some((name.to_owned(), entry.schema(of)?))));
            let secrets: Vec<_> = entry.secret_fields().to_vec();
            if !secrets.is_empty() {
                told.insert("encrypt_fields".to_owned(), json!(secrets));
            }
        }
        told
    };
    let snapshot = inner.gateway.snapshot();
    let is_enabled = |entry: &&Entry| match &snapshot.plugins {
        Some(enabled) => enabled.find(entry.name()).is_some(),
        None => true,
    };
    let main: Map<_, _> = RESOURCES.into_iter().map(|(name, kind)| (name.to_owned(), schema(kind))).collect();
    let registry = inner.gateway.registry();
    let plugins = registry.iter().filter(is_enabled).map(|entry| (entry.name().to_owned(), plugin(entry)));
    let plugins: Map<_, _> = plugins.collect();
    reply::json(&json!({"main": main, "plugins": plugins, "stream_plugins": {}}))
}
