//! Whose counters they are.
use serde::Deserialize;
use serde_json::{Map, Value};

use super::store::DEFAULT_BOUND;
use crate::plugin::{BuildContext, ConfigError};

/// The first part of a counter's name: the resource that a block is written on, and the block as written. The same in every
/// gateway that has this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    name: String,
    version: String,
}

impl Owner {
    /// The owner of the counters of a block.
    pub(crate) fn of(cx: &BuildContext<'_>, config: &impl std::fmt::Debug) -> Self {
        let version = version(cx, config);
        Self { name: format!("{}:{version}", cx.scope().path()), version }
    }

    /// The owner of counters that blocks of a group share.
    pub(crate) fn group(name: &str) -> Self {
        Self { name: name.to_owned(), version: String::new() }
    }

    /// Its name, before a `:` and the key.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The block's part of it.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

/// Tells a block from any other one. Two spellings of the same values are one block.
fn version(cx: &BuildContext<'_>, config: &impl std::fmt::Debug) -> String {
    let mut text = String::new();
    match cx.block() {
        Some(block) => write_object(block, &mut text),
        // built in code, there is no block as written
        None => text = format!("{config:?}"),
    }
    let hash = blake3::hash(text.as_bytes());
    hash.to_hex().chars().take(16).collect()
}

/// JSON with the keys in order and one form for each number.
fn write_object(object: &Map<String, Value>, out: &mut String) {
    let mut fields: Vec<_> = object.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    out.push('{');
    for (name, value) in fields {
        out.push_str(&Value::from(name.as_str()).to_string());
        out.push(':');
        write_value(value, out);
        out.push(',');
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(values) => {
            out.push('[');
            for value in values {
                write_value(value, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Number(number) => match number.as_f64().and_then(super::whole) {
            Some(whole) => out.push_str(&whole.to_string()),
            None => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}

/// `tollgate.plugin_attr.<limiter>`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StoreAttr {
    /// Keys that the limiter keeps in this process at most.
    max_keys: usize,
}

impl Default for StoreAttr {
    fn default() -> Self {
        Self { max_keys: DEFAULT_BOUND }
    }
}

impl StoreAttr {
    /// How many keys the limiter is to keep.
    pub(crate) fn max_keys(cx: &BuildContext<'_>, plugin: &'static str) -> Result<usize, ConfigError> {
        let attr: Self = cx.attr(plugin)?.unwrap_or_default();
        if attr.max_keys == 0 {
            let field = format!("tollgate.plugin_attr.{plugin}.max_keys");
            return Err(ConfigError::invalid(plugin, field, "needs 1 or more"));
        }
        Ok(attr.max_keys)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::Scope;

    fn version_of(block: &Value) -> String {
        let scope = Scope::Route("1".into());
        let cx = BuildContext::new(&scope);
        version(&cx.with_block(block.as_object().unwrap()), &())
    }

    #[test]
    fn spelling_does_not_count_and_values_do() {
        let block = version_of(&json!({"count": 2, "time_window": 60, "rules": [{"a": 1, "b": 2.5}]}));
        assert_eq!(block.len(), 16);
        assert_eq!(block, version_of(&json!({"rules": [{"b": 2.5, "a": 1.0}], "time_window": 60.0, "count": 2})));
        for other in [
            json!({"count": 3, "time_window": 60, "rules": [{"a": 1, "b": 2.5}]}),
            json!({"count": "2", "time_window": 60, "rules": [{"a": 1, "b": 2.5}]}),
            json!({"count": 2, "time_window": 60, "rules": [{"a": 1}, {"b": 2.5}]}),
            json!({"count": 2, "time_window": 60, "rules": [{"a": 1, "b": 2.5}], "key": "x"}),
        ] {
            assert_ne!(block, version_of(&other), "{other}");
        }
    }

    #[test]
    fn the_name_is_the_same_in_every_process() {
        let block = json!({"count": 2, "time_window": 60});
        let scope = Scope::Consumer("acme".into());
        let cx = BuildContext::new(&scope);
        let owner = Owner::of(&cx.with_block(block.as_object().unwrap()), &());
        assert_eq!(owner.name(), "consumers/acme:68351115cb6874a1");
    }
}
