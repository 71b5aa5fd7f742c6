//! The options.
use serde::Deserialize;

use crate::model::Id;

/// Options of `api-breaker`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiBreakerConfig {
    /// Status while the breaker is open, 200 to 599. Required.
    pub break_response_code: u16,
    /// Body while the breaker is open, as it is. Default: none.
    pub break_response_body: Option<String>,
    /// Fields beside that body; values are templates. Not sent without `break_response_body`. Default: none.
    pub break_response_headers: Vec<BreakerHeader>,
    /// The longest that the breaker stays open at a time, in seconds, 3 or more. Default 300.
    pub max_breaker_sec: u32,
    /// What opens it.
    pub unhealthy: Unhealthy,
    /// What closes it.
    pub healthy: Healthy,
    /// **Extension.** What has a breaker of its own: a template. Default `$host$uri`.
    pub key: String,
    /// **Extension.** How many requests at a time find out whether the upstream has recovered, 1 or more. Default: all
    /// do.
    pub half_open_requests: Option<u32>,
    /// **Extension.** The id of an upstream that answers while the breaker is open. Default: none.
    pub fallback_upstream_id: Option<Id>,
}

impl Default for ApiBreakerConfig {
    fn default() -> Self {
        Self {
            break_response_code: 0,
            break_response_body: None,
            break_response_headers: Vec::new(),
            max_breaker_sec: 300,
            unhealthy: Unhealthy::default(),
            healthy: Healthy::default(),
            key: "$host$uri".to_owned(),
            half_open_requests: None,
            fallback_upstream_id: None,
        }
    }
}

/// A field of the answer while the breaker is open.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BreakerHeader {
    /// Its name. Required.
    pub key: String,
    /// Its value, a template of at least 1 character. Required.
    pub value: String,
}

impl BreakerHeader {
    /// A field.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

/// What opens a breaker.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Unhealthy {
    /// Statuses of the upstream that count, 500 to 599, at least one, none twice. Default `[500]`.
    pub http_statuses: Vec<u16>,
    /// How many of them open the breaker, 1 or more. Default 3.
    pub failures: u32,
    /// **Extension.** Whether it counts, too, when the upstream cannot be reached, breaks off or is too slow. Default
    /// `false`.
    pub no_answer: bool,
    /// **Extension.** It opens only if at least so many answers were counted within `window_sec`, 1 or more. Default:
    /// any number.
    pub min_requests: Option<u32>,
    /// **Extension.** It opens if at least this share of the answers within `window_sec` was unhealthy, and `failures`
    /// of them at least: more than 0, up to 1. Default: the share does not count, but whether `failures` came without
    /// `successes` in between.
    pub failure_ratio: Option<f64>,
    /// **Extension.** Seconds for these two, 1 to 86,400; what is counted are the current window and the one before it.
    /// Default 10.
    pub window_sec: u32,
}

impl Default for Unhealthy {
    fn default() -> Self {
        Self {
            http_statuses: vec![500],
            failures: 3,
            no_answer: false,
            min_requests: None,
            failure_ratio: None,
            window_sec: 10,
        }
    }
}

/// What closes a breaker.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Healthy {
    /// Statuses of the upstream that count, 200 to 499, at least one, none twice. Default `[200]`.
    pub http_statuses: Vec<u16>,
    /// How many of them close the breaker, 1 or more. Default 3.
    pub successes: u32,
}

impl Default for Healthy {
    fn default() -> Self {
        Self { http_statuses: vec![200], successes: 3 }
    }
}
