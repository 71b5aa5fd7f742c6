//! Taking answers out: of the table at once, off the disk when that gets to it.
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::zone::{Disk, FileRef};
use crate::cache::CacheKey;
use crate::cache::index::Gone;
use crate::cache::stats::count;

/// For so long who purges waits to hear whether there was a file that the table did not know.
const PURGES: Duration = Duration::from_secs(5);

impl Disk {
    /// Takes out all answers of a key's URL. From now on nobody is given one, whatever the disk does.
    /// Tells whether the table knew any, and then whether there were files beside those.
    pub(in super::super) fn take_out(self: &Arc<Self>, key: CacheKey) -> (bool, oneshot::Receiver<bool>) {
        let (tell, told) = oneshot::channel();
        // Whatever is stored from now on has a higher number.
        let last = self.next_id();
        // Asked first: what a reading that ends meanwhile has taken in stands in the table.
        let may_be_unknown = self.scans.load(SeqCst) > 0;
        if may_be_unknown {
            self.purged.note(key, last);
        }
        let gone = self.index().remove(&key);
        let is_known = !gone.is_empty();
        if is_known || may_be_unknown {
            let disk = Arc::clone(self);
            self.later(move || {
                gone.into_iter().for_each(|(key, file)| disk.remove(key, file.id));
                let _ = tell.send(may_be_unknown && disk.clear(key, last));
            });
        }
        (is_known, told)
    }

    /// As [`Disk::take_out`]; tells whether there were any. Who asks waits until they are off the disk, but not for long.
    pub(in super::super) async fn purge(self: &Arc<Self>, key: CacheKey) -> bool {
        let (was_known, told) = self.take_out(key);
        let was_there = timeout(PURGES, told).await;
        was_known || matches!(was_there, Ok(Ok(true)))
    }

    /// Takes one answer out.
    pub(in super::super) fn withdraw(self: &Arc<Self>, key: CacheKey, id: u64) {
        let mut gone = self.index.drop_where(&key, |kept| kept.id == id);
        gone.push((key, FileRef { id, size: 0 }));
        let disk = Arc::clone(self);
        self.later(move || gone.into_iter().for_each(|(key, file)| disk.remove(key, file.id)));
    }

    fn later(&self, remove: impl FnOnce() + Send + 'static) {
        if !self.pace.removing(remove) {
            self.failed("a file stays behind", &io::Error::other("the disk is too slow for all that is to be removed"));
        }
    }

    /// Takes answers out of the table, and whatever has to go beside them off the disk.
    pub(super) fn drop_entry(&self, key: CacheKey, is_gone: impl Fn(&FileRef) -> bool) {
        let gone = self.index.drop_where(&key, is_gone);
        gone.into_iter().for_each(|(key, file)| self.remove(key, file.id));
    }

    /// Removes the files of what had to go for `new`, which is not in its own way: the reading of the folder may have
    /// met it before it was put in here.
    pub(super) fn remove_all(&self, gone: &Gone<FileRef>, new: FileRef) {
        let replaced = gone.replaced.iter().filter(|(_, file)| file.id != new.id);
        gone.evicted.iter().chain(replaced).for_each(|(key, file)| self.remove(*key, file.id));
    }

    /// Takes a file that is not as it was written out of the table and off the disk.
    pub(super) fn drop_corrupt(&self, key: CacheKey, at: FileRef) {
        self.drop_entry(key, |kept| *kept == at);
        self.corrupt(&self.folder.file(key, at.id));
        self.beside.goes(at.id);
    }

    /// Takes a file of which some cannot be read out of the table and off the disk: nobody gets further another time, and
    /// an origin that says that it is good still does not write it anew.
    pub(super) fn drop_unreadable(&self, key: CacheKey, at: FileRef, error: &io::Error) {
        self.failed("a kept answer cannot be read; dropped", error);
        self.drop_entry(key, |kept| *kept == at);
        self.remove(key, at.id);
    }

    /// Removes a file that is not as it was written.
    pub(super) fn corrupt(&self, path: &Path) {
        count(&self.counters.corrupt);
        #[cfg(feature = "tracing")]
        tracing::warn!(file = %path.display(), "cache: a kept answer is not as it was written; dropped");
        let _ = fs::remove_file(path);
    }

    /// Removes every file of a key's URL up to that number. Tells whether there were any.
    pub(super) fn clear(&self, key: CacheKey, last: u64) -> bool {
        let files = self.folder.of_url(key).unwrap_or_else(|error| {
            self.failed("a file stays behind", &error);
            Vec::new()
        });
        let removed = files.into_iter().filter(|(key, id)| *id <= last && self.has_removed(*key, *id));
        removed.count() > 0
    }

    pub(super) fn remove(&self, key: CacheKey, id: u64) {
        self.has_removed(key, id);
    }

    /// Removes a file. Tells whether it was there.
    fn has_removed(&self, key: CacheKey, id: u64) -> bool {
        let removed = fs::remove_file(self.folder.file(key, id));
        self.beside.goes(id);
        if let Err(error) = &removed
            && error.kind() != io::ErrorKind::NotFound
        {
            self.failed("a file stays behind", error);
        }
        removed.is_ok()
    }
}
