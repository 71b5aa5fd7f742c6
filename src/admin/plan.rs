//! [`Plan`]: the items that a write changes, judged against one look at the store, and the transaction that makes the
//! change if the look still holds.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::api::{Note, Shared};
use super::audit::ChangeOf;
use super::item::{self, Item, Typed};
use super::read::parsed;
use super::references::{self, Reference};
use crate::model::{AdminRole, Finding, Id, Kind, Rejected, Snapshot};
use crate::store::{Edit, Guard, Key, StoreError, Transaction, View};

/// Changes that every store takes at once; etcd takes no more unless told so.
const TRANSACTION: usize = 128;

/// What a write does.
pub(super) struct Plan {
    /// What it was made from.
    pub(super) view: Arc<View>,
    pub(super) changes: Vec<Change>,
    pub(super) guards: Vec<Guard>,
    /// The configuration with the changes.
    pub(super) candidate: Snapshot,
    /// Doubts.
    pub(super) findings: Vec<Finding>,
    /// Where among the changes the one of a key is.
    places: HashMap<Key, usize>,
}

/// What becomes of one item. Values are as written, secrets in clear.
pub(super) struct Change {
    pub(super) key: Key,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    /// What it is afterwards, typed.
    pub(super) item: Option<Arc<dyn Item>>,
    pub(super) ttl: Option<Duration>,
}

impl Plan {
    pub(super) fn new(view: Arc<View>) -> Self {
        let candidate = view.snapshot().clone();
        Self { view, changes: Vec::new(), guards: Vec::new(), candidate, findings: Vec::new(), places: HashMap::new() }
    }

    /// The value of an item as it stands.
    pub(super) fn stored(&self, key: &Key) -> Option<Value> {
        self.view.get(key.as_str()).map(|entry| parsed(entry))
    }

    /// Puts an item, and gives its wire form with defaults. References are judged by [`Plan::judge_references`], when all
    /// items are in.
    ///
    /// # Errors
    /// 400 for what is none of its kind.
    pub(super) fn put(&mut self, key: &Key, written: &Value, ttl: Option<Duration>) -> Result<Vec<Reference>, Answer> {
        let unknown = self.candidate.settings.unknown_fields;
        let read = item::read(key.kind(), key.id(), written, unknown);
        let Some(read) = read else {
            return Err(Answer::bad(format!("no store has items of the kind {}", key.kind())));
        };
        let Typed { item, value, findings } = read.map_err(|rejected| refused(&rejected))?;
        let references = item.references();
        self.forget_rejected(key);
        Arc::clone(&item).put(&mut self.candidate);
        self.findings.extend(findings);
        let before = self.stored(key);
        self.change(Change { key: key.clone(), before, after: Some(value), item: Some(item), ttl });
        Ok(references)
    }

    /// Puts an item unless it is there just so, whatever its times; a predecessor's time of creation is kept, unless another
    /// is written.
    ///
    /// # Errors
    /// As [`Plan::put`].
    pub(super) fn put_if_other(&mut self, key: &Key, mut written: Value) -> Result<Vec<Reference>, Answer> {
        let stored = self.stored(key);
        let created = stored.as_ref().and_then(|stored| stored.get("create_time"));
        if let (Some(created), Some(object)) = (created, written.as_object_mut()) {
            object.entry("create_time").or_insert_with(|| created.clone());
        }
        let references = self.put(key, &written, None)?;
        let same = |change: &Change| change.after.as_ref().map(timeless) == stored.as_ref().map(timeless);
        if self.drop_last_if(same) {
            return Ok(Vec::new());
        }
        self.guard_item(key);
        Ok(references)
    }

    /// Makes an item what it was, unless that is what it is.
    ///
    /// # Errors
    /// As [`Plan::put`].
    pub(super) fn put_back(&mut self, key: &Key, was: &Value) -> Result<Vec<Reference>, Answer> {
        let references = self.put(key, was, None)?;
        if self.drop_last_if(|change| change.before == change.after) {
            return Ok(Vec::new());
        }
        self.guard_item(key);
        Ok(references)
    }

    fn drop_last_if(&mut self, condition: impl Fn(&Change) -> bool) -> bool {
        let dropped = self.changes.pop_if(|change| condition(change));
        if let Some(change) = &dropped {
            self.places.remove(&change.key);
        }
        dropped.is_some()
    }

    fn change(&mut self, change: Change) {
        self.places.insert(change.key.clone(), self.changes.len());
        self.changes.push(change);
    }

