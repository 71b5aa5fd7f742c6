//! Writing answers.
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderName;
use tokio::time::{Sleep, sleep};

use super::super::{CacheKey, Draft, Fetching, Vary, record};
use super::body::read_at;
use super::file::{BLOCK, LONGEST, PREFIX, opening, opening_len, read_opening};
use super::folder::Folder;
use super::pace::WRITES;
use super::zone::{Disk, FileRef};

/// So much is gathered before it is written.
const GATHER: usize = 256 * 1024;
/// With so much gathered the body waits for the disk, but not for long.
const MOST: usize = 1024 * 1024;

/// An answer on its way to the disk: into a file of its own, which gets its name when all of it is there.
#[derive(Debug)]
pub(crate) struct DiskWriter {
    state: State,
    gathered: Vec<Bytes>,
    bytes: usize,
    /// Bytes that are being written.
    writing: usize,
    /// Ends the waiting for the disk.
    patience: Option<Pin<Box<Sleep>>>,
    /// Of the whole body.
    length: u64,
    disk: Arc<Disk>,
}

enum State {
    Idle(Box<Unfinished>),
    Busy(Pin<Box<dyn Future<Output = io::Result<Box<Unfinished>>> + Send>>),
    Failed,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle(_) => "Idle",
            Self::Busy(_) => "Busy",
            Self::Failed => "Failed",
        })
    }
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
    fetching: Fetching,
    /// Made with the first bytes.
    file: Option<(File, PathBuf)>,
    length: u64,
    /// Bytes that it takes beside the zone.
    taken: u64,
    /// The sum of the block that is not whole yet.
    sum: crc32fast::Hasher,
    sums: Vec<u8>,
}

impl DiskWriter {
    pub(super) fn new(disk: &Arc<Disk>, key: CacheKey, draft: &Draft, fetching: Fetching) -> Option<Self> {
        let head = record::encode(draft)?;
        opening(key, &head, 0)?;
        let unfinished = Unfinished {
            disk: Arc::clone(disk),
            key,
            id: disk.next_id(),
            head,
            names: draft.names.clone(),
            variant: draft.meta.variant,
            fetching,
            file: None,
            length: 0,
            taken: 0,
            sum: crc32fast::Hasher::new(),
            sums: Vec::new(),
        };
        let state = State::Idle(Box::new(unfinished));
        let disk = Arc::clone(disk);
        Some(Self { state, gathered: Vec::new(), bytes: 0, writing: 0, patience: None, length: 0, disk })
    }

    pub(in super::super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Busy(writing) = &mut self.state {
            match writing.as_mut().poll(cx) {
                Poll::Pending if self.bytes >= MOST => {
                    let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(WRITES)));
                    ready!(patience.as_mut().poll(cx));
                    self.settle(Err(io::ErrorKind::TimedOut.into()));
                    self.let_go();
                }
                Poll::Pending => return Poll::Ready(()),
                Poll::Ready(written) => self.settle(written),
            }
        }
        if self.bytes >= GATHER
            && let State::Idle(unfinished) = std::mem::replace(&mut self.state, State::Failed)
        {
            let gathered = std::mem::take(&mut self.gathered);
            self.writing = std::mem::take(&mut self.bytes);
            self.state = State::Busy(Box::pin(self.disk.pace.writing(move || unfinished.write(&gathered))));
        }
        Poll::Ready(())
    }

    pub(in super::super) fn push(&mut self, data: Bytes) {
        self.length += data.len() as u64;
        if self.length > self.disk.index().heaviest() {
            self.state = State::Failed;
        }
        if !self.has_failed() && !self.disk.pace.gather(data.len() as u64) {
            self.settle(Err(io::Error::other("the disk is too slow for all that is to be kept")));
        }
        if self.has_failed() {
            self.let_go();
        } else {
            self.bytes += data.len();
            self.gathered.push(data);
        }
    }

    /// Lets go of what waits for the disk.
    fn let_go(&mut self) {
        self.gathered = Vec::new();
        self.disk.pace.release((std::mem::take(&mut self.bytes) + std::mem::take(&mut self.writing)) as u64);
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
            let written = writing.await;
            self.settle(written);
        }
        let State::Idle(unfinished) = std::mem::replace(&mut self.state, State::Failed) else { return false };
        let gathered = std::mem::take(&mut self.gathered);
        match self.disk.pace.writing(move || unfinished.write(&gathered)?.finish()).await {
            Ok(kept) => kept,
            Err(error) => {
                self.disk.failed("an answer was not kept", &error);
                false
            }
        }
    }

    /// As [`DiskWriter::finish`], with the body of a file that is there already: its head alone is written, beside the one
    /// that it has. `false`: it must be written as a whole, since it is told apart by other fields now, or the head is
    /// too long.
    pub(in super::super) async fn renew(&mut self, id: u64) -> bool {
        let State::Idle(unfinished) = std::mem::replace(&mut self.state, State::Failed) else { return false };
        let renewing = move || {
            let renewed = unfinished.renew(id);
            Ok((unfinished, renewed))
        };
        match self.disk.pace.writing(renewing).await {
            Ok((unfinished, renewed)) => {
                self.state = State::Idle(unfinished);
                match &renewed {
                    Ok(true) => self.disk.renewed(),
                    Ok(false) => {}
                    Err(error) => self.disk.failed("an answer was not kept", error),
                }
                renewed.unwrap_or(false)
            }
            Err(error) => {
                self.disk.failed("an answer was not kept", &error);
                false
            }
        }
    }

    fn settle(&mut self, written: io::Result<Box<Unfinished>>) {
        self.patience = None;
        self.disk.pace.release(std::mem::take(&mut self.writing) as u64);
        self.state = match written {
            Ok(unfinished) => State::Idle(unfinished),
            Err(error) => {
                self.disk.failed("an answer was not kept", &error);
                State::Failed
            }
        };
    }
}

