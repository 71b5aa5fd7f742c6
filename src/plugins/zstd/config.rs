//! The options.
use serde::Deserialize;

use crate::plugins::compress::Types;

/// Options of `zstd`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ZstdConfig {
    /// Media types that are compressed, without parameters, or `"*"` for all. Default `["text/html"]`.
    pub types: Types,
    /// Bytes from which on an answer is compressed; one of unknown length always is. Default 20.
    pub min_length: u64,
    /// How hard to try: 1 (fast) to 19 (small). Default 3.
    pub comp_level: u32,
    /// Logarithm of the window in bytes, 10 to 23. Default 19 (512 KiB).
    pub window_log: u32,
    /// The least version of HTTP that a request must have: 1.1 or 1.0. Default 1.1.
    pub http_version: f64,
    /// Whether the answer says `Vary: Accept-Encoding`. Default `true`.
    pub vary: bool,
}

impl Default for ZstdConfig {
    fn default() -> Self {
        Self { types: Types::default(), min_length: 20, comp_level: 3, window_log: 19, http_version: 1.1, vary: true }
    }
}
