//! Bodies in gzip.
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::plugins::compress::{Coding, Encoder, Kind};

/// The coding at one level.
#[derive(Debug)]
pub(super) struct Gzip(pub(super) u32);

impl Coding for Gzip {
    fn kind(&self) -> Kind {
        Kind::Gzip
    }

    fn begin(&self, _: Option<u64>) -> io::Result<Box<dyn Encoder>> {
        Ok(Box::new(GzEncoder::new(Vec::new(), Compression::new(self.0))))
    }
}

impl Encoder for GzEncoder<Vec<u8>> {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_all(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(self)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.try_finish()
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}
