//! What comes out of a store: texts are parsed, and secrets in them decrypted.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::assemble::{Changed, parse};
use crate::store::sealing::SEALED;
use crate::store::{Change, Edited, Entries, Entry, Key, Sealing};

/// Takes items in.
pub(super) struct Intake {
    sealing: Arc<Sealing>,
    /// The texts as they are stored, of items that have encrypted secrets.
    stored: HashMap<Key, Bytes>,
}

impl Intake {
    pub(super) fn new(sealing: Arc<Sealing>) -> Self {
        Self { sealing, stored: HashMap::new() }
    }

    /// Takes an item in: as it is to be shown, and as it is to be read.
    fn take(&mut self, key: Key, entry: Option<Entry>) -> (Option<Arc<Entry>>, Changed) {
        self.stored.remove(&key);
        let Some(mut entry) = entry else { return (None, Changed { key, value: None }) };
        let value = self.open(&key, &entry.value).map(|(value, text)| {
            if let Some(text) = text {
                let stored = std::mem::replace(&mut entry.value, text);
                self.stored.insert(key.clone(), stored);
            }
            value
        });
        (Some(Arc::new(entry)), Changed { key, value: Some(value) })
    }

    /// The value with its secrets, and the text of it if that is not the one that is stored.
    fn open(&self, key: &Key, text: &[u8]) -> Result<(Value, Option<Bytes>), String> {
        let mut value = parse(text)?;
        let stored = self.sealing.keyring().map(|_| value.clone());
        self.sealing.open(key, &mut value).map_err(|error| format!("{}: {}", error.field, error.fault))?;
        let is_other = stored.is_some_and(|stored| stored != value);
        let shown = is_other.then(|| Bytes::from(value.to_string()));
        // Of a plugin that is not known here nobody knows the secrets: what is encrypted must not pass for one.
        let is_sealed = |text: &[u8]| std::str::from_utf8(text).is_ok_and(|text| text.contains(&format!("\"{SEALED}")));
        if is_sealed(shown.as_deref().unwrap_or(text)) {
            return Err("has an encrypted field of a plugin that is not known here".to_owned());
        }
        Ok((value, shown))
    }

    /// What differs between what is known and what was read of the whole store.
    pub(super) fn difference(&mut self, known: &Entries, read: Vec<(Key, Entry)>) -> (Vec<Edited>, Vec<Changed>) {
        let (mut edits, mut changes) = (Vec::new(), Vec::new());
        let mut edit = |intake: &mut Self, key: &Key, before: Option<&Arc<Entry>>, entry: Option<Entry>| {
            let (after, changed) = intake.take(key.clone(), entry);
            // What was stored encrypted is compared as it is shown.
            if before == after.as_ref() {
                return;
            }
            edits.push(Edited { key: key.clone(), before: before.cloned(), after });
            changes.push(changed);
        };
        let mut old = known.iter().peekable();
        for (key, entry) in read {
            while let Some((gone, before)) = old.next_if(|(old, _)| **old < key) {
                edit(self, gone, Some(before), None);
            }
            let before = old.next_if(|(old, _)| **old == key).map(|(_, before)| before);
            if !before.is_some_and(|before| self.is_same(&key, before, &entry)) {
                edit(self, &key, before, Some(entry));
            }
        }
        for (gone, before) in old {
            edit(self, gone, Some(before), None);
        }
        (edits, changes)
    }

    fn is_same(&self, key: &Key, known: &Entry, read: &Entry) -> bool {
        (known.created, known.modified) == (read.created, read.modified)
            && *self.stored.get(key).unwrap_or(&known.value) == read.value
    }

    /// An event of a watch; `None` if it says nothing new.
    pub(super) fn event(&mut self, known: &Entries, key: Key, entry: Option<Entry>) -> Option<(Edited, Changed)> {
        let before = known.get(key.as_str()).cloned();
        let is_old = match (&before, &entry) {
            (None, None) => true,
            (Some(before), Some(entry)) => self.is_same(&key, before, entry),
            _ => false,
        };
        if is_old {
            return None;
        }
        let (after, changed) = self.take(key.clone(), entry);
        if before == after {
            return None;
        }
        Some((Edited { key, before, after }, changed))
    }

    /// Changes that the store remembers, with their secrets.
    pub(super) fn remembered(&self, changes: Vec<Arc<Change>>) -> Vec<Arc<Change>> {
        if self.sealing.keyring().is_none() {
            return changes;
        }
        let entry = |key: &Key, entry: &Option<Arc<Entry>>| {
            let entry = entry.as_ref()?;
            match self.open(key, &entry.value) {
                Ok((_, Some(text))) => Some(Arc::new(Entry { value: text, ..Entry::clone(entry) })),
                _ => Some(Arc::clone(entry)),
            }
        };
        let edit = |edit: &Edited| Edited {
            key: edit.key.clone(),
            before: entry(&edit.key, &edit.before),
            after: entry(&edit.key, &edit.after),
        };
        let change = |change: Arc<Change>| {
            let edits = change.edits.iter().map(edit).collect();
            Arc::new(Change { edits, by: change.by.clone(), ..*change })
        };
        changes.into_iter().map(change).collect()
    }
}
