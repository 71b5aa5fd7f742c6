//! Bodies in br.
use brotli::enc::backward_references::BrotliEncoderMode;
use compression_codecs::BrotliEncoder;
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;

use crate::plugins::compress::{Coding, Encode, Kind, window};

const MIB: u64 = 1024 * 1024;

/// The smallest window that is chosen for a short body. Below it the encoder searches in another way, whose tables take ten times
/// as much memory.
const SMALL: u32 = 17;

/// From so many bytes on, in a window of so many bits, the encoder takes larger tables.
const LONG: (u64, u32) = (MIB, 19);

/// From this level on an answer takes tens of times as long.
pub(super) const SLOW: i32 = 10;

/// The coding with its settings.
#[derive(Debug)]
pub(super) struct Brotli {
    pub(super) level: i32,
    pub(super) mode: BrotliEncoderMode,
    pub(super) window_log: u32,
    /// `None` for the encoder's choice.
    pub(super) block_log: Option<i32>,
}

impl Brotli {
    fn window_log(&self, length: Option<u64>) -> u32 {
        window(self.window_log, SMALL, length)
    }
}

impl Coding for Brotli {
    fn kind(&self) -> Kind {
        Kind::Brotli
    }

    /// As measured (`benches/compress.rs`): the tables of the level, and what goes with the window.
    fn cost(&self, length: Option<u64>) -> u64 {
        let window = self.window_log(length);
        let is_long = window >= LONG.1 && length.is_some_and(|length| length >= LONG.0);
        let tables = match (self.level, is_long) {
            (5..=9, _) if window < SMALL => 34,
            (..=1, _) => 1,
            (2..=3, _) => 2,
            (4 | 5, false) => 4,
            (6, false) => 5,
            (4 | 5, true) => 6,
            (6, true) => 8,
            (7, _) => 12,
            (8, _) => 19,
            (9, _) => 28,
            // a tree as large as the window
            _ => 8 + ((12 << window) / MIB),
        };
        tables * MIB + (4 << window)
    }

    fn is_slow(&self) -> bool {
        self.level >= SLOW
    }

    fn begin(&self, length: Option<u64>) -> Box<dyn Encode> {
        let window = i32::try_from(self.window_log(length)).unwrap_or_default();
        let mut params =
            EncoderParams::default().quality(Level::Precise(self.level)).mode(self.mode).window_size(window);
        if let Some(log) = self.block_log {
            params = params.block_size(log);
        }
        if let Some(length) = length.and_then(|length| usize::try_from(length).ok()) {
            params = params.size_hint(length);
        }
        Box::new(BrotliEncoder::new(params))
    }
}
