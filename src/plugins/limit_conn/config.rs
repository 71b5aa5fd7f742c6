//! The fields of a block.
use serde::Deserialize;

use crate::plugins::limit::{Amount, Backend, KeyType};

/// Options of `limit-conn`. Either `conn`, `burst` and `key`, or `rules`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[non_exhaustive]
pub struct LimitConnConfig {
    /// Requests that run at once without waiting, above 0; or a template that gives the number.
    pub conn: Option<Amount>,
    /// Requests above `conn` that wait before they run, 0 or more; or a template that gives the number.
    pub burst: Option<Amount>,
    /// Seconds that a request above `conn` waits for each time that the crowd is as large as `conn`, above 0. Required.
    pub default_conn_delay: Option<f64>,
    /// Taken and without effect: delays are not learnt from latencies.
    pub only_use_default_delay: bool,
    /// What names the crowd, as `key_type` says.
    pub key: Option<String>,
    /// `var` (default): the name of one variable. `var_combination`: a template.
    pub key_type: KeyType,
    /// Several crowds, entered in order, in place of `conn`, `burst` and `key`.
    pub rules: Option<Vec<LimitConnRule>>,
    /// Status of a rejection, 200 to 599. Default 503.
    pub rejected_code: u16,
    /// Text of a rejection's body `{"error_msg":"…"}`, at least 1 character. Default: no body.
    pub rejected_msg: Option<String>,
    /// Seconds after which a request is no longer counted in Redis, 1 or more. Default 3600. Of the policies of Redis alone.
    pub key_ttl: Option<u64>,
    /// Where the crowds are kept. Not in `redis-sentinel`.
    #[serde(flatten, deserialize_with = "Backend::rest")]
    pub backend: Backend,
}

impl Default for LimitConnConfig {
    fn default() -> Self {
        Self {
            conn: None,
            burst: None,
            default_conn_delay: None,
            only_use_default_delay: false,
            key: None,
            key_type: KeyType::default(),
            rules: None,
            rejected_code: 503,
            rejected_msg: None,
            key_ttl: None,
            backend: Backend::default(),
        }
    }
}

impl LimitConnConfig {
    /// `conn` requests at once and `burst` above them, which wait by `delay` seconds, for each value of the variable `key`.
    pub fn new(conn: u64, burst: u64, delay: f64, key: impl Into<String>) -> Self {
        Self {
            conn: Some(conn.into()),
            burst: Some(burst.into()),
            default_conn_delay: Some(delay),
            key: Some(key.into()),
            ..Self::default()
        }
    }
}

/// One of several crowds.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LimitConnRule {
    /// Requests that run at once without waiting, above 0; or a template. Required.
    pub conn: Amount,
    /// Requests above `conn` that wait, 0 or more; or a template. Required.
    pub burst: Amount,
    /// Template that names the crowd. The rule is left out for a request that has none of its variables. Required.
    pub key: String,
}
