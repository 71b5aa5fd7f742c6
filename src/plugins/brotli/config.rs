//! The options.
use serde::Deserialize;

use crate::plugins::compress::Types;

/// Options of `brotli`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BrotliConfig {
    /// Media types that are compressed, without parameters, or `"*"` for all. Default `["text/html"]`.
    pub types: Types,
    /// Bytes from which on an answer is compressed; one of unknown length always is. Default 20.
    pub min_length: u64,
    /// What the text is like: 0 for anything, 1 for UTF-8 text, 2 for fonts (WOFF 2.0). Default 0.
    pub mode: u32,
    /// How hard to try: 0 (fast) to 11 (small). Default 6.
    pub comp_level: u32,
    /// Logarithm of the window in bytes, 10 to 24, or 0 for the encoder's choice (22). Default 19 (512 KiB).
    pub lgwin: u32,
    /// Logarithm of the largest block in bytes, 16 to 24, or 0 for the encoder's choice. Default 0.
    pub lgblock: u32,
    /// The least version of HTTP that a request must have: 1.1 or 1.0. Default 1.1.
    pub http_version: f64,
    /// Whether the answer says `Vary: Accept-Encoding`. Default `true`.
    pub vary: bool,
}

impl Default for BrotliConfig {
    fn default() -> Self {
        Self {
            types: Types::default(),
            min_length: 20,
            mode: 0,
            comp_level: 6,
            lgwin: 19,
            lgblock: 0,
            http_version: 1.1,
            vary: true,
        }
    }
}
