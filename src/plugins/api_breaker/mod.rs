//! `api-breaker`: stops asking an upstream that answers with errors, and answers in its place for a while. Stage:
//! access.
//!
//! 1. After `unhealthy.failures` answers with one of `unhealthy.http_statuses`, without `healthy.successes` healthy
//!    ones in between, the breaker opens: for 2 seconds the first time, then 4, 8, … up to `max_breaker_sec`. With
//!    `unhealthy.min_requests` it opens only if enough was asked within `unhealthy.window_sec`; with
//!    `unhealthy.failure_ratio` if enough of that failed, `unhealthy.failures` at least, however many healthy ones came
//!    in between.
//! 2. While it is open, requests are answered with `break_response_code`, `break_response_body` and, beside a body,
//!    `break_response_headers`; with `fallback_upstream_id` another upstream is asked instead. A 429 or 503 says in
//!    `Retry-After` when it is over.
//! 3. Then requests pass again; with `half_open_requests` only so many at a time, as probes: the others are answered as
//!    before. A probe that fails opens the breaker at once. One without an answer is given up after 10 seconds, or
//!    `max_breaker_sec` if that is less, and another one may try: no slow client keeps the others out.
//! 4. After `healthy.successes` answers with one of `healthy.http_statuses` the breaker is closed, and all counts begin
//!    anew.
//!
//! Only statuses of the upstream count, those of the last attempt; with `unhealthy.no_answer` it also counts as
//! unhealthy when there is no answer of it (502 and 504 of the gateway's own). Other answers of the gateway, such as
//! those of limiters, change nothing, nor do statuses of neither list, nor answers to what was asked before the breaker
//! opened, whenever they come. While the upstream of `fallback_upstream_id` answers, `traffic-split` picks nothing.
//!
//! Each value of `key` has a breaker of its own, by default the host and the path; a template such as `$host` or
//! `$route_id` keeps paths like `/user/1` and `/user/2` together. Breakers belong to the resource that the block is
//! written on. They are in the memory of this process, at most 1,048,576 of them
//! (`tollgate.plugin_attr.api-breaker.max_keys`; beyond that the one that would be forgotten first goes), and one of
//! which nothing was heard for `max_breaker_sec` is forgotten. The metrics `api_breaker_keys` and
//! `api_breaker_evicted_total` tell how many there are, and how many had to go.
//!
//! ```
//! use tollgate::plugins::api_breaker::{ApiBreakerConfig, ApiBreakerLayer};
//!
//! let mut config = ApiBreakerConfig::default();
//! config.break_response_code = 503;
//! config.key = "$host".to_owned();
//! config.half_open_requests = Some(1);
//! let layer = ApiBreakerLayer::new(config)?; // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"api-breaker": {
//!   "break_response_code": 503,
//!   "unhealthy": {"http_statuses": [500, 503], "failures": 3, "no_answer": true},
//!   "healthy": {"http_statuses": [200], "successes": 2},
//!   "half_open_requests": 1
//! }}
//! ```
mod breaker;
mod config;
mod counts;
mod plugin;
mod state;
#[cfg(test)]
mod tests;

pub use breaker::{ApiBreaker, ApiBreakerLayer};
pub use config::{ApiBreakerConfig, BreakerHeader, Healthy, Unhealthy};
pub use plugin::ApiBreakerPlugin;
