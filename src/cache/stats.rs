//! What a zone counts.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The counters of a zone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) corrupt: AtomicU64,
}

/// How a zone stands. All but `entries` and `bytes` are counted from when the zone was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that were answered out of the zone.
    pub hits: u64,
    /// Requests that might have been and were not.
    pub misses: u64,
    /// Answers that were stored.
    pub stored: u64,
    /// Answers that went for want of room.
    pub evicted: u64,
    /// Reads and writes of files that failed, a full disk among the reasons. Always 0 in memory.
    pub errors: u64,
    /// Files that were not as they were written, and were dropped. Always 0 in memory.
    pub corrupt: u64,
    /// URLs of which something is kept now.
    pub entries: u64,
    /// Bytes that are kept now, with what keeping them takes.
    pub bytes: u64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    pub(super) fn read(&self, (entries, bytes): (usize, u64)) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Stats {
            hits: read(&self.hits),
            misses: read(&self.misses),
            stored: read(&self.stored),
            evicted: read(&self.evicted),
            errors: read(&self.errors),
            corrupt: read(&self.corrupt),
            entries: entries as u64,
            bytes,
        }
    }
}

impl std::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.stored += other.stored;
        self.evicted += other.evicted;
        self.errors += other.errors;
        self.corrupt += other.corrupt;
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}
