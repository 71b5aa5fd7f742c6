//! The fields of a block.
use serde::Deserialize;

use crate::plugins::limit::{Backend, KeyType};

/// Options of `limit-req`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct LimitReqConfig {
    /// Requests per second, above 0; need not be whole. Required.
    pub rate: Option<f64>,
    /// Requests above the rate that wait, or pass at once with `nodelay`; 0 or more. Required.
    pub burst: Option<f64>,
    /// What names the bucket, as `key_type` says. Required.
    pub key: Option<String>,
    /// `var` (default): the name of one variable. `var_combination`: a template.
    pub key_type: KeyType,
    /// Whether requests within the burst pass without waiting. Default `false`.
    pub nodelay: bool,
    /// Status of a rejection, 200 to 599. Default 503.
    pub rejected_code: u16,
    /// Text of a rejection's body `{"error_msg":"…"}`, at least 1 character. Default: no body.
    pub rejected_msg: Option<String>,
    /// Where the buckets are kept. Not in `redis-sentinel`.
    #[serde(flatten, deserialize_with = "Backend::rest")]
    pub backend: Backend,
}

impl Default for LimitReqConfig {
    fn default() -> Self {
        Self {
            rate: None,
            burst: None,
            key: None,
            key_type: KeyType::default(),
            nodelay: false,
            rejected_code: 503,
            rejected_msg: None,
            backend: Backend::default(),
        }
    }
}

impl LimitReqConfig {
    /// `rate` requests per second and `burst` above it, for each value of the variable `key`.
    pub fn new(rate: f64, burst: f64, key: impl Into<String>) -> Self {
        Self { rate: Some(rate), burst: Some(burst), key: Some(key.into()), ..Self::default() }
    }
}
