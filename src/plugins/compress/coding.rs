//! Content codings.
use std::fmt;

use compression_codecs::EncodeV2;
use http::HeaderValue;

/// The codings there are (RFC 9110 §8.4.1). A later one is taken before an earlier one that a client likes as much: it makes
/// less of the same text in the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(dead_code, reason = "each of a feature of its own")]
pub(crate) enum Kind {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Kind {
    /// As `Content-Encoding` says it.
    pub(super) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

/// A coding with its settings.
pub(crate) trait Coding: fmt::Debug + Send + Sync + 'static {
    /// Which it is.
    fn kind(&self) -> Kind;

    /// Bytes that an encoder takes at most for a body; of so many bytes, if that is known.
    fn cost(&self, length: Option<u64>) -> u64;

    /// Whether 16 KiB may take longer than about 10 ms, so that they are encoded beside the threads that serve.
    fn is_slow(&self) -> bool {
        false
    }

    /// Begins such a body.
    fn begin(&self, length: Option<u64>) -> Box<dyn Encode>;
}

/// A body on its way through an encoder.
pub(crate) trait Encode: EncodeV2 + Send {}

impl<E: EncodeV2 + Send> Encode for E {}

/// The logarithm of a window for a body of that length: no larger than `most`, as a larger one would cost memory for nothing.
#[cfg(any(feature = "brotli", feature = "zstd", test))]
pub(crate) fn window(most: u32, least: u32, length: Option<u64>) -> u32 {
    let needed = length.map_or(most, |length| u64::BITS - length.leading_zeros());
    needed.clamp(least.min(most), most)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_window_is_as_large_as_its_body() {
        for (length, expected) in [(None, 19), (Some(0), 10), (Some(1023), 10), (Some(1024), 11), (Some(1 << 30), 19)] {
            assert_eq!(window(19, 10, length), expected, "{length:?}");
        }
    }
}
