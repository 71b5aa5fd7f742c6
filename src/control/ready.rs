//! Probes: whether the process is up, and whether it is ready for traffic.
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::{Method, StatusCode};
use serde_json::json;
use tower::Service;

use super::reply;
use crate::Response;

/// `GET /status`: 200 once the process is up. `GET /status/ready`: 503 until it is ready, then 200 until it ends: an outage of
/// what configuration comes from takes no gateway out of service (config-sources.md §6).
#[derive(Clone)]
pub struct StatusApi(Arc<State>);

struct State {
    missing: Box<dyn Fn() -> Option<String> + Send + Sync>,
    ready: AtomicBool,
    ends: Box<dyn Fn() -> bool + Send + Sync>,
}

impl StatusApi {
    /// Probes of a process that is ready once `missing` says that nothing is missing any more.
    pub fn new(missing: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self::ending(missing, || false)
    }

    /// As [`new`](Self::new), of a process that is ready no longer once `ends` says that its end has begun, so that balancers
    /// lead no more traffic to it (security.md DRN-01).
    pub fn ending(
        missing: impl Fn() -> Option<String> + Send + Sync + 'static,
        ends: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(State { missing: Box::new(missing), ready: AtomicBool::new(false), ends: Box::new(ends) }))
    }

    fn answer(&self, method: &Method, path: &str) -> Response {
        let path = path.trim_end_matches('/');
        if path != "/status" && path != "/status/ready" {
            return reply::not_found("there is /status and /status/ready");
        }
        if method != Method::GET && method != Method::HEAD {
            return reply::wrong_method("GET, HEAD");
        }
        let missing = match path {
            "/status" => None,
            _ if (self.0.ends)() => Some("the process ends".to_owned()),
            _ if self.0.ready.load(Relaxed) => None,
            _ => (self.0.missing)(),
        };
        match missing {
            None => {
                if path == "/status/ready" {
                    self.0.ready.store(true, Relaxed);
                }
                reply::json(&json!({"status": "ok"}))
            }
            Some(missing) => {
                let body = json!({"error": missing, "status": "error"});
                reply::with(StatusCode::SERVICE_UNAVAILABLE, "application/json", format!("{body}\n"))
            }
        }
    }
}

impl<B> Service<http::Request<B>> for StatusApi {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri().path())))
    }
}

impl fmt::Debug for StatusApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusApi").field("ready", &self.0.ready).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_comes_and_stays() {
        let missing = Arc::new(AtomicBool::new(true));
        let api = {
            let missing = Arc::clone(&missing);
            StatusApi::new(move || missing.load(Relaxed).then(|| "no configuration yet".to_owned()))
        };
        let status = |path: &str| api.answer(&Method::GET, path).status().as_u16();
        assert_eq!((status("/status"), status("/status/ready"), status("/other")), (200, 503, 404));
        let body = api.answer(&Method::GET, "/status/ready").into_body();
        assert_eq!(body.as_bytes(), Some(&b"{\"error\":\"no configuration yet\",\"status\":\"error\"}\n"[..]));
        missing.store(false, Relaxed);
        assert_eq!(status("/status/ready"), 200);
        missing.store(true, Relaxed);
        assert_eq!(status("/status/ready"), 200);
        assert_eq!(api.answer(&Method::POST, "/status").status(), 405);
    }

    #[test]
    fn sec_drn_01_readiness_is_gone_when_the_end_begins() {
        let ends = Arc::new(AtomicBool::new(false));
        let api = {
            let ends = Arc::clone(&ends);
            StatusApi::ending(|| None, move || ends.load(Relaxed))
        };
        let status = |path: &str| api.answer(&Method::GET, path).status().as_u16();
        assert_eq!(status("/status/ready"), 200);
        ends.store(true, Relaxed);
        assert_eq!((status("/status/ready"), status("/status")), (503, 200));
    }
}
