//! [`MemoryStore`]: a store that lives and dies with its process.
use std::fmt;
use std::sync::Arc;

use super::shared::{Clock, Shared};
use super::table::{Draft, Table};
use super::{Change, Committed, HistoryBounds, Loaded, NewsStream, Store, StoreFuture, Transaction};

/// A store in the memory of this process. Clones are the same store.
///
/// It has no task: items with a time to live end by tokio's clock, as soon as anybody looks or watches.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    clock: Clock,
}

impl MemoryStore {
    /// An empty one, at revision 0, that remembers changes within the default bounds.
    pub fn new() -> Self {
        Self::with_history(HistoryBounds::default())
    }

    /// An empty one with other bounds of what it remembers: a watch that lags behind further is told to load anew.
    pub fn with_history(bounds: HistoryBounds) -> Self {
        let clock = Clock::start();
        Self { shared: Shared::new(Table::new(bounds), Some(clock)), clock }
    }

    /// Forgets all changes but the last `keep`: watches from before end as [`Compacted`](super::News::Compacted).
    pub fn forget(&self, keep: usize) {
        self.shared.with(|table| table.forget(keep));
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = self.shared.with(|table| table.revision());
        f.debug_struct("MemoryStore").field("revision", &revision).finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn place(&self) -> Arc<str> {
        "memory".into()
    }

    fn load(&self) -> StoreFuture<'_, Loaded> {
        Box::pin(async { Ok(self.shared.with(|table| table.load())) })
    }

    fn watch(&self, from: u64) -> NewsStream {
        self.shared.watch(from)
    }

    fn commit(&self, transaction: Transaction) -> StoreFuture<'_, Committed> {
        Box::pin(async move {
            let taken = self.shared.with(|table| {
                let mut draft = Draft::new(table, self.clock.now());
                let taken = draft.take(&transaction);
                let drafted = draft.finish();
                table.accept(drafted);
                taken
            });
            taken.map(|revision| Committed { revision }).map_err(|refusal| refusal.at(&self.place()))
        })
    }

    fn changes(&self) -> Vec<Arc<Change>> {
        self.shared.with(|table| table.changes().cloned().collect())
    }
}
