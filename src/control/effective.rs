//! `/v1/route/{id}/effective`: which plugins run, in which order, and where each block comes from.
use serde_json::{Map, Value, json};

use super::api::Inner;
use super::reply;
use crate::Response;
use crate::gateway::{Effective, NoEffect};
use crate::model::{Id, Kind};
use crate::plugin::Stage;

/// The answer for a route and the argument `consumer`.
pub(super) fn answer(inner: &Inner, route: &str, query: Option<&str>) -> Response {
    let mut consumer = None;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*name {
            "consumer" => consumer = Some(value.into_owned()),
            other => return reply::bad_request(format!("`{other}` is not known: there is `consumer`")),
        }
    }
    match inner.gateway.effective(route, consumer.as_deref()) {
        Ok(effective) => reply::json(&told(inner, route, consumer.as_deref(), effective)),
        Err(error @ NoEffect::Route) => reply::not_found(format!("route `{route}`: {error}")),
        Err(error) => reply::not_found(format!("consumer `{}`: {error}", consumer.unwrap_or_default())),
    }
}

fn told(inner: &Inner, route: &str, consumer: Option<&str>, effective: Effective) -> Value {
    let plugins = effective.blocks.into_iter().map(|block| {
        let mut config = block.config;
        let opens = fails_open(&config);
        inner.secrets.redact_block(block.plugin, &mut config);
        json!({
            "name": block.plugin,
            "stage": stage(block.stage),
            "priority": block.priority,
            "from": from(&block.from),
            "on_failure": if opens { "open" } else { "closed" },
            "config": config,
        })
    });
    let plugins: Vec<_> = plugins.collect();
    let hidden = effective.hidden.into_iter();
    let hidden: Vec<_> =
        hidden.map(|block| json!({"name": block.plugin, "from": from(&block.from), "why": block.why})).collect();
    json!({"route": route, "consumer": consumer, "broken": effective.broken, "plugins": plugins, "hidden": hidden})
}

/// Whether requests pass where what the block asks does not answer: only where the block says so.
fn fails_open(config: &Map<String, Value>) -> bool {
    match config.get("degradation").and_then(Value::as_str) {
        Some(way) => way != "reject",
        None => config.get("allow_degradation") == Some(&Value::Bool(true)),
    }
}

fn from((kind, id): &(Kind, Id)) -> Value {
    json!({"kind": kind.root_key(), "id": id.as_str()})
}

/// A stage in a word.
pub(super) fn stage(stage: Stage) -> String {
    format!("{stage:?}").to_lowercase()
}
