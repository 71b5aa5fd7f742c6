//! Content codings undone while a body is read.
use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::MultiGzDecoder;

/// Bytes that the decoder of br works on at a time.
const CHUNK: usize = 16 * 1024;

/// A decoder and what came out of it.
pub(super) enum Decoder {
    Gzip(Box<MultiGzDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
}

/// Takes at most so many bytes.
pub(super) struct Sink {
    out: Vec<u8>,
    limit: usize,
}

impl Decoder {
    /// The decoder of a content coding; at most `limit` bytes come out of it. `None` for a coding that is not known.
    pub(super) fn of(coding: &[u8], limit: usize) -> Option<Self> {
        let sink = Sink { out: Vec::new(), limit };
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
    pub(super) fn push(&mut self, data: &[u8]) -> io::Result<bool> {
        let pushed = match self {
            Self::Gzip(decoder) => decoder.write_all(data),
            Self::Brotli(decoder) => decoder.write_all(data),
        };
        if self.sink().is_some_and(|sink| sink.out.len() >= sink.limit) {
            return Ok(false);
        }
        pushed.map(|()| true)
    }

    /// What came out.
    ///
    /// # Errors
    /// When the end is missing.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(mut decoder) => match decoder.try_finish() {
                Err(error) if decoder.get_ref().out.len() < decoder.get_ref().limit => Err(error),
                _ => Ok(std::mem::take(&mut decoder.get_mut().out)),
            },
            Self::Brotli(mut decoder) => match decoder.close() {
                Err(error) if decoder.get_ref().out.len() < decoder.get_ref().limit => Err(error),
                _ => Ok(std::mem::take(&mut decoder.get_mut().out)),
            },
        }
    }

    fn sink(&self) -> Option<&Sink> {
        match self {
            Self::Gzip(decoder) => Some(decoder.get_ref()),
            Self::Brotli(decoder) => Some(decoder.get_ref()),
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
        self.out.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
