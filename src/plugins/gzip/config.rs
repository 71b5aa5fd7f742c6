//! The options.
use serde::Deserialize;

use crate::plugins::compress::Types;

/// Options of `gzip`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct GzipConfig {
    /// Media types that are compressed, without parameters, or `"*"` for all. Default `["text/html"]`.
    pub types: Types,
    /// Bytes from which on an answer is compressed; one of unknown length always is. Default 20.
    pub min_length: u64,
    /// How hard to try: 1 (fast) to 9 (small). Default 1.
    pub comp_level: u32,
    /// The least version of HTTP that a request must have: 1.1 or 1.0. Default 1.1.
    pub http_version: f64,
    /// Taken for files of others; it has no effect, as bodies stream through a buffer of fixed size. Default 32 of 4096 bytes.
    pub buffers: Buffers,
    /// Whether the answer says `Vary: Accept-Encoding`. Default `true`.
    pub vary: bool,
}

/// Buffers of the catalogue's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Buffers {
    /// How many, 1 or more. Default 32.
    pub number: u32,
    /// Bytes of each, 1 or more. Default 4096.
    pub size: u32,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { number: 32, size: 4096 }
    }
}

impl Default for GzipConfig {
    fn default() -> Self {
        Self {
            types: Types::default(),
            min_length: 20,
            comp_level: 1,
            http_version: 1.1,
            buffers: Buffers::default(),
            vary: true,
        }
    }
}
