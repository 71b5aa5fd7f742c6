//! The zone: its folder and its table.
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;

use super::body::{OnDisk, READ, are_sound, read_sums};
use super::file::{LONGEST, opening_len, read_opening};
use super::folder::Folder;
use super::lock::Lock;
use super::pace::{OPENS, Pace};
use super::scan::scan;
use super::writer::DiskWriter;
use crate::cache::clock::Clock;
use crate::cache::content::Content;
use crate::cache::index::{Entry, Gone, Index};
use crate::cache::stats::{Counters, count};
use crate::cache::zone::Stored;
use crate::cache::{CacheKey, Draft, Fetching, Meta, record};
use crate::model::CacheZoneSpec;

/// Where a zone on disk keeps its answers.
pub(in super::super) struct Disk {
    pub(super) folder: Folder,
    pub(in super::super) index: Index<FileRef>,
    counters: Arc<Counters>,
    clock: Clock,
    /// The number of the last file. It begins with the time, so that a later run's are higher.
    last: AtomicU64,
    /// The folder is there, and ours.
    made: Mutex<Option<Lock>>,
    /// Another gateway has it, or the zone that was configured before: nothing is kept until it lets go.
    waits: AtomicBool,
    pub(super) pace: Pace,
    /// Held while a file gets another head.
    pub(super) renewing: Mutex<()>,
    /// What earlier runs kept is being read, or has been.
    pub(super) scanned: AtomicBool,
    /// How many readings of the folder are to come or under way: until then there may be files that the table does
    /// not know.
    scans: AtomicU32,
}

/// A file of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct FileRef {
    pub(super) id: u64,
    pub(super) size: u64,
}

/// As many bytes hold the head of nearly every answer.
const HEAD: u64 = 8 * 1024;
/// File systems give out room in blocks of this size.
const FILE_BLOCK: u64 = 4096;

impl Entry for FileRef {
    fn weight(&self) -> u64 {
        self.size.div_ceil(FILE_BLOCK) * FILE_BLOCK
    }
}

