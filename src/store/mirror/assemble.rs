//! From the items of a store to a snapshot: what changed is read, everything else stays the very same.
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::model::{
    Described, EnabledPlugin, Finding, Fold, Items, Kind, Rejected, Snapshot, UnknownFields, read_item,
};
use crate::store::Key;
use crate::syntax::json;

/// How deep an item may nest (security.md CFG-07).
const DEPTH: usize = 64;

/// An item that changed: its JSON value, or why it has none; `None` when it is gone.
pub(super) struct Changed {
    pub(super) key: Key,
    pub(super) value: Option<Result<Value, String>>,
}

/// Parses the text of an item.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8 text".to_owned())?;
    json::parse(text, DEPTH).map_err(|syntax| format!("is no JSON: {}", syntax.message))
}

/// What becomes of snapshots with each change of their store.
pub(super) struct Assembler {
    unknown_fields: UnknownFields,
    rejected: BTreeMap<Key, Rejected>,
    warnings: BTreeMap<Key, Vec<Finding>>,
}

impl Assembler {
    pub(super) fn new(unknown_fields: UnknownFields) -> Self {
        Self { unknown_fields, rejected: BTreeMap::new(), warnings: BTreeMap::new() }
    }

    /// Items that cannot be read.
    pub(super) fn rejected(&self) -> usize {
        self.rejected.len()
    }

    /// The snapshot after `before`.
    pub(super) fn apply(&mut self, before: &Snapshot, changes: Vec<Changed>) -> Snapshot {
        let mut by_kind: HashMap<Kind, Vec<Changed>> = HashMap::new();
        for change in changes {
            self.rejected.remove(&change.key);
            self.warnings.remove(&change.key);
            by_kind.entry(change.key.kind()).or_default().push(change);
        }
        for list in by_kind.values_mut() {
            list.sort_by(|a, b| a.key.id().cmp(b.key.id()));
        }
        let enabled = by_kind.remove(&Kind::Plugin).and_then(|mut list| list.pop());
        let mut edit = Edit { assembler: self, by_kind };
        let mut snapshot = before.clone().fold(before, &mut edit);
        if let Some(enabled) = enabled {
            snapshot.plugins = self.enabled(enabled, before);
        }
        snapshot.rejected = self.rejected.values().cloned().collect();
        snapshot.warnings = self.warnings.values().flatten().cloned().collect();
        snapshot
    }

    /// The list of enabled plugins is one item.
    fn enabled(&mut self, changed: Changed, before: &Snapshot) -> Option<Items<EnabledPlugin>> {
        let list = match changed.value? {
            Ok(Value::Array(list)) => list,
            Ok(_) => return self.faulty(changed.key, "is no list", before),
            Err(fault) => return self.faulty(changed.key, &fault, before),
        };
        let mut plugins = Vec::with_capacity(list.len());
        for value in &list {
            let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
            match read_item::<EnabledPlugin>(&name.into(), value, self.unknown_fields) {
                Ok((plugin, _)) => plugins.push(Arc::new(plugin)),
                Err(rejected) => {
                    let fault = rejected.findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ");
                    return self.faulty(changed.key, &fault, before);
                }
            }
        }
        Some(plugins.into())
    }

    fn faulty(&mut self, key: Key, fault: &str, before: &Snapshot) -> Option<Items<EnabledPlugin>> {
        let finding = Finding::error(Kind::Plugin, None, "", fault);
        let rejected =
            Rejected { kind: Kind::Plugin, id: None, index: None, match_part: None, findings: vec![finding] };
        self.rejected.insert(key, rejected);
        before.plugins.clone()
    }
}

/// Changes on their way into the lists.
struct Edit<'a> {
    assembler: &'a mut Assembler,
    by_kind: HashMap<Kind, Vec<Changed>>,
}

