//! The zone: its folder and its table.
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderName;

use super::beside::{Beside, Reader};
use super::body::{OnDisk, READ, are_sound, read_sums};
use super::file::{LONGEST, Opening, opening_len, read_opening};
use super::folder::Folder;
use super::lock::Lock;
use super::pace::{OPENS, Pace};
use super::purged::Purged;
use super::scan;
use super::writer::DiskWriter;
use crate::cache::clock::Clock;
use crate::cache::content::Content;
use crate::cache::index::{Entry, Index};
use crate::cache::stats::{Counters, count};
use crate::cache::zone::Stored;
use crate::cache::{CacheKey, Draft, Fetching, Meta, record};
use crate::model::CacheZoneSpec;

/// Where a zone on disk keeps its answers.
pub(in super::super) struct Disk {
    pub(super) folder: Folder,
    pub(in super::super) index: Index<FileRef>,
    pub(super) counters: Arc<Counters>,
    clock: Clock,
    /// The number of the last file. It begins with the time, so that a later run's are higher.
    last: AtomicU64,
    /// The folder is there, and ours.
    made: Mutex<Option<Lock>>,
    /// Another gateway has it, or the zone that was configured before: nothing is kept until it lets go.
    pub(super) waits: AtomicBool,
    pub(super) pace: Pace,
    pub(super) beside: Beside,
    /// Held while a file gets another head.
    pub(super) renewing: Mutex<()>,
    /// What earlier runs kept is being read, or has been.
    pub(super) scanned: AtomicBool,
    /// How many readings of the folder are to come or under way: until then there may be files that the table does
    /// not know.
    pub(super) scans: AtomicU32,
    pub(super) purged: Purged,
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
            index: Index::on_disk(spec.disk_size.0, spec.memory_size.0),
            counters,
            clock,
            last: AtomicU64::new(clock.now() << 20),
            made: Mutex::new(None),
            waits: AtomicBool::new(false),
            pace: Pace::default(),
            beside: Beside::new(spec.disk_size.0 / 4),
            renewing: Mutex::new(()),
            scanned: AtomicBool::new(false),
            scans: AtomicU32::new(1),
            purged: Purged::default(),
        })
    }

    /// The table. The first who asks for it has what earlier runs kept read into it, in the background.
    pub(in super::super) fn index(self: &Arc<Self>) -> &Index<FileRef> {
        if !self.scanned.load(Relaxed) && !self.scanned.swap(true, Relaxed) {
            tokio::spawn(scan::until_all_is_known(Arc::downgrade(self)));
        }
        &self.index
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
                self.remove(key, file.id);
                false
            }
        }
    }

    /// Counts an answer that has been found to be good still.
    pub(in super::super) fn renewed(&self) {
        count(&self.counters.stored);
    }

    /// Puts a file of an earlier run into the table, unless there is a newer one by now, or it has been taken out.
    pub(super) fn found(&self, key: CacheKey, names: &[HeaderName], meta: &Meta, file: FileRef) {
        const A_MINUTE: u64 = 60_000;
        // The clock has been set back, and it would be fresh until then.
        if meta.stored_at > self.clock.now() + A_MINUTE {
            return self.remove(key, file.id);
        }
        self.last.fetch_max(file.id, Relaxed);
        let variant = meta.variant;
        // Before anything is asked: what is taken out from here on the table does not take.
        let fetching = self.index.fetching(&key);
        let rivals = self.index.get(&key).map(|slot| slot.rivals(names, variant)).unwrap_or_default();
        // This run stored it meanwhile, or has read it in before.
        if rivals.contains(&file) {
            return;
        }
        if self.purged.holds(key, file.id) || rivals.iter().any(|kept| kept.id > file.id) {
            return self.remove(key, file.id);
        }
        match self.index.put(key, names, variant, file, &fetching) {
            Ok(gone) => self.remove_all(&gone, file),
            Err(file) => self.remove(key, file.id),
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
        match self.opened(key, at, buffer) {
            Ok(Some(stored)) => Some(stored),
            Ok(None) => {
                self.drop_corrupt(key, at);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.drop_entry(key, |kept| *kept == at);
                None
            }
            // It is there still: too many files are open, or the disk does not answer just now.
            Err(error) => {
                self.failed("a kept answer cannot be read", &error);
                None
            }
        }
    }

    /// `None` if it is not as it was written.
    fn opened(self: &Arc<Self>, key: CacheKey, at: FileRef, mut first: Vec<u8>) -> io::Result<Option<Stored>> {
        let reader = (at.size > READ as u64).then(|| Reader::new(self, at));
        let mut file = File::open(self.folder.file(key, at.id))?;
        file.by_ref().take(beginning(at)).read_to_end(&mut first)?;
        let rest = opening_len(&first).and_then(|length| length.checked_sub(first.len()));
        if let Some(rest) = rest.filter(|rest| *rest <= LONGEST) {
            file.by_ref().take(rest as u64).read_to_end(&mut first)?;
        }
        let Some(opening) = read_opening(&first).filter(|opening| opening.key == key) else { return Ok(None) };
        if opening.file_len() != at.size || file.metadata()?.len() != at.size {
            return Ok(None);
        }
        let mut body = Bytes::from(first);
        let Some((meta, head)) = split_head(&mut body, &opening) else { return Ok(None) };
        let content = match reader {
            None => small(body, &opening),
            Some(reader) => {
                let sums = read_sums(&file, &opening)?;
                Some(Content::File(Arc::new(OnDisk { file, reader, key, opening, sums })))
            }
        };
        Ok(content.map(|content| Stored { meta, head, content, id: at.id }))
    }

    /// Keeps nothing until the folder is free.
    pub(super) fn wait(&self) {
        if !self.waits.swap(true, Relaxed) {
            #[cfg(feature = "tracing")]
            tracing::warn!(
                folder = %self.folder.path().display(),
                "cache: another gateway has the folder, or requests under the settings before; nothing is kept until it is free"
            );
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

/// Takes the head off what a file begins with.
fn split_head(bytes: &mut Bytes, opening: &Opening) -> Option<(Meta, Bytes)> {
    let head = bytes.split_to(usize::try_from(opening.body_at).ok()?).slice(opening.head.clone());
    record::headers(&head)?;
    Some((record::meta(&head)?, head))
}

/// A body that has been read whole, with its sums behind it.
fn small(mut body: Bytes, opening: &Opening) -> Option<Content> {
    let sums = body.split_off(usize::try_from(opening.body_len).ok().filter(|length| *length <= body.len())?);
    are_sound(&body, &sums).then_some(Content::Whole(body))
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Disk({})", self.folder.path().display())
    }
}
