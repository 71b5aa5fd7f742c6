//! `limit-conn`: so many requests at once, for each key. Stage: access, priority 1003.
//!
//! Decision:
//! 1. The key names the crowd. Where its variable is missing, the client's address is the key. With `rules` there is one
//!    crowd for each rule whose key has at least one variable of the request and whose numbers are numbers; if there is none,
//!    the request cannot be counted (4).
//! 2. With more than `conn` and `burst` together running, the request is answered with `rejected_code`, with
//!    `{"error_msg":"<rejected_msg>"}` or without a body. It is not counted, and rules before the one that rejected are given
//!    back.
//! 3. Above `conn` it waits `default_conn_delay` × ⌊(running − 1) / `conn`⌋ seconds before it goes on; with rules, for each.
//! 4. A request that cannot be counted gets 500 without a body, passes, or is counted in this process, as
//!    `allow_degradation` and `degradation` say.
//!
//! A place is held until the answer's body has ended or is dropped, or the tunnel of an upgrade has, whatever ends it: a
//! failing upstream, a client that goes away, another plugin.
//!
//! In Redis a crowd is the sorted set `limit_conn:<owner>:<version of the block>:<key>` of one member for each request, with
//! the time at which it is no longer counted, `key_ttl` after its begin, as the score. So the places of a gateway that died
//! come free, and a request that takes longer than `key_ttl` stops being counted. Where Redis does not take a place back, it
//! is tried again.
//!
//! Reads: what `key` names. Writes: nothing. Caveats: a WebSocket holds its place for as long as it lives; delays are not
//! learnt from latencies, so that `only_use_default_delay` changes nothing.
//!
//! ```
//! use http::Request;
//! use tollgate::plugins::limit_conn::{LimitConnConfig, LimitConnLayer};
//! use tollgate::{Body, Next, Response};
//! use tower::{Layer as _, ServiceExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let layer = LimitConnLayer::new(LimitConnConfig::new(1, 0, 0.1, "remote_addr"))?;
//! let slow = Next::from_fn(|_| async {
//!     tokio::task::yield_now().await;
//!     Response::new(Body::from("hello"))
//! });
//! let service = layer.layer(slow);
//! let ask = || service.clone().oneshot(Request::new(Body::empty()));
//! let (first, second) = tokio::join!(ask(), ask());
//! assert_eq!((first?.status().as_u16(), second?.status().as_u16()), (200, 503));
//! assert_eq!(ask().await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! ```json
//! {"limit-conn": {"conn": 10, "burst": 5, "default_conn_delay": 0.1, "key": "consumer_name", "rejected_code": 429}}
//! ```
mod config;
mod hold;
mod limiter;
mod plugin;
mod rule;
#[cfg(test)]
mod tests;

pub use config::{LimitConnConfig, LimitConnRule};
pub use limiter::{LimitConn, LimitConnLayer};
pub use plugin::LimitConnPlugin;
