//! The bytes that plugins may hold of bodies, all together (security.md LIM-04).
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How much there may be and how much there is.
#[derive(Debug, Default)]
pub(crate) struct Room {
    total: AtomicU64,
    taken: AtomicU64,
}

/// A part of the room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    room: Arc<Room>,
    bytes: u64,
}

/// There is no room left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Room {
    pub(crate) fn new(total: u64) -> Self {
        Self { total: AtomicU64::new(total), taken: AtomicU64::new(0) }
    }

    /// From now on there may be so many bytes. What is held stays.
    pub(crate) fn resize(&self, total: u64) {
        self.total.store(total, Relaxed);
    }

    /// An empty part.
    pub(super) fn part(self: &Arc<Self>) -> Part {
        Part { room: Arc::clone(self), bytes: 0 }
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}

impl Part {
    /// Takes more of the room.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let (more, total) = (bytes as u64, self.room.total.load(Relaxed));
        // only the sum counts, so no order with other memory is needed
        let fits = |taken: u64| taken.checked_add(more).filter(|sum| *sum <= total);
        self.room.taken.fetch_update(Relaxed, Relaxed, fits).map_err(|_| Full)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Relaxed);
    }
}
