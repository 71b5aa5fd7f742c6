//! [`MirrorStatus`]: how a mirror stands to its store.
use std::sync::Arc;
use std::time::SystemTime;

use crate::store::Traffic;

/// How a mirror stands to its store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MirrorStatus {
    /// The store in words.
    pub place: Arc<str>,
    /// The store's revision that the mirror is at; `None` before the first read.
    pub revision: Option<u64>,
    /// Items.
    pub entries: usize,
    /// Items that cannot be read.
    pub rejected: usize,
    /// Since when nothing is known of the store; `None` while the watch stands.
    pub stale_since: Option<SystemTime>,
    /// Whether what is served comes from the local copy, since the store was never reached.
    pub is_from_copy: bool,
    /// Why the local copy was not written or read last; `None` if it was, or if there is to be none.
    pub copy_error: Option<String>,
    /// What went wrong last, until it goes well again.
    pub last_error: Option<String>,
    /// When the store was last heard of.
    pub heard_at: Option<SystemTime>,
    /// Whether a read that found no route any more is held back; [`Mirror::confirm`](super::Mirror::confirm) lets it pass.
    pub holds_empty: bool,
    /// Reads of the whole store.
    pub loads: u64,
    /// Of these, reads that found everything as it was, which nobody was told of.
    pub unchanged_loads: u64,
    /// Transactions that the watch told.
    pub batches: u64,
    /// Snapshots that were made.
    pub snapshots: u64,
    /// What the store asked of the network; `None` where it needs none.
    pub traffic: Option<Traffic>,
}
