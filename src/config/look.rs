//! Looking at a file: whether it has changed, and what is in it.
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::gateway::SourceError;

/// The content of a file at one moment.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) bytes: Vec<u8>,
    pub(super) seen: Seen,
}

impl Look {
    /// How many looks in a row have shown the same before `again`, if `so_far` had before this one.
    pub(super) fn looks_so_far(&self, so_far: u32, again: &Self) -> u32 {
        if self.seen.is_same_content(&again.seen) { so_far + 1 } else { 0 }
    }
}

/// What is remembered of a look, to recognise the same content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    stamp: Stamp,
    length: u64,
    hash: u64,
}

impl Seen {
    /// Whether both looks saw the same content.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        (self.length, self.hash) == (other.length, other.hash)
    }
}

/// What the file system says of a file. Equal stamps mean unchanged content only if the last change is old enough.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    identity: Option<(u64, u64)>,
    length: u64,
    modified: Option<SystemTime>,
    settled: bool,
}

/// Some file systems keep times to the second, and two changes within it look like one.
const COARSE: Duration = Duration::from_secs(2);

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        Self {
            identity: identity(metadata),
            length: metadata.len(),
            modified,
            settled: age.is_some_and(|age| age > COARSE),
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Reads the file at `path`, unless it certainly is as it was `before`.
pub(super) fn look(path: &Path, limit: u64, before: Option<&Seen>) -> Result<Option<Look>, SourceError> {
    let place = || path.display().to_string();
    let failed = |error: io::Error| SourceError::Read { place: place(), source: Arc::new(error) };
    // Opening what is no file, such as a pipe, could block for ever.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("is not a file")));
    }
    let file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file.metadata().map_err(failed)?);
    if before.is_some_and(|before| before.stamp == stamp && stamp.settled) {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.length.min(limit)).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    let length = bytes.len() as u64;
    if length > limit {
        return Err(SourceError::TooLarge { place: place(), limit });
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Ok(Some(Look { seen: Seen { stamp, length, hash: hasher.finish() }, bytes }))
}
