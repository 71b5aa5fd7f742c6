//! `/v1/routes`, `/v1/route/{id}` and their like: the items in force, secrets redacted.
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::api::Inner;
use super::reply;
use crate::Response;
use crate::model::{Items, Kind, Resource, Snapshot};

/// What can be asked for: the words in paths for all of them, and for one.
const SHOWN: [(&str, &str, Kind); 4] = [
    ("routes", "route", Kind::Route),
    ("services", "service", Kind::Service),
    ("upstreams", "upstream", Kind::Upstream),
    ("plugin_metadatas", "plugin_metadata", Kind::PluginMetadata),
];

/// The answer to a path below `/v1/`; `None` if it is none of these.
pub(super) fn answer(inner: &Inner, first: &str, id: Option<&str>) -> Option<Response> {
    let by_word = |&&(all, one, _): &&(&str, &str, Kind)| if id.is_none() { all == first } else { one == first };
    let (_, word, kind) = *SHOWN.iter().find(by_word)?;
    let snapshot = inner.gateway.snapshot();
    Some(match id {
        None => reply::json(&Value::Array(listed(inner, &snapshot, kind, None))),
        Some(id) => match listed(inner, &snapshot, kind, Some(id)).pop() {
            Some(item) => reply::json(&item),
            None => reply::not_found(format!("{word} with id {id} not found", word = word.replace('_', " "))),
        },
    })
}

fn listed(inner: &Inner, snapshot: &Snapshot, kind: Kind, id: Option<&str>) -> Vec<Value> {
    match kind {
        Kind::Route => of(inner, &snapshot.routes, id),
        Kind::Service => of(inner, &snapshot.services, id),
        Kind::Upstream => of(inner, &snapshot.upstreams, id),
        _ => of(inner, &snapshot.plugin_metadata, id),
    }
}

fn of<T: Resource + Serialize>(inner: &Inner, items: &Items<T>, id: Option<&str>) -> Vec<Value> {
    match id {
        None => items.iter().filter_map(|item| shown(inner, &**item)).collect(),
        Some(id) => items.find(id).and_then(|item| shown(inner, &**item)).into_iter().collect(),
    }
}

/// One item: key and value, and where a store has it the revisions of the store.
fn shown<T: Resource + Serialize>(inner: &Inner, item: &T) -> Option<Value> {
    let mut value = serde_json::to_value(item).ok()?;
    inner.secrets.redact(T::KIND, &mut value);
    let key = format!("{}/{}", T::KIND.root_key(), item.id());
    let mut shown = Map::new();
    for (name, revision) in inner.revisions(&key) {
        shown.insert(name.to_owned(), json!(revision));
    }
    shown.insert("key".to_owned(), Value::from(format!("/{key}")));
    shown.insert("value".to_owned(), value);
    Some(Value::Object(shown))
}
