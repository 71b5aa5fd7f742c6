//! What earlier runs have kept.
use std::fs::{self, DirEntry, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::{CacheKey, Vary, record};
use super::file::{LONGEST, PREFIX, opening_len, read_opening};
use super::folder::Folder;
use super::zone::{Disk, FileRef};

/// While another has the folder.
const OFTEN: Duration = Duration::from_secs(1);
/// After a failure, such as that the folder is somebody else's or that too many files were open.
const AGAIN: Duration = Duration::from_secs(10);

/// Reads the folder in, and once more until all that is in it is known: what the table does not know no purge would reach
/// after the next start.
pub(super) async fn until_all_is_known(disk: Weak<Disk>) {
    let mut told = String::new();
    while let Some(disk) = disk.upgrade() {
        let began = Instant::now();
        let pause = match disk.read_in().await {
            Ok(()) => {
                disk.is_read();
                return disk.waits.store(false, Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                disk.wait();
                OFTEN
            }
            Err(error) => {
                disk.waits.store(false, Relaxed);
                // Once: it may stay as it is until somebody mends it.
                let text = error.to_string();
                if told != text {
                    disk.failed("the folder cannot be read as a whole; tried again until it can", &error);
                    told = text;
                }
                // It takes a tenth of the time at most.
                AGAIN.max(began.elapsed() * 10)
            }
        };
        drop(disk);
        tokio::time::sleep(pause).await;
    }
}

impl Disk {
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
            self.is_read();
        }
        read
    }

    /// A reading is over.
    fn is_read(&self) {
        if self.scans.fetch_sub(1, SeqCst) == 1 {
            self.purged.forget();
        }
    }

    async fn read_in(self: &Arc<Self>) -> io::Result<()> {
        let disk = Arc::clone(self);
        let reading = move || disk.make().and_then(|()| walk(&disk, disk.folder.path(), 0));
        tokio::task::spawn_blocking(reading).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Finds every file of a zone and puts it into the table. What is not as it was written is removed; what is no file of a zone
/// is left alone.
///
/// # Errors
/// The first thing that cannot be read. All that can be is in the table.
fn walk(disk: &Disk, folder: &Path, depth: usize) -> io::Result<()> {
    let mut whole = Ok(());
    for entry in fs::read_dir(folder)? {
        match entry.and_then(|entry| meet(disk, &entry, depth)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => whole = whole.and(Err(error)),
            // Requests go on meanwhile: what was there may be gone.
            _ => {}
        }
    }
    whole
}

fn meet(disk: &Disk, entry: &DirEntry, depth: usize) -> io::Result<()> {
    let (kind, name) = (entry.file_type()?, entry.file_name());
    let Some(name) = name.to_str() else { return Ok(()) };
    if kind.is_dir() && depth < 3 && Folder::is_level(name) {
        walk(disk, &entry.path(), depth + 1)?;
    } else if kind.is_file()
        && let Some((key, id)) = Folder::parse(name)
    {
        let path = put_in_place(disk, &entry.path(), key, id)?;
        // One that cannot be read may be as good as ever: too many files are open, or the disk does not answer just now.
        if take(disk, &path, id)? != Some(key) {
            disk.corrupt(&path);
        }
    }
    Ok(())
}

/// Moves a file to where it is looked for, if it is not there: the zone may have had other levels of folders.
fn put_in_place(disk: &Disk, path: &Path, key: CacheKey, id: u64) -> io::Result<PathBuf> {
    let (folder, name) = disk.folder.place(key, id);
    let place = folder.join(name);
    if place != path {
        Folder::make_level(&folder)?;
        fs::rename(path, &place)?;
    }
    Ok(place)
}

/// Takes a file in; the key that it has, or `None` if it is not as it was written.
///
/// # Errors
/// It cannot be read, whatever is in it.
fn take(disk: &Disk, path: &Path, id: u64) -> io::Result<Option<CacheKey>> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(PREFIX);
    file.by_ref().take(PREFIX as u64).read_to_end(&mut bytes)?;
    let Some(length) = opening_len(&bytes).filter(|length| *length <= LONGEST) else { return Ok(None) };
    file.take(length.saturating_sub(PREFIX) as u64).read_to_end(&mut bytes)?;
    Ok(understood(disk, bytes, FileRef { id, size }))
}

fn understood(disk: &Disk, bytes: Vec<u8>, file: FileRef) -> Option<CacheKey> {
    let opening = read_opening(&bytes).filter(|opening| opening.file_len() == file.size)?;
    let head = Bytes::from(bytes).slice(opening.head);
    let meta = record::meta(&head)?;
    let Vary::By(names) = Vary::of(&record::headers(&head)?) else { return None };
    disk.found(opening.key, &names, &meta, file);
    Some(opening.key)
}
