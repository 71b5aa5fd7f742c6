//! Bodies in gzip.
use compression_codecs::GzipEncoder;
use compression_codecs::core::Level;

use crate::plugins::compress::{Coding, Encode, Kind};

/// What an encoder of any level takes, and what comes out of it.
const COST: u64 = 400 * 1024;

/// The coding at one level.
#[derive(Debug)]
pub(super) struct Gzip(pub(super) i32);

impl Coding for Gzip {
    fn kind(&self) -> Kind {
        Kind::Gzip
    }

    fn cost(&self, _: Option<u64>) -> u64 {
        COST
    }

    fn begin(&self, _: Option<u64>) -> Box<dyn Encode> {
        Box::new(GzipEncoder::new(Level::Precise(self.0).into()))
    }
}
