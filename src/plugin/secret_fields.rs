//! Which fields of resources and of plugins' blocks hold secrets.
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Registry;
use crate::model::Kind;

/// Where secrets stand: in the resources themselves by their kind, in blocks of plugins by
/// [`Plugin::SECRET_FIELDS`](super::Plugin::SECRET_FIELDS). What encrypts at rest and what redacts look here both, so that
/// neither can know of a field that the other does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFields(BTreeMap<String, Vec<String>>);

/// What stands in the place of a secret where one is shown.
pub const REDACTED: &str = "[redacted]";

/// Fields of upstreams, wherever an upstream stands.
const UPSTREAM: [&str; 2] = ["tls.client_key", "affinity.secret"];

impl SecretFields {
    /// Plugins by name with the paths of their secret fields, which may be none. Any other plugin is not known.
    pub fn new(plugins: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self(plugins.into_iter().collect())
    }

    /// The paths of one plugin's secret fields; empty for a plugin that is not known.
    pub fn of_plugin(&self, plugin: &str) -> &[String] {
        self.0.get(plugin).map_or(&[], Vec::as_slice)
    }

    /// Hands every secret field of a resource over, with the name of its plugin, if it stands in one's block, and its path
    /// from the resource's root. Fields that are absent or null are skipped.
    pub fn visit(&self, kind: Kind, item: &mut Value, visit: &mut dyn FnMut(Option<&str>, &str, &mut Value)) {
        let mut own = |path: &str, item: &mut Value| walk(item, path, "", &mut |at, value| visit(None, at, value));
        match kind {
            Kind::Ssl => ["key", "keys.*"].into_iter().for_each(|path| own(path, item)),
            Kind::Secret => {
                for path in ["token", "access_key_id", "secret_access_key", "session_token", "auth_config.private_key"]
                {
                    own(path, item);
                }
            }
            Kind::Upstream => UPSTREAM.into_iter().for_each(|path| own(path, item)),
            Kind::Route | Kind::Service | Kind::StreamRoute => {
                UPSTREAM.into_iter().for_each(|path| own(&format!("upstream.{path}"), item));
            }
            _ => {}
        }
        if kind == Kind::PluginMetadata {
            let Some(plugin) = item.get("id").or_else(|| item.get("name")).and_then(Value::as_str) else { return };
            let plugin = plugin.to_owned();
            self.block(&plugin, item, "", visit);
        } else if let Some(Value::Object(plugins)) = item.get_mut("plugins") {
            for (plugin, block) in plugins {
                self.block(plugin, block, &format!("plugins.{plugin}."), visit);
            }
        }
    }

    /// As [`SecretFields::visit`], for one plugin's block; paths begin at the block.
    pub fn visit_block(&self, plugin: &str, block: &mut Value, visit: &mut dyn FnMut(&str, &mut Value)) {
        self.block(plugin, block, "", &mut |_, at, value| visit(at, value));
    }

    /// Puts `[redacted]` into every secret field of a resource. References to secrets (`$secret://…`, `$env://…`) are no
    /// secrets and stay as they are. Of the block of a plugin that is not known every text and number is redacted: nobody
    /// can tell which of them is a secret.
    pub fn redact(&self, kind: Kind, item: &mut Value) {
        self.visit(kind, item, &mut |_, _, value| redact_value(value));
        if kind == Kind::PluginMetadata {
            let name = item.get("id").or_else(|| item.get("name")).and_then(Value::as_str);
            if let (false, Value::Object(fields)) = (name.is_some_and(|name| self.knows(name)), item) {
                let unknown = fields.iter_mut().filter(|(field, _)| !matches!(field.as_str(), "id" | "name"));
                unknown.for_each(|(_, value)| redact_all(value));
            }
        } else if let Some(Value::Object(plugins)) = item.get_mut("plugins") {
            let unknown = plugins.iter_mut().filter(|(plugin, _)| !self.knows(plugin));
            unknown.for_each(|(_, block)| redact_all(block));
        }
    }

    /// Whether a plugin is known, with secret fields or without.
    fn knows(&self, plugin: &str) -> bool {
        self.0.contains_key(plugin)
    }

    /// As [`SecretFields::redact`], for one plugin's block.
    pub fn redact_block(&self, plugin: &str, block: &mut Map<String, Value>) {
        let mut value = Value::Object(std::mem::take(block));
        match self.knows(plugin) {
            true => self.visit_block(plugin, &mut value, &mut |_, value| redact_value(value)),
            false => redact_all(&mut value),
        }
        if let Value::Object(redacted) = value {
            *block = redacted;
        }
    }

    fn block(&self, plugin: &str, block: &mut Value, at: &str, visit: &mut dyn FnMut(Option<&str>, &str, &mut Value)) {
        for path in self.of_plugin(plugin) {
            walk(block, path, at, &mut |at, value| visit(Some(plugin), at, value));
        }
    }
}

impl From<&Registry> for SecretFields {
    fn from(registry: &Registry) -> Self {
        let fields = |entry: &super::Entry| entry.secret_fields().iter().map(|&path| path.to_owned()).collect();
        Self(registry.iter().map(|entry| (entry.name().to_owned(), fields(entry))).collect())
    }
}

/// Whether a text refers to a secret instead of being one.
pub fn is_secret_reference(text: &str) -> bool {
    let head = text.get(..16).unwrap_or(text).to_ascii_lowercase();
    head.starts_with("$secret://") || head.starts_with("$env://")
}

