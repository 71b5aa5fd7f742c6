//! Bodies in zstd.
use std::io::{self, Write as _};

use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder as Writer;

use crate::plugins::compress::{Coding, Encoder, Kind, window};

/// The coding with its settings.
#[derive(Debug)]
pub(super) struct Zstd {
    pub(super) level: i32,
    pub(super) window_log: u32,
}

impl Coding for Zstd {
    fn kind(&self) -> Kind {
        Kind::Zstd
    }

    fn begin(&self, length: Option<u64>) -> io::Result<Box<dyn Encoder>> {
        let mut encoder = Writer::new(Vec::new(), self.level)?;
        encoder.set_parameter(CParameter::WindowLog(window(self.window_log, 10, length)))?;
        Ok(Box::new(encoder))
    }
}

impl Encoder for Writer<'static, Vec<u8>> {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.write_all(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::Write::flush(self)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.do_finish()
    }

    fn out(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}
