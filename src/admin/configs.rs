//! `/configs`: the whole configuration in one call (config-sources.md §4).
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::answer::Answer;
use super::api::{Call, Note, Shared};
use super::body::read_document;
use super::plan::{Plan, object};
use super::read::parsed;
use super::redact;
use super::validate::invalid;
use super::write::{RETRIES, name, newest};
use crate::Body;
use crate::model::{Id, Kind, by_id, by_id_of};
use crate::store::{Guard, Key, StoreError, View};

const DIGEST: HeaderName = HeaderName::from_static("x-digest");
const LAST_MODIFIED: HeaderName = HeaderName::from_static("x-last-modified");

/// The last document that was accepted. One is taken after the other.
#[derive(Default)]
pub(super) struct Configs(Mutex<Arc<Accepted>>);

#[derive(Clone, Default)]
struct Accepted {
    digest: Option<String>,
    /// Unix seconds.
    at: u64,
    document: Map<String, Value>,
    versions: BTreeMap<&'static str, u64>,
    /// The `modifiedIndex` that items came with.
    indexes: BTreeMap<Key, u64>,
    /// Kinds that came in a version which was there already. They stay as they are, in the store as well.
    untouched: HashSet<Kind>,
}

impl Shared {
    /// The last document that was accepted, with the version of each kind.
    pub(super) async fn read_configs(&self, call: &Call) -> Result<Answer, Answer> {
        let accepted = self.configs()?.0.lock().await;
        let mut body = accepted.document.clone();
        for (kind, id, place) in items_of(&accepted.document) {
            let item = body.get_mut(kind.root_key()).and_then(|list| list.get_mut(place));
            if let (Some(key), Some(item)) = (key(kind, id.as_str()), item) {
                self.hide(call.caller.role, &key, item);
            }
        }
        for kind in Kind::LISTS {
            let version = accepted.versions.get(kind.root_key()).copied().unwrap_or(0);
            body.insert(version_key(kind), version.into());
        }
        Ok(accepted.tell(Answer::ok(Value::Object(body))))
    }

    /// Replaces everything by a document.
    pub(super) async fn replace_configs(
        self: &Arc<Self>,
        call: Call,
        body: Body,
        note: &mut Note,
    ) -> Result<Answer, Answer> {
        let configs = self.configs()?;
        call.unconditional()?;
        let digest = call.field(DIGEST).map(str::to_owned);
        let digest = digest.ok_or_else(|| Answer::bad("missing digest header"))?;
        let document = object(read_document(&call.headers, body).await?)?;
        let mut accepted = configs.0.lock().await;
        if accepted.digest.as_ref() == Some(&digest) {
            return Ok(accepted.tell(Answer::empty(StatusCode::NO_CONTENT)));
        }
        let mut view = self.mirror.view();
        let (shared, before, now) = (Arc::clone(self), Arc::clone(&accepted), Arc::clone(&view));
        let mut next = off_runtime(move || {
            let mut next = before.next(document)?;
            next.restore_secrets(&shared, &now)?;
            Ok(next)
        })
        .await?;
        let faults = self.judge_document(Value::Object(next.document.clone())).await?;
        if !faults.is_empty() {
            return Err(invalid(faults));
        }
        for round in 0.. {
            let (before, now) = (Arc::clone(&accepted), Plan::new(Arc::clone(&view)));
            let plan;
            (next, plan) = off_runtime(move || {
                let plan = next.plan(now, &before)?;
                Ok((next, plan))
            })
            .await?;
            plan.note(self, note);
            if call.query.is_true("dry_run") {
                return self.preview(plan, StatusCode::ACCEPTED).await;
            }
            if plan.changes.is_empty() {
                break;
            }
            match self.commit(&plan, &call, note).await {
                Ok(_) => break,
                Err(StoreError::Conflict) if round < RETRIES => view = newest(&self.mirror, &view).await,
                Err(error) => return Err(plan.not_made(error)),
            }
        }
        next.digest = Some(digest);
        next.at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        *accepted = Arc::new(next);
        Ok(accepted.tell(Answer::empty(StatusCode::ACCEPTED)))
    }

    fn configs(&self) -> Result<&Configs, Answer> {
        let off = || Answer::error(StatusCode::NOT_FOUND, "the configuration is changed by single items here");
        self.configs.as_ref().ok_or_else(off)
    }
}

impl Accepted {
    fn tell(&self, answer: Answer) -> Answer {
        let digest = self.digest.as_ref().and_then(|digest| HeaderValue::try_from(digest).ok());
        let answer = match digest {
            Some(digest) => answer.with(DIGEST, digest),
            None => answer,
        };
        answer.with(LAST_MODIFIED, self.at.into())
    }

