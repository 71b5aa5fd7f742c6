//! Content codings undone: while a body is read, and of bodies in memory (security.md LIM-14).
use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::MultiGzDecoder;

use super::room::Part;

/// Bytes that the decoder of br works on at a time.
const CHUNK: usize = 16 * 1024;

/// A decoder and what came out of it.
pub(crate) enum Decoder {
    Gzip(Box<MultiGzDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
}

/// Takes at most so many bytes.
pub(crate) struct Sink {
    out: Vec<u8>,
    limit: usize,
    /// Where they count, and whether there was no room for them.
    part: Option<Part>,
    is_full: bool,
}

/// What came out of a whole body.
pub(super) struct Unpacked {
    pub(super) bytes: Vec<u8>,
    pub(super) part: Option<Part>,
}

/// Why nothing came out of a whole body.
#[derive(Debug)]
pub(super) enum Undone {
    /// More would come out than may.
    TooLarge,
    /// There is no room for what comes out.
    NoRoom,
    /// It is not in this coding, or its end is missing.
    Malformed,
}

impl Decoder {
    /// The decoder of a content coding; at most `limit` bytes come out of it. `None` for a coding that is not known.
    pub(crate) fn of(coding: &[u8], limit: usize) -> Option<Self> {
        Self::into(coding, Sink { out: Vec::new(), limit, part: None, is_full: false })
    }

    /// As [`Decoder::of`], with what comes out counted in `part`.
    pub(super) fn within(coding: &[u8], limit: usize, part: Part) -> Option<Self> {
        Self::into(coding, Sink { out: Vec::new(), limit, part: Some(part), is_full: false })
    }

    fn into(coding: &[u8], sink: Sink) -> Option<Self> {
        match &*coding.to_ascii_lowercase() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip(Box::new(MultiGzDecoder::new(sink)))),
            b"br" => Some(Self::Brotli(Box::new(DecompressorWriter::new(sink, CHUNK)))),
            _ => None,
        }
    }

    /// Decodes some more. `Ok(false)`: as much came out as may.
    ///
    /// # Errors
    /// When it is not in this coding.
    pub(crate) fn push(&mut self, data: &[u8]) -> io::Result<bool> {
        let pushed = match self {
            Self::Gzip(decoder) => decoder.write_all(data),
            Self::Brotli(decoder) => decoder.write_all(data),
        };
        if self.sink().out.len() >= self.sink().limit {
            return Ok(false);
        }
        pushed.map(|()| true)
    }

    /// What came out.
    ///
    /// # Errors
    /// When the end is missing.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        let ended = self.end();
        let sink = self.sink_mut();
        match ended {
            Err(error) if sink.out.len() < sink.limit => Err(error),
            _ => Ok(std::mem::take(&mut sink.out)),
        }
    }

    /// Decodes a body of which there is no more: all of it, or nothing.
    pub(super) fn whole(mut self, data: &[u8]) -> Result<Unpacked, Undone> {
        let done = match &mut self {
            Self::Gzip(decoder) => decoder.write_all(data),
            Self::Brotli(decoder) => decoder.write_all(data),
        };
        let done = done.and_then(|()| self.end());
        let sink = self.sink_mut();
        match done {
            Ok(()) => Ok(Unpacked { bytes: std::mem::take(&mut sink.out), part: sink.part.take() }),
            Err(_) if sink.is_full => Err(Undone::NoRoom),
            Err(_) if sink.out.len() >= sink.limit => Err(Undone::TooLarge),
            Err(_) => Err(Undone::Malformed),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Brotli(decoder) => decoder.close(),
        }
    }

    fn sink(&self) -> &Sink {
        match self {
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Brotli(decoder) => decoder.get_ref(),
        }
    }

    fn sink_mut(&mut self) -> &mut Sink {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.limit - self.out.len();
        if room == 0 && !data.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = data.get(..room.min(data.len())).unwrap_or_default();
        if let Some(part) = &mut self.part
            && part.grow(taken.len()).is_err()
        {
            self.is_full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.out.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