impl Drop for DiskWriter {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl Unfinished {
    /// The beginning of the file. The length of the body is right at its end.
    fn opening(&self) -> io::Result<Vec<u8>> {
        opening(self.key, &self.head, self.length).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn write(mut self: Box<Self>, gathered: &[Bytes]) -> io::Result<Box<Self>> {
        let more = gathered.iter().map(|bytes| bytes.len() as u64).sum();
        if !self.disk.beside.take(more) {
            let text =
                "answers that are not whole yet, and those that are read still, have all the room that they may have";
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        self.taken += more;
        if self.file.is_none() {
            self.disk.make()?;
            let (file, path) = self.disk.folder.begin(self.id)?;
            (&file).write_all(&self.opening()?)?;
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

    fn renew(&self, id: u64) -> io::Result<bool> {
        let _alone = self.disk.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::options().read(true).write(true).open(self.disk.folder.file(self.key, id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let mut bytes = vec![0; PREFIX];
        read_at(&file, &mut bytes, 0)?;
        let Some(length) = opening_len(&bytes).filter(|length| *length <= LONGEST) else { return Ok(false) };
        bytes.resize(length, 0);
        read_at(&file, &mut bytes, 0)?;
        let Some((opening, before)) = read_opening(&bytes).and_then(|opening| {
            let head = Bytes::copy_from_slice(bytes.get(opening.head.clone())?);
            Some((opening, head))
        }) else {
            return Ok(false);
        };
        let is_same_variant = record::meta(&before).is_some_and(|meta| meta.variant == self.variant)
            && record::headers(&before).is_some_and(|fields| Vary::of(&fields) == Vary::By(self.names.clone()));
        match opening.next(&self.head).filter(|_| is_same_variant && !self.fetching.is_overtaken()) {
            Some((at, place)) => write_at(&file, &place, at).map(|()| true),
            None => Ok(false),
        }
    }

    fn finish(mut self) -> io::Result<bool> {
        let Some((file, path)) = &self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if !self.length.is_multiple_of(BLOCK as u64) {
            self.sums.extend_from_slice(&self.sum.clone().finalize().to_le_bytes());
        }
        let mut end = file;
        end.write_all(&self.sums)?;
        write_at(file, &self.opening()?, 0)?;
        let size = file.metadata()?.len();
        let (folder, name) = self.disk.folder.place(self.key, self.id);
        let whole = folder.join(name);
        if fs::rename(path, &whole).is_err() {
            Folder::make_level(&folder)?;
            fs::rename(path, &whole)?;
        }
        let kept = self.disk.keep(self.key, &self.names, self.variant, FileRef { id: self.id, size }, &self.fetching);
        self.file = None;
        Ok(kept)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (disk, taken) = (Arc::clone(&self.disk), self.taken);
        match self.file.take() {
            None => disk.beside.release(taken),
            // A client that goes away drops its answer on a thread that others need. What stays behind is taken away by
            // the next start.
            Some((file, path)) => {
                self.disk.pace.removing(move || {
                    drop(file);
                    // It may have got its name already, or the disk may be gone.
                    let _ = fs::remove_file(path);
                    disk.beside.release(taken);
                });
            }
        }
    }
}

fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, at);
    #[cfg(not(unix))]
    {
        use std::io::Seek as _;
        let mut file = file.try_clone()?;
        file.seek(io::SeekFrom::Start(at))?;
        file.write_all(bytes)
    }
}