    /// What is there once a document is accepted: kinds of the version that is there already stay as they are.
    fn next(&self, mut document: Map<String, Value>) -> Result<Self, Answer> {
        let mut next = Self { versions: self.versions.clone(), ..Self::default() };
        for kind in Kind::LISTS {
            let root = kind.root_key();
            let current = self.versions.get(root).copied().unwrap_or(0);
            let version = match document.remove(&version_key(kind)) {
                None => current.checked_add(1).ok_or_else(|| Answer::bad("there is no later version"))?,
                Some(version) => version
                    .as_u64()
                    .ok_or_else(|| Answer::bad(format!("{} must be a whole number", version_key(kind))))?,
            };
            if version < current {
                let message = format!("{} must be greater than or equal to ({current})", version_key(kind));
                return Err(Answer::bad(message));
            }
            let list = document.remove(root);
            next.versions.insert(root, version);
            if version == current {
                next.untouched.insert(kind);
                if let Some(list) = self.document.get(root) {
                    next.document.insert(root.to_owned(), list.clone());
                }
                let own = self.indexes.iter().filter(|(key, _)| section(key.kind()) == kind);
                next.indexes.extend(own.map(|(key, index)| (key.clone(), *index)));
            } else if let Some(mut list) = list {
                next.take_indexes(kind, &mut list);
                next.document.insert(root.to_owned(), list);
            }
        }
        match document.keys().next() {
            Some(key) => Err(Answer::bad(format!("`{key}` is no kind of resource"))),
            None => Ok(next),
        }
    }

    /// Puts stored secrets where `[redacted]` stands, so that what was read can be put.
    fn restore_secrets(&mut self, shared: &Shared, view: &View) -> Result<(), Answer> {
        let items: Vec<_> = items_of(&self.document)
            .into_iter()
            .filter_map(|(kind, id, place)| Some((kind, key(kind, id.as_str())?, place)))
            .collect();
        for (kind, key, place) in items {
            let item = self.document.get_mut(kind.root_key()).and_then(|list| list.get_mut(place));
            let Some(item) = item else { continue };
            let stored = view.get(key.as_str()).map(|entry| parsed(entry));
            redact::restore(&shared.sealing, &key, item, stored.as_ref())?;
        }
        Ok(())
    }

    /// Takes `modifiedIndex` and `createdIndex` off the items, which are none of their fields.
    fn take_indexes(&mut self, kind: Kind, list: &mut Value) {
        let document = json!({ kind.root_key(): list.clone() });
        let places: BTreeMap<usize, Id> = by_id(&document).into_iter().map(|((_, id), place)| (place, id)).collect();
        for (place, item) in list.as_array_mut().into_iter().flatten().enumerate() {
            let Some(item) = item.as_object_mut() else { continue };
            item.remove("createdIndex");
            let index = item.remove("modifiedIndex").and_then(|index| index.as_u64());
            if let (Some(index), Some(key)) = (index, places.get(&place).and_then(|id| key(kind, id.as_str()))) {
                self.indexes.insert(key, index);
            }
        }
    }

    /// What has to change for the store to be this.
    fn plan(&self, mut plan: Plan, before: &Self) -> Result<Plan, Answer> {
        let view = Arc::clone(&plan.view);
        plan.guards.push(Guard::Unchanged { prefix: String::new(), since: view.revision() });
        let mut wanted: BTreeMap<Key, Value> = BTreeMap::new();
        for (kind, id, place) in items_of(&self.document) {
            let value = self.document.get(kind.root_key()).and_then(|list| list.get(place));
            if let (Some(key), Some(value)) = (key(kind, id.as_str()), value) {
                let mut value = value.clone();
                name(&key, &mut value);
                wanted.insert(key, value);
            }
        }
        if let (Some(list), Some(key)) = (self.document.get(Key::PLUGINS), Key::new(Kind::Plugin, "")) {
            wanted.insert(key, list.clone());
        }
        let touched = |key: &Key| !self.untouched.contains(&section(key.kind()));
        wanted.retain(|key, _| touched(key));
        let gone = view.range("").map(|(key, _)| key);
        let gone: Vec<_> = gone.filter(|key| touched(key) && !wanted.contains_key(*key)).collect();
        gone.iter().for_each(|key| plan.guard_item(key));
        plan.remove(gone);
        for (key, value) in wanted {
            let there = view.get(key.as_str()).is_some();
            let index = self.indexes.get(&key);
            if there && index.is_some() && index == before.indexes.get(&key) {
                continue;
            }
            plan.put_if_other(&key, value)?;
        }
        Ok(plan)
    }
}

/// Does work that may be of a whole configuration where it holds nobody up.
async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Answer> + Send + 'static,
) -> Result<T, Answer> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Answer::internal())?
}

/// The kind in whose list items of a kind stand.
fn section(kind: Kind) -> Kind {
    if kind == Kind::Credential { Kind::Consumer } else { kind }
}

/// The items of a document with their places in the lists of their kinds.
fn items_of(document: &Map<String, Value>) -> Vec<(Kind, Id, usize)> {
    let kind = |root: &str| Kind::LISTS.into_iter().find(|kind| kind.root_key() == root && *kind != Kind::Plugin);
    let places = by_id_of(document).into_iter();
    places.filter_map(|((root, id), place)| Some((kind(root)?, id, place))).collect()
}

fn key(kind: Kind, id: &str) -> Option<Key> {
    match kind {
        Kind::Consumer if id.contains('/') => Key::new(Kind::Credential, id),
        kind => Key::new(kind, id),
    }
}

fn version_key(kind: Kind) -> String {
    format!("{}_conf_version", kind.root_key())
}
