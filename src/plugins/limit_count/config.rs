//! The fields of a block.
use serde::Deserialize;

use crate::plugins::limit::{Amount, Backend, KeyType};

/// Options of `limit-count`. Either `count` and `time_window`, or `rules`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct LimitCountConfig {
    /// Requests in a window, above 0; or a template that gives the number.
    pub count: Option<Amount>,
    /// Seconds, above 0; or a template that gives the number.
    pub time_window: Option<Amount>,
    /// `fixed` (default) or `sliding`.
    pub window_type: WindowType,
    /// What names the counter, as `key_type` says. Default `remote_addr`.
    pub key: String,
    /// `var` (default): the name of one variable. `var_combination`: a template. `constant`: one counter for all.
    pub key_type: KeyType,
    /// Several counters, charged in order, in place of `count` and `time_window`; not with `group`.
    pub rules: Option<Vec<LimitCountRule>>,
    /// Blocks of the same group share their counters, whatever they are written on, and have to be equal. To change a
    /// group's numbers, give it another name. Not empty.
    pub group: Option<String>,
    /// Status of a rejection, 200 to 599. Default 503.
    pub rejected_code: u16,
    /// Text of a rejection's body `{"error_msg":"…"}`, at least 1 character. Default: no body.
    pub rejected_msg: Option<String>,
    /// Whether answers tell of the limit. Default `true`.
    pub show_limit_quota_header: bool,
    /// Seconds between two reports to Redis, 0.1 or more and less than `time_window`; -1 (default): every request asks Redis.
    /// Of the policies of Redis alone.
    pub sync_interval: f64,
    /// Where the counters are kept.
    #[serde(flatten, deserialize_with = "Backend::rest")]
    pub backend: Backend,
}

impl Default for LimitCountConfig {
    fn default() -> Self {
        Self {
            count: None,
            time_window: None,
            window_type: WindowType::default(),
            key: "remote_addr".to_owned(),
            key_type: KeyType::default(),
            rules: None,
            group: None,
            rejected_code: 503,
            rejected_msg: None,
            show_limit_quota_header: true,
            sync_interval: -1.0,
            backend: Backend::default(),
        }
    }
}

impl LimitCountConfig {
    /// `count` requests in `time_window` seconds for each client address.
    pub fn new(count: u64, time_window: u64) -> Self {
        Self { count: Some(count.into()), time_window: Some(time_window.into()), ..Self::default() }
    }
}

/// The kind of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WindowType {
    /// Begins with its first request. At its edge up to twice the limit may come at once.
    #[default]
    Fixed,
    /// Estimates the time just past.
    Sliding,
}

/// One of several counters.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitCountRule {
    /// Requests in a window, above 0; or a template that gives the number. Required.
    pub count: Amount,
    /// Seconds, above 0; or a template that gives the number. Required.
    pub time_window: Amount,
    /// Template that names the counter. The rule is left out for a request that has none of its variables. Required.
    pub key: String,
    /// Stands in the names of the answer's fields: `X-<header_prefix>-RateLimit-Limit`. Default: the rule's number, from 1.
    pub header_prefix: Option<String>,
}

/// Metadata of `limit-count`: names of the answer's fields, for the whole gateway.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitCountMetadata {
    /// Default `X-RateLimit-Limit`.
    pub limit_header: String,
    /// Default `X-RateLimit-Remaining`.
    pub remaining_header: String,
    /// Default `X-RateLimit-Reset`.
    pub reset_header: String,
}

impl Default for LimitCountMetadata {
    fn default() -> Self {
        Self {
            limit_header: "X-RateLimit-Limit".to_owned(),
            remaining_header: "X-RateLimit-Remaining".to_owned(),
            reset_header: "X-RateLimit-Reset".to_owned(),
        }
    }
}
