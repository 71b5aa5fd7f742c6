//! `limit-req`: a steady rate of requests for each key; what comes faster waits, or is turned away. Stage: access,
//! priority 1001.
//!
//! Decision (a leaky bucket, in thousandths of a request):
//! 1. The key names the bucket. Where its variable is missing, the client's address is the key.
//! 2. The first request finds an empty bucket and passes. Each further one adds itself to what has not leaked out yet, at
//!    `rate` a second; over `burst` it is answered with `rejected_code`, with `{"error_msg":"<rejected_msg>"}` or without a
//!    body, and changes nothing.
//! 3. Else it waits until the rate is kept, excess / `rate` seconds, unless `nodelay`.
//! 4. Where Redis cannot count, the request gets 500 without a body, passes, or is counted in this process, as
//!    `allow_degradation` and `degradation` say.
//!
//! Answers have no fields of the limit. In Redis a bucket is the hash `limit_req:<owner>:<version of the block>:<key>` with
//! the fields `excess`, in thousandths, and `last`, in milliseconds of Redis's clock; it lives until the bucket is empty and
//! as good as new (the catalogue forgets a slow bucket too early and then lets more than `rate` pass).
//!
//! Reads: what `key` names. Writes: nothing. Caveats: a request that waits looks slow to the client and to metrics, and holds
//! its place in other limits meanwhile; counters of this process as with [`limit_count`](crate::plugins::limit_count).
//!
//! ```
//! use http::Request;
//! use tollgate::plugins::limit_req::{LimitReqConfig, LimitReqLayer};
//! use tollgate::{Body, Next, Response};
//! use tower::{Layer as _, ServiceExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let layer = LimitReqLayer::new(LimitReqConfig::new(1.0, 0.0, "remote_addr"))?;
//! let service = layer.layer(Next::from_fn(|_| async { Response::new(Body::from("hello")) }));
//! assert_eq!(service.clone().oneshot(Request::new(Body::empty())).await?.status(), 200);
//! assert_eq!(service.oneshot(Request::new(Body::empty())).await?.status(), 503);
//! # Ok(())
//! # }
//! ```
//!
//! ```json
//! {"limit-req": {"rate": 10, "burst": 5, "key": "consumer_name", "rejected_code": 429, "nodelay": true}}
//! ```
mod config;
mod limiter;
mod plugin;
#[cfg(test)]
mod tests;

pub use config::LimitReqConfig;
pub use limiter::{LimitReq, LimitReqLayer};
pub use plugin::LimitReqPlugin;