    /// Takes items out.
    pub(super) fn remove<'k>(&mut self, keys: impl IntoIterator<Item = &'k Key>) {
        let mut kinds: HashMap<Kind, HashSet<&str>> = HashMap::new();
        for key in keys {
            self.forget_rejected(key);
            kinds.entry(key.kind()).or_default().insert(key.id());
            let before = self.stored(key);
            self.change(Change { key: key.clone(), before, after: None, item: None, ttl: None });
        }
        for (kind, ids) in &kinds {
            item::remove(&mut self.candidate, *kind, ids);
        }
    }

    /// What an item will be when the change is made; `None` when it will not be there.
    fn afterwards(&self, key: &Key) -> Option<Value> {
        match self.places.get(key).and_then(|at| self.changes.get(*at)) {
            Some(change) => change.after.clone(),
            None => self.stored(key),
        }
    }

    /// What could not be read of an item that is replaced or removed is no fault any more.
    fn forget_rejected(&mut self, key: &Key) {
        let is_it = |id: &Option<Id>| id.as_ref().is_some_and(|id| id.as_str() == key.id());
        self.candidate.rejected.retain(|rejected| rejected.kind != key.kind() || !is_it(&rejected.id));
    }

    /// The item must be the one that was looked at.
    pub(super) fn guard_item(&mut self, key: &Key) {
        let at = self.view.get(key.as_str()).map_or(0, |entry| entry.modified);
        self.guards.push(Guard::Modified { key: key.clone(), at });
    }

    /// No item of a kind may have come or changed since the look.
    pub(super) fn guard_kind(&mut self, kind: Kind) {
        let guard = Guard::Unchanged { prefix: Key::folder(kind), since: self.view.revision() };
        if !self.guards.contains(&guard) {
            self.guards.push(guard);
        }
    }

    /// Whether the references of an item lead somewhere, and will when the change is made.
    ///
    /// # Errors
    /// 400 for the first that does not.
    pub(super) fn judge_references(&mut self, from: &Key, references: &[Reference]) -> Result<(), Answer> {
        for reference in references.iter().filter(|reference| references::must_exist(reference.kind)) {
            let key = Key::new(reference.kind, &reference.id);
            let there = key.as_ref().and_then(|key| self.afterwards(key));
            if let Some(fault) = references::fault(from.id(), reference, there.as_ref()) {
                return Err(Answer::bad(fault));
            }
            let Some(key) = key.filter(|key| !self.places.contains_key(key)) else { continue };
            match reference.kind {
                // Of these more counts than that they are there.
                Kind::Ssl | Kind::StreamRoute => self.guard_item(&key),
                _ => self.guards.push(Guard::Exists(key)),
            }
        }
        Ok(())
    }

    /// Whether a rule's plugins are in no other rule.
    ///
    /// # Errors
    /// 400 for the first that is.
    pub(super) fn judge_global_rule(&mut self, key: &Key) -> Result<(), Answer> {
        let rules = &self.candidate.global_rules;
        let Some(own) = rules.find(key.id()) else { return Ok(()) };
        for rule in rules.iter().filter(|rule| rule.id != own.id) {
            if let Some((name, _)) = own.plugins.iter().find(|(name, _)| rule.plugins.get(name).is_some()) {
                return Err(Answer::bad(format!("plugin {name} is already in the global rule [{}]", rule.id)));
            }
        }
        self.guard_kind(Kind::GlobalRule);
        Ok(())
    }

    /// Why it was not made.
    pub(super) fn not_made(&self, error: StoreError) -> Answer {
        match error {
            StoreError::Refused { message, .. } if self.changes.len() > TRANSACTION => Answer::error(
                http::StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "{} changes at once are too many for the store, nothing was changed: {message}",
                    self.changes.len()
                ),
            ),
            error => error.into(),
        }
    }

    /// The ids of what is changed.
    pub(super) fn changed(&self) -> Vec<(Kind, Id)> {
        self.changes.iter().map(|change| (change.key.kind(), change.key.to_id())).collect()
    }

    /// The transaction.
    pub(super) fn transaction(&self, by: &Arc<str>) -> Transaction {
        let edits = self.changes.iter().map(|change| match &change.after {
            Some(value) => Edit::Put { key: change.key.clone(), value: Bytes::from(text(value)), ttl: change.ttl },
            None => Edit::Delete { key: change.key.clone() },
        });
        Transaction { guards: self.guards.clone(), edits: edits.collect(), by: Some(Arc::clone(by)) }
    }

    /// What the audit log says of the changes.
    pub(super) fn note(&self, shared: &Shared, note: &mut Note) {
        let digest = |key: &Key, value: &Option<Value>| {
            let mut value = value.clone()?;
            shared.hide(AdminRole::Viewer, key, &mut value);
            Some(blake3::hash(text(&value).as_bytes()).to_hex().to_string())
        };
        let change = |change: &Change| ChangeOf {
            key: change.key.to_string(),
            before: digest(&change.key, &change.before),
            after: digest(&change.key, &change.after),
        };
        note.changes = self.changes.iter().map(change).collect();
    }
}

/// An item as text: the same one for the same item, in whatever order it was written.
fn text(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

fn timeless(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.remove("create_time");
        object.remove("update_time");
    }
    value
}

/// 400 with all that is wrong with an item.
pub(super) fn refused(rejected: &Rejected) -> Answer {
    let faults: Vec<_> = rejected.findings.iter().filter(|finding| finding.is_error()).collect();
    faulty(&faults)
}

/// 400 with these faults, in words and one by one.
pub(super) fn faulty(faults: &[&Finding]) -> Answer {
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    Answer::json(
        http::StatusCode::BAD_REQUEST,
        json!({ "error_msg": format!("invalid configuration: {}", texts.join("; ")), "findings": faults }),
    )
}

/// An object, or 400.
pub(super) fn object(value: Value) -> Result<Map<String, Value>, Answer> {
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Answer::bad("invalid request body: is no object")),
    }
}