impl Edit<'_> {
    /// The item that there is now; `None` when there is none that can be read.
    fn read<T: Described>(&mut self, key: Key, value: Option<Result<Value, String>>) -> Option<Arc<T>> {
        let id = key.to_id();
        let read = match value? {
            Ok(value) => read_item::<T>(&id, &value, self.assembler.unknown_fields),
            Err(fault) => {
                let finding = Finding::error(T::KIND, Some(id.clone()), "", fault);
                Err(Rejected { kind: T::KIND, id: Some(id), index: None, match_part: None, findings: vec![finding] })
            }
        };
        match read {
            Ok((item, warnings)) => {
                if !warnings.is_empty() {
                    self.assembler.warnings.insert(key, warnings);
                }
                Some(Arc::new(item))
            }
            Err(rejected) => {
                self.assembler.rejected.insert(key, rejected);
                None
            }
        }
    }
}

impl Fold for Edit<'_> {
    /// Merges the changes into a list, both in the order of ids.
    fn items<T: Described>(&mut self, items: Items<T>, _: &Items<T>) -> Items<T> {
        let Some(changes) = self.by_kind.remove(&T::KIND) else { return items };
        let mut merged: Vec<Arc<T>> = Vec::with_capacity(items.len() + changes.len());
        let mut old = items.iter().peekable();
        let mut differs = false;
        for Changed { key, value } in changes {
            let before = |item: &&&Arc<T>| item.id().as_str() < key.id();
            while let Some(item) = old.next_if(|item| before(&item)) {
                merged.push(Arc::clone(item));
            }
            let is_it = |item: &Arc<T>| item.id().as_str().cmp(key.id()) == Ordering::Equal;
            let was = old.next_if(|item| is_it(item));
            match self.read::<T>(key, value) {
                // What is written the same is the same.
                Some(item) => match was.filter(|was| ***was == *item) {
                    Some(was) => merged.push(Arc::clone(was)),
                    None => {
                        differs = true;
                        merged.push(item);
                    }
                },
                None => differs |= was.is_some(),
            }
        }
        merged.extend(old.cloned());
        if differs { merged.into() } else { items }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.routes.iter().map(|route| route.id.as_str()).collect()
    }

    fn changed(key: &str, value: Option<Value>) -> Changed {
        Changed { key: Key::parse(key).unwrap(), value: value.map(Ok) }
    }

    fn route(uri: &str) -> Option<Value> {
        Some(json!({"uri": uri, "plugins": {}}))
    }

    #[test]
    fn what_does_not_change_stays_the_very_same() {
        let mut assembler = Assembler::new(UnknownFields::Reject);
        let first = vec![
            changed("routes/b", route("/b")),
            changed("routes/a", route("/a")),
            changed("services/s", Some(json!({}))),
        ];
        let first = assembler.apply(&Snapshot::default(), first);
        assert_eq!(ids(&first), ["a", "b"]);
        let same = assembler.apply(&first, vec![changed("routes/a", route("/a"))]);
        assert!(same.routes.is_same(&first.routes));
        let second = assembler.apply(&first, vec![changed("routes/aa", route("/aa")), changed("routes/b", None)]);
        assert_eq!(ids(&second), ["a", "aa"]);
        assert!(Arc::ptr_eq(&second.routes[0], &first.routes[0]) && second.services.is_same(&first.services));
    }

    #[test]
    fn what_cannot_be_read_is_rejected_by_itself() {
        let mut assembler = Assembler::new(UnknownFields::Reject);
        let changes = vec![
            Changed { key: Key::parse("routes/a").unwrap(), value: Some(Err("is no JSON".to_owned())) },
            changed("routes/b", Some(json!({"uri": 7}))),
            changed("routes/c", route("/c")),
            changed("plugins", Some(json!({"name": "cors"}))),
        ];
        let snapshot = assembler.apply(&Snapshot::default(), changes);
        assert_eq!(ids(&snapshot), ["c"]);
        assert_eq!((snapshot.rejected.len(), &snapshot.plugins), (3, &None));
        let mended = vec![changed("routes/b", route("/b")), changed("plugins", Some(json!([{"name": "cors"}])))];
        let snapshot = assembler.apply(&snapshot, mended);
        assert_eq!((ids(&snapshot).len(), snapshot.rejected.len()), (2, 1));
        assert_eq!(snapshot.plugins.as_ref().unwrap().len(), 1);
        let snapshot = assembler.apply(&snapshot, vec![changed("routes/a", None), changed("plugins", None)]);
        assert_eq!((snapshot.rejected.len(), &snapshot.plugins), (0, &None));
    }
}
