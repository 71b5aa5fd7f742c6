//! `diff` and `apply`: from what a store has to what a file says.
use std::collections::BTreeMap;
use std::path::Path;

use http::Method;
use serde_json::Value;
use tollgate::BoxError;
use tollgate::config::FileSource;

use super::client::Client;
use super::items::{self, Item, KINDS};

/// Where the list of plugins of a store stands, and who writes it.
pub(super) const PLUGINS: &str = "the plugins that a store enables are its key `<prefix>/plugins`, such as \
     `/apisix/plugins` of an etcd store: write it by etcdctl";

/// What became of a plan.
pub(super) struct Outcome {
    pub(super) made: usize,
    /// Why it ended early, and the exit code for that.
    pub(super) error: Option<(String, u8)>,
}

/// What is to be done.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) created: Vec<Item>,
    /// With the operations that lead from the one to the other (RFC 6902).
    pub(super) changed: Vec<(Item, Vec<Value>)>,
    /// Paths of what is to go, those first that refer to others.
    pub(super) removed: Vec<String>,
    /// Items that are not in the file and stay.
    pub(super) kept: usize,
    pub(super) unchanged: usize,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.created.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares a file with the store.
pub(super) async fn plan(client: &mut Client, file: &Path, prune: bool) -> Result<Plan, BoxError> {
    let document = FileSource::new(file).document(&std::fs::read(file)?)?;
    if document.get("plugins").is_some() {
        eprintln!("warning: the list `plugins` is left out: {PLUGINS}");
    }
    let mut stored = stored(client).await?;
    let mut plan = Plan::default();
    for item in items::of(&document)? {
        let Some(is) = stored.remove(&item.path) else {
            plan.created.push(item);
            continue;
        };
        if items::bare(&is) == item.value {
            plan.unchanged += 1;
            continue;
        }
        // Only the Admin API knows what secrets and defaults make of it.
        let answer = client.send(Method::PUT, &format!("{}?dry_run=true", item.path), Some(&item.value)).await?;
        let patch = answer.body.pointer("/changes/0/patch").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_time = |operation: &Value| {
            let path = operation.get("path").and_then(Value::as_str);
            matches!(path, Some("/create_time" | "/update_time"))
        };
        if answer.is_success() && patch.iter().all(is_time) {
            plan.unchanged += 1;
        } else {
            plan.changed.push((item, patch.into_iter().filter(|operation| !is_time(operation)).collect()));
        }
    }
    plan.kept = stored.len();
    if prune {
        plan.kept = 0;
        plan.removed = stored.into_keys().collect();
        plan.removed.sort_by_key(|path| std::cmp::Reverse((items::rank(path), path.contains("/credentials/"))));
    }
    Ok(plan)
}

/// Everything that the store has, by path.
async fn stored(client: &mut Client) -> Result<BTreeMap<String, Value>, BoxError> {
    let mut stored = BTreeMap::new();
    for kind in KINDS {
        let found = list(client, kind).await?;
        if kind == "consumers" {
            for consumer in found.keys() {
                stored.extend(list(client, &format!("{consumer}/credentials")).await?);
            }
        }
        stored.extend(found);
    }
    Ok(stored)
}

async fn list(client: &mut Client, path: &str) -> Result<BTreeMap<String, Value>, BoxError> {
    let answer = client.send(Method::GET, path, None).await?;
    if !answer.is_success() {
        // L4 may be off, and is then refused on every verb.
        if path == "stream_routes" && answer.status == http::StatusCode::BAD_REQUEST {
            return Ok(BTreeMap::new());
        }
        return Err(format!("{path}: {}", super::show::fault(&answer)).into());
    }
    let list = answer.body.get("list").and_then(Value::as_array).into_iter().flatten();
    let item = |entry: &Value| {
        let key = entry.get("key")?.as_str()?;
        let path = key.strip_prefix("/apisix/").unwrap_or(key.trim_start_matches('/'));
        Some((path.to_owned(), entry.get("value")?.clone()))
    };
    Ok(list.filter_map(item).collect())
}

/// Does it, and stops at the first refusal.
pub(super) async fn run(client: &mut Client, plan: &Plan) -> Outcome {
    let mut writes: Vec<&Item> = plan.created.iter().chain(plan.changed.iter().map(|(item, _)| item)).collect();
    writes.sort_by_key(|item| (items::rank(&item.path), item.path.contains("/credentials/")));
    let puts = writes.iter().map(|item| (Method::PUT, item.path.as_str(), Some(&item.value)));
    let deletes = plan.removed.iter().map(|path| (Method::DELETE, path.as_str(), None));
    let mut made = 0;
    for (method, path, value) in puts.chain(deletes) {
        let answer = match client.send(method, path, value).await {
            Ok(answer) => answer,
            Err(error) => return Outcome { made, error: Some((format!("{path}: {error}"), 2)) },
        };
        // A credential goes with its consumer.
        let is_gone = value.is_none() && answer.status == http::StatusCode::NOT_FOUND;
        if !answer.is_success() && !is_gone {
            return Outcome { made, error: Some((format!("{path}: {}", super::show::fault(&answer)), 1)) };
        }
        made += 1;
    }
    Outcome { made, error: None }
}
