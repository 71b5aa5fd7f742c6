//! [`Change`]: what a transaction did, as the history keeps it.
use std::sync::Arc;
use std::time::SystemTime;

use super::{Batch, Entry, Event, Key};

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The revision that it made.
    pub revision: u64,
    /// When, as well as the store knows.
    pub at: SystemTime,
    /// Who, where the store knows.
    pub by: Option<Arc<str>>,
    /// What it did. No key stands twice.
    pub edits: Vec<Edited>,
}

/// What became of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The item.
    pub key: Key,
    /// What it was; `None` when it is new.
    pub before: Option<Arc<Entry>>,
    /// What it is; `None` when it is gone.
    pub after: Option<Arc<Entry>>,
}

/// How many changes are remembered: the newest that fit into both bounds, and always the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryBounds {
    /// Their number. Default 1,000.
    pub changes: usize,
    /// The bytes of their keys and of what stood there before and after. Default 64 MiB.
    pub bytes: u64,
}

impl Default for HistoryBounds {
    fn default() -> Self {
        Self { changes: 1000, bytes: 64 << 20 }
    }
}

impl Change {
    /// The same as a watch tells it.
    pub fn to_batch(&self) -> Batch {
        let event = |edit: &Edited| Event { key: edit.key.clone(), entry: edit.after.as_deref().cloned() };
        Batch {
            revision: self.revision,
            at: self.at,
            by: self.by.clone(),
            events: self.edits.iter().map(event).collect(),
        }
    }

    /// What it counts for in [`HistoryBounds::bytes`].
    pub fn bytes(&self) -> u64 {
        let entry = |entry: &Option<Arc<Entry>>| entry.as_ref().map_or(0, |entry| entry.value.len());
        let edit = |edit: &Edited| edit.key.as_str().len() + entry(&edit.before) + entry(&edit.after);
        self.edits.iter().map(edit).sum::<usize>() as u64
    }
}
