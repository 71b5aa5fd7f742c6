//! [`Store`]: what a place for configuration has to do.
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_core::Stream;

use super::{Change, Key, StoreError, Traffic};

/// A future of a store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a watch yields. Dropping it ends the watch.
pub type NewsStream = Pin<Box<dyn Stream<Item = Result<News, StoreError>> + Send>>;

/// An ordered map of [`Key`]s to JSON texts that remembers at which revision each was changed.
///
/// Every transaction that changes something makes one new revision, larger than all before (steps may be larger than 1).
/// Transactions are all or nothing and take place one after the other (linearizable, as are [`Store::load`]s). Neither
/// locks nor leases are needed (security.md CFG-05): writers say by [`Guard`]s what their decision rests on.
pub trait Store: Send + Sync + 'static {
    /// The store in words, for messages: `disk /var/lib/tollgate`, `etcd 10.0.0.1:2379`.
    fn place(&self) -> Arc<str>;

    /// What tells its content from other stores': a local copy is used for the store of the same identity only. Where the
    /// content can be had is none of it. Unless a store says otherwise, its place.
    fn identity(&self) -> Arc<str> {
        self.place()
    }

    /// Everything, at one revision.
    ///
    /// # Errors
    /// When it cannot be had now.
    fn load(&self) -> StoreFuture<'_, Loaded>;

    /// Everything that changes from revision `from` on: to go on behind a [`Loaded`], its revision plus 1. The stream
    /// yields in order, misses nothing, and keeps the changes of one revision together. It ends with
    /// [`News::Compacted`] when the store no longer knows what happened since `from` (or was reset); an error does not end
    /// it: the watch goes on from where it was once the store is there again.
    fn watch(&self, from: u64) -> NewsStream;

    /// Makes a change if all its guards hold. Nothing but deletes of what is not there is a success without a new
    /// revision: it gives the revision at which that was so.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a guard does not hold. After [`StoreError::Unavailable`] the change may have
    /// happened.
    fn commit(&self, transaction: Transaction) -> StoreFuture<'_, Committed>;

    /// The changes that the store itself remembers, the oldest first; none where it keeps none.
    fn changes(&self) -> Vec<Arc<Change>> {
        Vec::new()
    }

    /// What it asked of the network so far; `None` where it needs none.
    fn traffic(&self) -> Option<Traffic> {
        None
    }
}

/// Everything that a store has.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The revision at which it was so.
    pub revision: u64,
    /// The items by key, in order.
    pub entries: Vec<(Key, Entry)>,
}

/// One item. Its text may hold secrets, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its JSON text as stored. Nobody has judged it.
    pub value: Bytes,
    /// The revision at which it was created.
    pub created: u64,
    /// The revision at which it was changed last.
    pub modified: u64,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, created, modified } = self;
        write!(f, "Entry({} bytes, created {created}, modified {modified})", value.len())
    }
}

/// What a watch tells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum News {
    /// The changes of one transaction.
    Batch(Batch),
    /// Everything up to this revision was told.
    Progress(u64),
    /// What happened since is no longer known, or the store was reset: load anew. Nothing follows.
    Compacted,
}

/// The changes of one transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The revision that it made.
    pub revision: u64,
    /// When, as well as the store knows.
    pub at: SystemTime,
    /// Who, where the store knows.
    pub by: Option<Arc<str>>,
    /// What changed. No key stands twice.
    pub events: Vec<Event>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of which item.
    pub key: Key,
    /// What it is now; `None` when it was removed, or ran out.
    pub entry: Option<Entry>,
}

/// A change to make.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    /// What has to hold.
    pub guards: Vec<Guard>,
    /// What to do. No key may stand twice.
    pub edits: Vec<Edit>,
    /// Who does it, for the history.
    pub by: Option<Arc<str>>,
}

/// What has to hold for a transaction to take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The item was changed last at this revision; 0 means that it is not there.
    Modified {
        /// The item.
        key: Key,
        /// The revision.
        at: u64,
    },
    /// The item is there.
    Exists(Key),
    /// No item whose key begins with `prefix` was created or changed after this revision. Removals don't count.
    Unchanged {
        /// What the keys begin with, such as `routes/` or `consumers/jack/credentials/`.
        prefix: String,
        /// The revision.
        since: u64,
    },
}

/// A change of one item. Its text may hold secrets, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Edit {
    /// It gets this text.
    Put {
        /// The item.
        key: Key,
        /// The JSON text.
        value: Bytes,
        /// It vanishes after this time unless it is written again; `None`: it stays.
        ttl: Option<Duration>,
    },
    /// It goes.
    Delete {
        /// The item.
        key: Key,
    },
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value, ttl } => write!(f, "Put({key}, {} bytes, {ttl:?})", value.len()),
            Self::Delete { key } => write!(f, "Delete({key})"),
        }
    }
}

impl Edit {
    /// The item.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// What a transaction made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The store's revision with it.
    pub revision: u64,
}
