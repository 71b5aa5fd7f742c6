//! Writing answers.
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderName;
use tokio::task::JoinHandle;

use super::super::{CacheKey, Draft, record};
use super::file::{BLOCK, opening};
use super::folder::Folder;
use super::zone::{Disk, FileRef};

/// So much is gathered before it is written.
const GATHER: usize = 256 * 1024;
/// With so much gathered the body waits for the disk.
const MOST: usize = 1024 * 1024;

/// An answer on its way to the disk: into a file of its own, which gets its name when all of it is there.
#[derive(Debug)]
pub(crate) struct DiskWriter {
    state: State,
    gathered: Vec<Bytes>,
    bytes: usize,
    /// Of the whole body.
    length: u64,
    disk: Arc<Disk>,
}

#[derive(Debug)]
enum State {
    Idle(Box<Unfinished>),
    Busy(JoinHandle<io::Result<Box<Unfinished>>>),
    Failed,
}

/// A file that is not whole yet. Dropped it is removed.
#[derive(Debug)]
struct Unfinished {
    disk: Arc<Disk>,
    key: CacheKey,
    id: u64,
    head: Vec<u8>,
    names: Vec<HeaderName>,
    variant: u64,
    removals: u32,
    /// Made with the first bytes.
    file: Option<(File, PathBuf)>,
    length: u64,
    /// The sum of the block that is not whole yet.
    sum: crc32fast::Hasher,
    sums: Vec<u8>,
}

impl DiskWriter {
    pub(super) fn new(disk: &Arc<Disk>, key: CacheKey, draft: &Draft, removals: u32) -> Option<Self> {
        let unfinished = Unfinished {
            disk: Arc::clone(disk),
            key,
            id: disk.next_id(),
            head: record::encode(draft)?,
            names: draft.names.clone(),
            variant: draft.meta.variant,
            removals,
            file: None,
            length: 0,
            sum: crc32fast::Hasher::new(),
            sums: Vec::new(),
        };
        let state = State::Idle(Box::new(unfinished));
        Some(Self { state, gathered: Vec::new(), bytes: 0, length: 0, disk: Arc::clone(disk) })
    }

    pub(in super::super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Busy(writing) = &mut self.state {
            match Pin::new(writing).poll(cx) {
                Poll::Pending if self.bytes >= MOST => return Poll::Pending,
                Poll::Pending => return Poll::Ready(()),
                Poll::Ready(written) => self.settle(written.unwrap_or_else(|error| Err(io::Error::other(error)))),
            }
        }
        if self.bytes >= GATHER
            && let State::Idle(unfinished) = std::mem::replace(&mut self.state, State::Failed)
        {
            let gathered = std::mem::take(&mut self.gathered);
            self.bytes = 0;
            self.state = State::Busy(tokio::task::spawn_blocking(move || unfinished.write(&gathered)));
        }
        Poll::Ready(())
    }

    pub(in super::super) fn push(&mut self, data: Bytes) {
        self.length += data.len() as u64;
        if self.length > self.disk.index().heaviest() {
            self.state = State::Failed;
        }
        if self.has_failed() {
            self.gathered = Vec::new();
            self.bytes = 0;
        } else {
            self.bytes += data.len();
            self.gathered.push(data);
        }
    }

    /// Nothing is being written, and something has been.
    #[cfg(test)]
    pub(super) fn is_idle_with_file(&self) -> bool {
        matches!(&self.state, State::Idle(unfinished) if unfinished.file.is_some())
    }

    pub(in super::super) fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Writes the rest and gives the file its name. `false`: it is not kept.
    pub(in super::super) async fn finish(mut self) -> bool {
        if let State::Busy(writing) = &mut self.state {
            let written = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            self.settle(written);
        }
        let State::Idle(unfinished) = std::mem::replace(&mut self.state, State::Failed) else { return false };
        let gathered = std::mem::take(&mut self.gathered);
        let written = tokio::task::spawn_blocking(move || unfinished.write(&gathered)?.finish()).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(kept) => kept,
            Err(error) => {
                self.disk.failed("an answer was not kept", &error);
                false
            }
        }
    }

    fn settle(&mut self, written: io::Result<Box<Unfinished>>) {
        self.state = match written {
            Ok(unfinished) => State::Idle(unfinished),
            Err(error) => {
                self.disk.failed("an answer was not kept", &error);
                State::Failed
            }
        };
    }
}

impl Unfinished {
    fn write(mut self: Box<Self>, gathered: &[Bytes]) -> io::Result<Box<Self>> {
        if self.file.is_none() {
            self.disk.make()?;
            let (file, path) = self.disk.folder.begin(self.id)?;
            // The sum and the length of the body are not known yet.
            (&file).write_all(&opening(self.key, &self.head, 0))?;
            self.file = Some((file, path));
        }
        let Some((file, _)) = &self.file else { return Err(io::ErrorKind::NotFound.into()) };
        for bytes in gathered {
            let mut file = file;
            file.write_all(bytes)?;
            let mut rest = &**bytes;
            while !rest.is_empty() {
                let done = usize::try_from(self.length % BLOCK as u64).unwrap_or_default();
                let (part, behind) = rest.split_at(rest.len().min(BLOCK - done));
                self.sum.update(part);
                self.length += part.len() as u64;
                rest = behind;
                if self.length.is_multiple_of(BLOCK as u64) {
                    let sum = std::mem::replace(&mut self.sum, crc32fast::Hasher::new());
                    self.sums.extend_from_slice(&sum.finalize().to_le_bytes());
                }
            }
        }
        Ok(self)
    }

    fn finish(mut self) -> io::Result<bool> {
        let Some((file, path)) = &self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if !self.length.is_multiple_of(BLOCK as u64) {
            self.sums.extend_from_slice(&self.sum.clone().finalize().to_le_bytes());
        }
        let mut end = file;
        end.write_all(&self.sums)?;
        write_at(file, &opening(self.key, &self.head, self.length))?;
        let size = file.metadata()?.len();
        let (folder, name) = self.disk.folder.place(self.key, self.id);
        let whole = folder.join(name);
        if fs::rename(path, &whole).is_err() {
            Folder::make_level(&folder)?;
            fs::rename(path, &whole)?;
        }
        let kept = self.disk.keep(self.key, &self.names, self.variant, FileRef { id: self.id, size }, self.removals);
        self.file = None;
        Ok(kept)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some((_, path)) = self.file.take() {
            // It may have got its name already, or the disk may be gone; the next start takes away what is left.
            let remove = move || drop(fs::remove_file(path));
            // A client that goes away drops its answer on a thread that others need.
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn_blocking(remove)),
                Err(_) => remove(),
            }
        }
    }
}

fn write_at(file: &File, bytes: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, 0);
    #[cfg(not(unix))]
    {
        use std::io::Seek as _;
        let mut file = file.try_clone()?;
        file.seek(io::SeekFrom::Start(0))?;
        file.write_all(bytes)
    }
}
