//! What a zone in memory holds, in it or beside it.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a zone's bodies. They count for as long as this lives: while they come in, while they are kept, and when they
/// have gone out of the zone for as long as a client reads them.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: u64,
    /// Those of all bodies of the zone.
    all: Arc<AtomicU64>,
}

impl Held {
    /// None yet.
    pub(super) fn of(all: &Arc<AtomicU64>) -> Self {
        Self { bytes: 0, all: Arc::clone(all) }
    }

    /// So many more. Gives how many all bodies of the zone have then.
    pub(super) fn add(&mut self, bytes: u64) -> u64 {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Relaxed) + bytes
    }

    /// None any more.
    pub(super) fn release(&mut self) {
        self.all.fetch_sub(std::mem::take(&mut self.bytes), Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
