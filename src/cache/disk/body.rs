//! Reading kept answers.
use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::super::CacheKey;
use super::beside::Reader;
use super::file::{BLOCK, Opening, blocks};
use super::pace::READS;
use crate::BodyError;

/// How much is read at once.
pub(super) const READ: usize = 256 * 1024;

/// The body of an answer that is on disk, opened. The file stays there for it whatever becomes of its name.
#[derive(Debug)]
pub(in super::super) struct OnDisk {
    /// Before the reader: it is closed when that is no more.
    pub(super) file: File,
    pub(super) reader: Reader,
    pub(super) key: CacheKey,
    pub(super) opening: Opening,
    /// The sum of each block.
    pub(super) sums: Vec<u8>,
}

impl OnDisk {
    pub(in super::super) fn len(&self) -> u64 {
        self.opening.body_len
    }

    /// What is read at once of a part of the body: whole blocks, or their sums say nothing; at most [`READ`].
    fn piece(&self, part: &Range<u64>) -> Range<u64> {
        let block = BLOCK as u64;
        let first = part.start / block * block;
        first..(first + READ as u64).min(part.end.div_ceil(block) * block).min(self.len())
    }

    /// Reads a piece into an empty buffer, and gives what is in it of a part of the body.
    fn read(&self, piece: Range<u64>, part: Range<u64>, mut buffer: Vec<u8>) -> io::Result<Bytes> {
        let length = usize::try_from(piece.end.saturating_sub(piece.start)).unwrap_or_default();
        let Reader { disk, at } = &self.reader;
        fill(&self.file, &mut buffer, length, self.opening.body_at + piece.start)
            .inspect_err(|error| disk.drop_unreadable(self.key, *at, error))?;
        if !self.are_sound(&buffer, piece.start) {
            disk.drop_corrupt(self.key, *at);
            return Err(io::Error::other("a kept answer is not as it was written"));
        }
        let mut bytes = Bytes::from(buffer);
        let place = |at: u64| usize::try_from(at.saturating_sub(piece.start)).unwrap_or(usize::MAX);
        bytes.truncate(place(part.end.min(piece.end)));
        Ok(bytes.split_off(place(part.start).min(bytes.len())))
    }

    /// Whether blocks, the first of which begins at `first`, are as they were written.
    pub(super) fn are_sound(&self, bytes: &[u8], first: u64) -> bool {
        let number = usize::try_from(first / BLOCK as u64).unwrap_or(usize::MAX);
        are_sound(bytes, self.sums.get(number.saturating_mul(4)..).unwrap_or_default())
    }
}

/// Whether blocks have these sums.
pub(super) fn are_sound(bytes: &[u8], sums: &[u8]) -> bool {
    let mut sums = sums.chunks_exact(4);
    bytes.chunks(BLOCK).all(|block| sums.next().is_some_and(|sum| crc32fast::hash(block).to_le_bytes() == sum))
}

/// Reads the sums of a body.
pub(super) fn read_sums(file: &File, opening: &Opening) -> io::Result<Vec<u8>> {
    let mut sums = vec![0; usize::try_from(blocks(opening.body_len) * 4).unwrap_or_default()];
    read_at(file, &mut sums, opening.body_at + opening.body_len)?;
    Ok(sums)
}

/// Reads exactly so many bytes from there.
pub(super) fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, at);
    #[cfg(not(unix))]
    {
        use std::io::{Read as _, Seek as _};
        let mut file = file.try_clone()?;
        file.seek(io::SeekFrom::Start(at))?;
        file.read_exact(bytes)
    }
}

/// Reads exactly so many bytes from there into an empty buffer.
fn fill(file: &File, buffer: &mut Vec<u8>, length: usize, at: u64) -> io::Result<()> {
    buffer.reserve_exact(length);
    #[cfg(unix)]
    while buffer.len() < length {
        use rustix::io::{Errno, pread};
        // What is to be read over need not be written to before.
        let from = at + buffer.len() as u64;
        match pread(file, rustix::buffer::spare_capacity(buffer), from) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    #[cfg(not(unix))]
    {
        buffer.resize(length, 0);
        read_at(file, buffer, at)?;
    }
    buffer.truncate(length);
    Ok(())
}

/// A part of a body, read piece by piece on threads that may block. One piece is in memory at a time.
pub(in super::super) struct FileBody {
    on_disk: Arc<OnDisk>,
    left: Range<u64>,
    reading: Option<Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>>,
}

impl FileBody {
    pub(in super::super) fn new(on_disk: Arc<OnDisk>, range: Range<u64>) -> Self {
        Self { on_disk, left: range, reading: None }
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let part = self.left.clone();
        let on_disk = Arc::clone(&self.on_disk);
        let reading = self.reading.get_or_insert_with(|| {
            let piece = on_disk.piece(&part);
            let room = usize::try_from(piece.end.saturating_sub(piece.start)).unwrap_or_default();
            let from = Arc::clone(&on_disk);
            Box::pin(on_disk.reader.disk.pace.reading(READS, room, move |buffer| from.read(piece, part, buffer)))
        });
        let read = ready!(reading.as_mut().poll(cx));
        self.reading = None;
        Poll::Ready(Some(match read {
            Ok(bytes) if bytes.is_empty() => Err(BodyError::Incomplete),
            Ok(bytes) => {
                self.left.start += bytes.len() as u64;
                Ok(Frame::data(bytes))
            }
            Err(error) => {
                self.left.start = self.left.end;
                Err(error.into())
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end.saturating_sub(self.left.start))
    }
}
