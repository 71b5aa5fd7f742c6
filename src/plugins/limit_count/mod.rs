//! `limit-count`: so many requests in a span of time, for each key. Stage: access, priority 1002.
//!
//! Decision:
//! 1. The key names the counter. Where its variable is missing, the client's address is the key. With `rules` there is one
//!    counter for each rule whose key has at least one variable of the request; if there is none, the request cannot be
//!    counted (5).
//! 2. Numbers that are templates are filled in. One that is no whole number above 0 cannot be counted by (5).
//! 3. The counters are charged in order, and the first that is over its limit answers: `rejected_code`, with
//!    `{"error_msg":"<rejected_msg>"}` or without a body.
//! 4. Each counter that was charged is told in the answer, also where it came from the upstream: `X-RateLimit-Limit`,
//!    `X-RateLimit-Remaining`, and `X-RateLimit-Reset` in seconds. With rules their names begin with `X-<prefix or number>-`.
//! 5. A request that cannot be counted gets 500, passes, or is counted in this process, as `allow_degradation` and
//!    `degradation` say. Where Redis failed the body is `{"error_msg":"failed to limit count"}`, else there is none.
//!
//! A **fixed** window begins with its first request and counts what it rejects. A **sliding** one estimates what the last
//! `time_window` seconds saw, as the current bucket and the part of the one before it that it still covers; what it rejects
//! does not count.
//!
//! Whose counter it is: see [`limit`](crate::plugins::limit). In Redis a fixed window is the key
//! `plugin-limit-count:v1:<owner>:<version of the block>:<key>`.
//!
//! With `sync_interval` a fixed window is decided in this process, on what Redis told last, and Redis is told once in an
//! interval. Beyond `count` go at most as many requests as the *other* gateways admit within one interval and the time that
//! Redis takes to answer. Sliding windows, and windows no longer than the interval, ask Redis for every request.
//!
//! Reads: what `key` names. Writes: the three fields of the answer, and [`Exchange`](crate::Exchange)'s rate limit if a
//! layer asked for it. Caveats: counters of this process are gone when it ends, and n gateways allow n times the limit; at
//! `tollgate.plugin_attr.limit-count.max_keys` keys (1,048,576) the ones closest to their end are forgotten.
//!
//! ```
//! use http::Request;
//! use tollgate::plugins::limit_count::{LimitCountConfig, LimitCountLayer};
//! use tollgate::{Body, Next, Response};
//! use tower::{Layer as _, ServiceExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let mut config = LimitCountConfig::new(1, 60);
//! config.key = "http_x_tenant".to_owned();
//! config.rejected_code = 429;
//! let layer = LimitCountLayer::new(config)?;
//!
//! let service = layer.layer(Next::from_fn(|_| async { Response::new(Body::from("hello")) }));
//! let ask = || Request::builder().header("x-tenant", "acme").body(Body::empty());
//! let first = service.clone().oneshot(ask()?).await?;
//! assert_eq!((first.status().as_u16(), &first.headers()["x-ratelimit-remaining"]), (200, &"0".parse()?));
//! let second = service.oneshot(ask()?).await?;
//! assert_eq!(second.status(), 429);
//! # Ok(())
//! # }
//! ```
//!
//! ```json
//! {"limit-count": {"count": 20, "time_window": 60, "key_type": "var_combination", "key": "$consumer_name:$service_id",
//!   "rejected_code": 429, "rejected_msg": "quota used up", "policy": "redis", "redis_host": "cache.internal"}}
//! ```
mod config;
mod fields;
mod groups;
mod limiter;
mod plugin;
mod rule;
#[cfg(test)]
mod tests;

pub use config::{LimitCountConfig, LimitCountMetadata, LimitCountRule, WindowType};
pub use limiter::{LimitCount, LimitCountLayer};
pub use plugin::LimitCountPlugin;
