//! [`View`]: a store at one revision.
use std::sync::Arc;

use crate::model::Snapshot;
use crate::store::{Entries, Entry, Key};

/// A store at one revision: its items as text, and the configuration that was made of them.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(super) revision: u64,
    pub(super) entries: Entries,
    pub(super) snapshot: Snapshot,
}

impl View {
    /// The store's revision; 0 before the first read.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One item.
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// The items whose keys begin with `prefix`, in order.
    pub fn range<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Key, &'a Arc<Entry>)> {
        self.entries.range(prefix)
    }

    /// All items.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// The configuration, in the order of keys. Items that cannot be read are in
    /// [`Snapshot::rejected`](crate::model::Snapshot::rejected).
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }
}