fn redact_value(value: &mut Value) {
    if !value.as_str().is_some_and(|text| text.is_empty() || is_secret_reference(text)) {
        *value = Value::from(REDACTED);
    }
}

/// Redacts every text and number.
fn redact_all(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(redact_all),
        Value::Object(fields) => fields.values_mut().for_each(redact_all),
        Value::String(_) | Value::Number(_) => redact_value(value),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Calls `visit` for all that stands at `path` below `value`, with where that is.
fn walk(value: &mut Value, path: &str, at: &str, visit: &mut dyn FnMut(&str, &mut Value)) {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let mut enter = |key: &str, value: &mut Value| match rest {
        Some(rest) => walk(value, rest, &format!("{at}{key}."), visit),
        None if value.is_null() => {}
        None => visit(&format!("{at}{key}"), value),
    };
    match (value, step) {
        (Value::Array(items), "*") => {
            items.iter_mut().enumerate().for_each(|(index, item)| enter(&index.to_string(), item));
        }
        (Value::Object(fields), "*") => fields.iter_mut().for_each(|(key, field)| enter(key, field)),
        (Value::Object(fields), step) => {
            if let Some(field) = fields.get_mut(step) {
                enter(step, field);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields() -> SecretFields {
        SecretFields::new([
            ("flat".to_owned(), vec!["key".to_owned()]),
            ("deep".to_owned(), vec!["rules.*.redis.password".to_owned(), "map.*".to_owned()]),
            ("none".to_owned(), Vec::new()),
        ])
    }

    fn redacted(kind: Kind, mut item: Value) -> Value {
        fields().redact(kind, &mut item);
        item
    }

    #[test]
    fn secrets_of_every_kind_are_redacted_and_nothing_else() {
        for (kind, item, shown) in [
            (
                Kind::Route,
                json!({"id": "1", "key": "k", "upstream": {"tls": {"client_cert": "c", "client_key": "s"}}}),
                json!({"id": "1", "key": "k", "upstream": {"tls": {"client_cert": "c", "client_key": REDACTED}}}),
            ),
            (
                Kind::StreamRoute,
                json!({"id": "1", "upstream": {"tls": {"client_key": "s"}}}),
                json!({"id": "1", "upstream": {"tls": {"client_key": REDACTED}}}),
            ),
            (
                Kind::Upstream,
                json!({"tls": {"client_key": "s"}, "affinity": {"cookie": "c", "secret": "s"}}),
                json!({"tls": {"client_key": REDACTED}, "affinity": {"cookie": "c", "secret": REDACTED}}),
            ),
            (
                Kind::Ssl,
                json!({"cert": "c", "key": "s", "keys": ["s", "$env://K", "s"]}),
                json!({"cert": "c", "key": REDACTED, "keys": [REDACTED, "$env://K", REDACTED]}),
            ),
            (
                Kind::Secret,
                json!({"uri": "u", "token": "s", "auth_config": {"private_key": "s", "project_id": "p"}}),
                json!({"uri": "u", "token": REDACTED, "auth_config": {"private_key": REDACTED, "project_id": "p"}}),
            ),
            (
                Kind::Consumer,
                json!({"plugins": {"flat": {"key": "$secret://vault/1/k", "other": "o"}}}),
                json!({"plugins": {"flat": {"key": "$secret://vault/1/k", "other": "o"}}}),
            ),
            (
                Kind::GlobalRule,
                json!({"plugins": {
                    "deep": {"rules": [{"redis": {"password": 12}}, {"redis": null}, 7], "map": {"a": "s", "b": null}},
                    "flat": {"key": {"odd": "s"}},
                    "none": {"key": "k"},
                }}),
                json!({"plugins": {
                    "deep": {"rules": [{"redis": {"password": REDACTED}}, {"redis": null}, 7],
                        "map": {"a": REDACTED, "b": null}},
                    "flat": {"key": REDACTED},
                    "none": {"key": "k"},
                }}),
            ),
            (Kind::PluginMetadata, json!({"id": "flat", "key": "s"}), json!({"id": "flat", "key": REDACTED})),
            (
                Kind::Route,
                json!({"uri": "/", "plugins": {"strange": {"a": "s", "b": [1, {"c": 1.5, "d": "$env://K"}], "e": true}}}),
                json!({"uri": "/", "plugins": {
                    "strange": {"a": REDACTED, "b": [REDACTED, {"c": REDACTED, "d": "$env://K"}], "e": true},
                }}),
            ),
            (Kind::PluginMetadata, json!({"id": "strange", "key": "s"}), json!({"id": "strange", "key": REDACTED})),
            (Kind::Proto, json!({"key": "k"}), json!({"key": "k"})),
            (Kind::Route, json!("no object"), json!("no object")),
        ] {
            assert_eq!(redacted(kind, item), shown, "{kind}");
        }
    }

    #[test]
    fn places_are_told_from_the_root() {
        let mut item = json!({"plugins": {"deep": {"rules": [{}, {"redis": {"password": "s"}}]}}});
        let mut seen = Vec::new();
        fields()
            .visit(Kind::Route, &mut item, &mut |plugin, at, _| seen.push((plugin.map(str::to_owned), at.to_owned())));
        assert_eq!(seen, [(Some("deep".to_owned()), "plugins.deep.rules.1.redis.password".to_owned())]);
    }
}
