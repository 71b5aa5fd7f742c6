//! The memory of encoders.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What encoders may take together unless something else is said.
const MOST: u64 = 256 * 1024 * 1024;

/// What encoders may take together, and what they take. Clones are the same memory.
///
/// It is counted by what an encoder of those settings takes at most, as it begins, so clients that read slowly, or not at all,
/// cannot make the process grow: an answer for whose encoder there is no room is compressed in another coding that the client
/// accepts, or goes as it is.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    most: u64,
    taken: AtomicU64,
    refused: AtomicU64,
}

/// The memory of one encoder, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    counts: Arc<Counts>,
    bytes: u64,
}

impl Default for Memory {
    /// 256 MiB.
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Memory {
    /// So many bytes.
    pub fn new(most: u64) -> Self {
        Self(Arc::new(Counts { most, taken: AtomicU64::new(0), refused: AtomicU64::new(0) }))
    }

    /// Bytes that encoders take.
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Relaxed)
    }

    /// Encoders that there was no room for, since the start.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    pub(super) fn take(&self, bytes: u64) -> Option<Part> {
        // only the sum counts, so no order with other memory is needed
        let fits = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.0.most);
        match self.0.taken.fetch_update(Relaxed, Relaxed, fits) {
            Ok(_) => Some(Part { counts: Arc::clone(&self.0), bytes }),
            Err(_) => {
                self.0.refused.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.counts.taken.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let memory = Memory::new(10);
        let six = memory.take(6).unwrap();
        assert!(memory.take(5).is_none() && memory.take(u64::MAX).is_none());
        let four = memory.clone().take(4).unwrap();
        assert_eq!((memory.taken(), memory.refused()), (10, 2));
        drop((six, four));
        assert_eq!(memory.taken(), 0);
    }
}
