//! Bodies in br.
use std::io::{self, Write as _};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;

use crate::plugins::compress::{Coding, Encoder, Kind, window};

/// The smallest window that is chosen for a short body. Below it the encoder searches in another way, whose tables take ten times
/// as much memory.
const SMALL: u32 = 17;

/// What the encoder writes at a time.
const BUFFER: usize = 4096;

/// The coding with its settings.
#[derive(Debug)]
pub(super) struct Brotli(pub(super) BrotliEncoderParams);

impl Coding for Brotli {
    fn kind(&self) -> Kind {
        Kind::Brotli
    }

    fn begin(&self, length: Option<u64>) -> io::Result<Box<dyn Encoder>> {
        let mut params = self.0.clone();
        let most = u32::try_from(params.lgwin).unwrap_or_default();
        params.lgwin = i32::try_from(window(most, SMALL, length)).unwrap_or(params.lgwin);
        params.size_hint = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let encoder = CompressorWriter::with_params(Vec::new(), BUFFER, &params);
        Ok(Box::new(Br { encoder: Some(encoder), out: Vec::new() }))
    }
}

/// An encoder, which is used up by its end, and then what it left.
struct Br {
    encoder: Option<CompressorWriter<Vec<u8>>>,
    out: Vec<u8>,
}

impl Encoder for Br {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder.write_all(data),
            None => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.as_mut().map_or(Ok(()), CompressorWriter::flush)
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(encoder) = self.encoder.take() {
            self.out = encoder.into_inner();
        }
        Ok(())
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.encoder.as_mut().map_or(&mut self.out, CompressorWriter::get_mut)
    }
}
