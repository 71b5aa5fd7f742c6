//! Configuration in a store: many gateways follow one, every change is a transaction, and what was is remembered.
//!
//! A [`Store`] is an ordered map from [`Key`]s to JSON texts, with a revision that grows with every change: `MemoryStore`,
//! `DiskStore` (feature `disk`), `EtcdStore` (feature `etcd`), or a host's own. Its layout is Apache APISIX's, so that both
//! can read one store. A [`Mirror`] follows a store, makes a [`Snapshot`](crate::model::Snapshot) of it, and is the
//! [`ConfigSource`](crate::gateway::ConfigSource) that a gateway follows; the Admin API reads the same mirror and writes to
//! the same store.
mod change;
mod contract;
mod entries;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod history;
mod key;
mod memory;
mod mirror;
mod shared;
mod table;

pub use change::{Change, Edited, HistoryBounds};
pub use contract::{
    Batch, Committed, Edit, Entry, Event, Guard, Loaded, News, NewsStream, Store, StoreFuture, Transaction,
};
pub use entries::Entries;
pub use error::StoreError;
#[cfg(feature = "etcd")]
pub use etcd::{EtcdStats, EtcdStore};
pub use history::History;
pub use key::Key;
pub use memory::MemoryStore;
pub use mirror::{Mirror, MirrorOptions, MirrorSource, MirrorStatus, View};
