//! What earlier runs have kept.
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::{CacheKey, Vary, record};
use super::file::{LONGEST, PREFIX, opening_len, read_opening};
use super::folder::Folder;
use super::zone::{Disk, FileRef};

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
        {
            match put_in_place(disk, &path, key, id).and_then(|path| Ok((take(disk, &path, id)?, path))) {
                Ok((Some(found), _)) if found == key => {}
                Ok((_, path)) => disk.corrupt(&path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // It may be as good as ever: too many files are open, or the disk does not answer just now.
                Err(error) => disk.failed("a kept answer cannot be read", &error),
            }
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