impl Disk {
    pub(in super::super) fn new(
        folder: PathBuf,
        spec: &CacheZoneSpec,
        clock: Clock,
        counters: Arc<Counters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            folder: Folder::new(folder, spec.levels()),
            index: Index::new(spec.disk_size.0),
            counters,
            clock,
            last: AtomicU64::new(clock.now() << 20),
            made: Mutex::new(None),
            waits: AtomicBool::new(false),
            pace: Pace::default(),
            renewing: Mutex::new(()),
            scanned: AtomicBool::new(false),
            scans: AtomicU32::new(1),
        })
    }

    /// The table. The first who asks for it has what earlier runs kept read into it, in the background.
    pub(in super::super) fn index(self: &Arc<Self>) -> &Index<FileRef> {
        if !self.scanned.load(Relaxed) && !self.scanned.swap(true, Relaxed) {
            tokio::spawn(Self::read_once_free(Arc::downgrade(self)));
        }
        &self.index
    }

    /// Reads the folder in, when nobody else has it.
    async fn read_once_free(disk: Weak<Self>) {
        const EVERY: Duration = Duration::from_secs(1);
        while let Some(disk) = disk.upgrade() {
            match disk.read_in().await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => disk.wait(),
                read => {
                    if let Err(error) = read {
                        disk.failed("the folder cannot be read", &error);
                    }
                    disk.scans.fetch_sub(1, SeqCst);
                    return disk.waits.store(false, Relaxed);
                }
            }
            drop(disk);
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Keeps nothing until the folder is free.
    fn wait(&self) {
        if !self.waits.swap(true, Relaxed) {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                folder = %self.folder.path().display(),
                "cache: another gateway has the folder, or requests under the settings before; nothing is kept until it is free"
            );
        }
    }

    async fn read_in(self: &Arc<Self>) -> io::Result<()> {
        let disk = Arc::clone(self);
        let reading = move || disk.make().and_then(|()| scan(&disk));
        tokio::task::spawn_blocking(reading).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    pub(in super::super) async fn read_all(self: &Arc<Self>) -> io::Result<()> {
        let again = self.scanned.swap(true, Relaxed);
        if again {
            self.scans.fetch_add(1, SeqCst);
        }
        let read = self.read_in().await;
        if read.is_err() && !again {
            // the first request tries once more
            self.scanned.store(false, Relaxed);
        } else {
            self.scans.fetch_sub(1, SeqCst);
        }
        read
    }

    /// Makes the folder, once it can be made.
    pub(super) fn make(&self) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.is_none() {
            *made = Some(self.folder.make()?);
        }
        Ok(())
    }

    pub(super) fn next_id(&self) -> u64 {
        self.last.fetch_add(1, Relaxed) + 1
    }

    pub(in super::super) fn writer(
        self: &Arc<Self>,
        key: CacheKey,
        draft: &Draft,
        fetching: Fetching,
    ) -> Option<DiskWriter> {
        (!self.waits.load(Relaxed)).then(|| DiskWriter::new(self, key, draft, fetching)).flatten()
    }

    /// Puts a whole file into the table, and removes those that go for it. `false`: it was not wanted any more, or it
    /// drove itself out.
    pub(super) fn keep(
        &self,
        key: CacheKey,
        names: &[HeaderName],
        variant: u64,
        file: FileRef,
        fetching: &Fetching,
    ) -> bool {
        match self.index.put(key, names, variant, file, fetching) {
            Ok(gone) => {
                self.counters.evicted.fetch_add(gone.evicted.len() as u64, Relaxed);
                if gone.is_kept {
                    count(&self.counters.stored);
                }
                self.remove_all(&gone, file);
                gone.is_kept
            }
            Err(file) => {
                self.remove(key, file);
                false
            }
        }
    }

    /// Counts an answer that has been found to be good still.
    pub(in super::super) fn renewed(&self) {
        count(&self.counters.stored);
    }

    /// Puts a file of an earlier run into the table, unless there is a newer one by now.
    pub(super) fn found(&self, key: CacheKey, names: &[HeaderName], meta: &Meta, file: FileRef) {
        const A_MINUTE: u64 = 60_000;
        // The clock has been set back, and it would be fresh until then.
        if meta.stored_at > self.clock.now() + A_MINUTE {
            return self.remove(key, file);
        }
        self.last.fetch_max(file.id, Relaxed);
        let variant = meta.variant;
        let fetching = self.index.fetching(&key);
        let rivals = self.index.get(&key).map(|slot| slot.rivals(names, variant)).unwrap_or_default();
        if rivals.iter().any(|kept| kept.id > file.id) {
            return self.remove(key, file);
        }
        // This run stored it meanwhile.
        if rivals.contains(&file) {
            return;
        }
        match self.index.put(key, names, variant, file, &fetching) {
            Ok(gone) => self.remove_all(&gone, file),
            Err(file) => self.remove(key, file),
        }
    }

    /// Opens a file. `None` if it is not there, or not as it was written: then it is out of the table as well.
    pub(in super::super) async fn load(self: &Arc<Self>, key: CacheKey, at: FileRef) -> Option<Stored> {
        let disk = Arc::clone(self);
        let room = usize::try_from(beginning(at)).unwrap_or(READ);
        match self.pace.reading(OPENS, room, move |buffer| Ok(disk.load_now(key, at, buffer))).await {
            Ok(loaded) => loaded,
            Err(error) => {
                self.failed("a kept answer cannot be read", &error);
                None
            }
        }
    }

    pub(super) fn load_now(self: &Arc<Self>, key: CacheKey, at: FileRef, buffer: Vec<u8>) -> Option<Stored> {
        let file = match File::open(self.folder.file(key, at.id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.drop_entry(key, |kept| *kept == at);
                return None;
            }
            // It is there still: too many files are open, or the disk does not answer just now.
            Err(error) => {
                self.failed("a kept answer cannot be read", &error);
                return None;
            }
        };
        let opened = self.opened(file, key, at, buffer);
        if opened.is_none() {
            self.drop_corrupt(key, at);
        }
        opened
    }

    fn opened(self: &Arc<Self>, mut file: File, key: CacheKey, at: FileRef, mut first: Vec<u8>) -> Option<Stored> {
        file.by_ref().take(beginning(at)).read_to_end(&mut first).ok()?;
        let rest = opening_len(&first)?.checked_sub(first.len()).filter(|rest| *rest <= LONGEST);
        if let Some(rest) = rest {
            file.by_ref().take(rest as u64).read_to_end(&mut first).ok()?;
        }
        let opening = read_opening(&first)?;
        if opening.key != key || opening.file_len() != at.size || file.metadata().ok()?.len() != at.size {
            return None;
        }
        let mut body = Bytes::from(first);
        let head = body.split_to(usize::try_from(opening.body_at).ok()?).slice(opening.head.clone());
        let meta = record::meta(&head)?;
        record::headers(&head)?;
        let content = if at.size <= READ as u64 {
            let sums = body.split_off(usize::try_from(opening.body_len).ok().filter(|length| *length <= body.len())?);
            are_sound(&body, &sums).then_some(Content::Whole(body))?
        } else {
            let sums = read_sums(&file, &opening).ok()?;
            Content::File(Arc::new(OnDisk { disk: Arc::clone(self), file, key, at, opening, sums }))
        };
        Some(Stored { meta, head, content, id: at.id })
    }

    pub(in super::super) async fn purge(self: &Arc<Self>, key: CacheKey) -> bool {
        // Asked first: what a reading that ends meanwhile has taken in stands in the table.
        let may_be_unknown = self.scans.load(SeqCst) > 0;
        let gone = self.index().remove(&key);
        if gone.is_empty() && !may_be_unknown {
            return false;
        }
        let disk = Arc::clone(self);
        let removing = move || {
            let mut were_there = gone.len();
            gone.into_iter().for_each(|(key, file)| disk.remove(key, file));
            // What the reading of the folder has taken in since, or will have, names files that are gone then.
            if may_be_unknown {
                match disk.folder.clear(key) {
                    Ok(removed) => were_there += removed,
                    Err(error) => disk.failed("a file stays behind", &error),
                }
            }
            were_there > 0
        };
        tokio::task::spawn_blocking(removing).await.unwrap_or(false)
    }

    /// Takes one answer out of the table now, and off the disk in the background.
    pub(in super::super) fn withdraw(self: &Arc<Self>, key: CacheKey, id: u64) {
        let mut gone = self.index.drop_where(&key, |kept| kept.id == id);
        gone.push((key, FileRef { id, size: 0 }));
        let disk = Arc::clone(self);
        tokio::task::spawn_blocking(move || gone.into_iter().for_each(|(key, file)| disk.remove(key, file)));
    }

    /// Takes answers out of the table, and whatever has to go beside them off the disk.
    fn drop_entry(&self, key: CacheKey, is_gone: impl Fn(&FileRef) -> bool) {
        self.index.drop_where(&key, is_gone).into_iter().for_each(|(key, file)| self.remove(key, file));
    }

    /// Removes the files of what had to go for `new`, which is not in its own way: the reading of the folder may have
    /// met it before it was put in here.
    fn remove_all(&self, gone: &Gone<FileRef>, new: FileRef) {
        let replaced = gone.replaced.iter().filter(|(_, file)| file.id != new.id);
        gone.evicted.iter().chain(replaced).for_each(|(key, file)| self.remove(*key, *file));
    }

    /// Takes a file that is not as it was written out of the table and off the disk.
    pub(super) fn drop_corrupt(&self, key: CacheKey, at: FileRef) {
        self.drop_entry(key, |kept| *kept == at);
        self.corrupt(&self.folder.file(key, at.id));
    }

    /// Removes a file that is not as it was written.
    pub(super) fn corrupt(&self, path: &Path) {
        count(&self.counters.corrupt);
        #[cfg(feature = "tracing")]
        tracing::warn!(file = %path.display(), "cache: a kept answer is not as it was written; dropped");
        let _ = fs::remove_file(path);
    }

    fn remove(&self, key: CacheKey, file: FileRef) {
        match fs::remove_file(self.folder.file(key, file.id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => self.failed("a file stays behind", &error),
            _ => {}
        }
    }

    /// Counts a failure.
    pub(super) fn failed(&self, what: &'static str, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            return self.wait();
        }
        count(&self.counters.errors);
        #[cfg(feature = "tracing")]
        tracing::error!(folder = %self.folder.path().display(), %error, "cache: {what}");
        let _ = (what, error);
    }
}

/// How much of a file is read to open it: all of a small one; of others the head, so that who wants that alone does not wait
/// for more.
fn beginning(file: FileRef) -> u64 {
    if file.size <= READ as u64 { file.size } else { HEAD }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk({})", self.folder.path().display())
    }
}
