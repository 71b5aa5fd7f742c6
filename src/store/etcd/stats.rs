//! [`EtcdStats`]: what a store asked of the network.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an [`EtcdStore`](super::EtcdStore) has asked of the network since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EtcdStats {
    /// Connections that were opened, those to servers that then turned out to be of no use included.
    pub opened: u64,
    /// Connections that are open now: 1, or 0 while none can be had.
    pub open: u64,
    /// Bytes that came, without those of TLS, TCP and IP.
    pub bytes_in: u64,
    /// Bytes that went, counted as those that came.
    pub bytes_out: u64,
    /// Connections that replaced one that had failed.
    pub reconnects: u64,
    /// Watches that were begun. All but the first of a reader went on behind one that had ended.
    pub watches: u64,
    /// Reads of everything.
    pub full_reads: u64,
}

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
    pub(super) fn look(&self) -> EtcdStats {
        EtcdStats {
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
