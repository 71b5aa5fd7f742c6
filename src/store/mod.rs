//! Configuration in a store: many gateways follow one, every change is a transaction, and what was is remembered.
//!
//! A [`Store`] is an ordered map from [`Key`]s to JSON texts, with a revision that grows with every change: `MemoryStore`,
//! `DiskStore` (feature `disk`), `EtcdStore` (feature `etcd`), or a host's own. Its layout is Apache APISIX's, so that both
//! can read one store. A [`Mirror`] follows a store, makes a [`Snapshot`](crate::model::Snapshot) of it, and is the
//! [`ConfigSource`](crate::gateway::ConfigSource) that a gateway follows; the Admin API reads the same mirror and writes to
//! the same store.
mod change;
#[cfg(feature = "keyring")]
mod cipher;
mod contract;
mod copy;
#[cfg(feature = "disk")]
mod disk;
mod entries;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod history;
mod key;
mod keyring;
mod memory;
mod mirror;
#[cfg(not(feature = "keyring"))]
mod no_cipher;
mod record;
mod sealing;
mod shared;
mod table;
mod traffic;

pub use change::{Change, Edited, HistoryBounds};
pub use contract::{
    Batch, Committed, Edit, Entry, Event, Guard, Loaded, News, NewsStream, Store, StoreFuture, Transaction,
};
pub use copy::{Copied, CopyError, CopyFault, LocalCopy};
#[cfg(feature = "disk")]
pub use disk::DiskStore;
pub use entries::Entries;
pub use error::StoreError;
#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
pub use history::History;
pub use key::Key;
pub use keyring::{Keyring, KeyringError};
pub use memory::MemoryStore;
pub use mirror::{Mirror, MirrorOptions, MirrorSource, MirrorStatus, View};
pub use sealing::{SealError, SealFault, Sealing};
pub use traffic::Traffic;
