//! What a store asks of the network, counted.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::super::Traffic;

/// As [`Traffic`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) opened: AtomicU64,
    pub(super) taken: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) watches: AtomicU64,
    pub(super) full_reads: AtomicU64,
}

impl Counters {
    pub(super) fn look(&self) -> Traffic {
        Traffic {
            opened: self.opened.load(Relaxed),
            open: self.open.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            reconnects: self.taken.load(Relaxed).saturating_sub(1),
            watches: self.watches.load(Relaxed),
            full_reads: self.full_reads.load(Relaxed),
        }
    }
}
