//! Bodies in zstd.
use compression_codecs::ZstdEncoder;
use compression_codecs::zstd::params::CParameter;

use crate::plugins::compress::{Coding, Encode, Kind, window};

const MIB: u64 = 1024 * 1024;

/// From this level on a block of 128 KiB takes tens of milliseconds.
const SLOW: i32 = 13;

/// The coding with its settings.
#[derive(Debug)]
pub(super) struct Zstd {
    pub(super) level: i32,
    pub(super) window_log: u32,
}

impl Zstd {
    fn window_log(&self, length: Option<u64>) -> u32 {
        window(self.window_log, 10, length)
    }
}

impl Coding for Zstd {
    fn kind(&self) -> Kind {
        Kind::Zstd
    }

    /// As measured (`benches/compress.rs`): the tables of the level, and its window.
    fn cost(&self, length: Option<u64>) -> u64 {
        let tables = match self.level {
            ..=1 => 1,
            2..=3 => 2,
            4..=6 => 4,
            7..=9 => 11,
            10..=12 => 41,
            13..=15 => 65,
            _ => 82,
        };
        tables * MIB + (1 << self.window_log(length))
    }

    fn is_slow(&self) -> bool {
        self.level >= SLOW
    }

    fn begin(&self, length: Option<u64>) -> Box<dyn Encode> {
        let window = CParameter::window_log(self.window_log(length));
        Box::new(ZstdEncoder::new_with_params(self.level, &[window]))
    }
}
