//! Room on the disk that the table of a zone does not count.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::zone::{Disk, FileRef};

/// Bytes of files that are not whole yet, and of those that have gone and are read still: a disk gives their room back when
/// the last reader closes them, which is when his client pleases.
#[derive(Debug)]
pub(super) struct Beside {
    bytes: AtomicU64,
    most: u64,
    open: Mutex<HashMap<u64, Open>>,
}

/// A file that is read, by its number.
#[derive(Debug)]
struct Open {
    size: u64,
    readers: usize,
    /// It has no name any more.
    gone: bool,
}

impl Beside {
    pub(super) fn new(most: u64) -> Self {
        Self { bytes: AtomicU64::new(0), most, open: Mutex::default() }
    }

    /// Whether there is room for so many bytes more. If so they take it, until [`Beside::release`].
    pub(super) fn take(&self, bytes: u64) -> bool {
        let fits = self.bytes.fetch_add(bytes, Relaxed) + bytes <= self.most;
        if !fits {
            self.release(bytes);
        }
        fits
    }

    /// So many bytes take no room any more, or stand in the table now.
    pub(super) fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// A file has been removed. To be said when it has: who opens it later finds none.
    pub(super) fn goes(&self, id: u64) {
        if let Some(open) = self.open().get_mut(&id).filter(|open| !open.gone) {
            open.gone = true;
            self.bytes.fetch_add(open.size, Relaxed);
        }
    }

    fn opens(&self, file: FileRef) {
        let mut open = self.open();
        open.entry(file.id).or_insert(Open { size: file.size, readers: 0, gone: false }).readers += 1;
    }

    fn closes(&self, id: u64) {
        let mut files = self.open();
        let Some(open) = files.get_mut(&id) else { return };
        open.readers -= 1;
        if open.readers == 0 {
            if open.gone {
                self.release(open.size);
            }
            files.remove(&id);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// Somebody who reads a file of a zone.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) disk: Arc<Disk>,
    pub(super) at: FileRef,
}

impl Reader {
    /// To be made before the file is opened: it may go in between.
    pub(super) fn new(disk: &Arc<Disk>, at: FileRef) -> Self {
        disk.beside.opens(at);
        Self { disk: Arc::clone(disk), at }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.disk.beside.closes(self.at.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_once_from_when_it_goes_until_nobody_reads_it() {
        let beside = Beside::new(100);
        let file = FileRef { id: 7, size: 70 };
        beside.goes(7);
        for _ in 0..2 {
            beside.opens(file);
        }
        assert!(beside.take(100) && !beside.take(1));
        beside.release(100);
        beside.goes(7);
        beside.goes(7);
        beside.closes(7);
        assert!(beside.take(30) && !beside.take(1));
        beside.closes(7);
        assert!(beside.take(70) && beside.open().is_empty());
        // one that has not gone counts in the table alone
        beside.opens(file);
        beside.closes(7);
        assert_eq!(beside.bytes(), 100);
    }
}
