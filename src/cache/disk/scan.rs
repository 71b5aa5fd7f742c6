//! What earlier runs have kept.
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::super::{Vary, record};
use super::file::{PREFIX, opening_len, read_opening};
use super::folder::Folder;
use super::zone::{Disk, FileRef};

/// A head is not longer than this.
const LONGEST: usize = 1 << 20;

/// Finds every file of a zone and puts it into the table. What is no file of a zone, or not as it was written, is removed.
pub(super) fn scan(disk: &Disk) -> io::Result<()> {
    let unfinished = disk.folder.unfinished(0);
    walk(disk, disk.folder.path(), unfinished.parent(), 0)
}

fn walk(disk: &Disk, folder: &Path, except: Option<&Path>, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        // Requests go on meanwhile: what is there now may be gone in a moment.
        let Ok(entry) = entry else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if kind.is_dir() && Some(&*path) != except && depth < 4 {
            // One folder that cannot be read is not all of them.
            let _ = walk(disk, &path, except, depth + 1);
        } else if kind.is_file()
            && let Some((key, id)) = entry.file_name().to_str().and_then(Folder::parse)
            && take(disk, &path, id).is_none_or(|found| found != key)
        {
            disk.corrupt(&path);
        }
    }
    Ok(())
}

/// Takes a file in; the key that it has.
fn take(disk: &Disk, path: &Path, id: u64) -> Option<super::super::CacheKey> {
    let mut file = File::open(path).ok()?;
    let mut bytes = vec![0; PREFIX];
    file.read_exact(&mut bytes).ok()?;
    let length = opening_len(&bytes).filter(|length| *length <= LONGEST)?;
    bytes.resize(length, 0);
    file.read_exact(bytes.get_mut(PREFIX..)?).ok()?;
    let opening = read_opening(&bytes)?;
    let size = file.metadata().ok()?.len();
    if size != opening.file_len() {
        return None;
    }
    let head = Bytes::from(bytes).slice(PREFIX..);
    let meta = record::meta(&head)?;
    let Vary::By(names) = Vary::of(&record::headers(&head)?) else { return None };
    disk.found(opening.key, &names, meta.variant, FileRef { id, size });
    Some(opening.key)
}

/// Runs [`scan`] on a thread that may block.
pub(super) async fn scanned(disk: Arc<Disk>) -> io::Result<()> {
    tokio::task::spawn_blocking(move || scan(&disk)).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
