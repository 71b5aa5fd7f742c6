//! HTTP towards the authority: bounded, and what it says about when to come again is kept.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use crate::fetch::{Fetch, Reach};

/// A clone shares its connections.
#[derive(Clone)]
pub(super) struct Wire {
    fetch: Fetch,
    /// Until when the authority wants to be left alone, in Unix seconds; 0 for no wish.
    quiet_until: Arc<AtomicU64>,
}

impl Wire {
    pub(super) fn new(roots: Option<String>) -> Result<Self, String> {
        let reach = Reach { roots, plain: false, patience: Duration::from_secs(30), most: 512 * 1024 };
        Ok(Self { fetch: Fetch::new(reach)?, quiet_until: Arc::default() })
    }

    /// How much longer the authority wants to be left alone, if it said so since the last call.
    pub(super) fn asked(&self) -> Option<Duration> {
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(self.quiet_until.swap(0, Relaxed)))?;
        until.duration_since(SystemTime::now()).ok()
    }
}

/// `Retry-After` of an answer that says no, in Unix seconds.
fn quiet_until(answer: &Response<Bytes>) -> Option<u64> {
    let refused = matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let text = answer.headers().get(RETRY_AFTER).filter(|_| refused)?.to_str().ok()?.trim();
    let until = match text.parse().ok().map(Duration::from_secs) {
        Some(wait) => SystemTime::now().checked_add(wait)?,
        None => httpdate::parse_http_date(text).ok()?,
    };
    Some(until.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let wire = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(head, Full::new(body.to_bytes()));
            let answer = wire.fetch.send(request).await.map_err(|error| Error::Other(error.into()))?;
            if let Some(until) = quiet_until(&answer) {
                wire.quiet_until.store(until, Relaxed);
            }
            let (parts, body) = answer.into_parts();
            // A proxy's page is no answer of an authority, and would be told as a fault of JSON.
            let is_json = parts
                .headers
                .get(http::header::CONTENT_TYPE)
                .is_none_or(|kind| kind.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json")));
            if (parts.status.is_client_error() || parts.status.is_server_error()) && !is_json {
                return Err(Error::Other(format!("the directory's server answered {}", parts.status).into()));
            }
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_of_refusals() {
        let answer = |status: u16, field: &str| {
            Response::builder().status(status).header(RETRY_AFTER, field).body(Bytes::new()).unwrap()
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let wait = |status, field: &str| quiet_until(&answer(status, field)).map(|until| until.saturating_sub(now));
        assert!(matches!(wait(429, "120"), Some(119..=121)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
        assert!(matches!(wait(503, &date), Some(3598..=3601)));
        assert_eq!(wait(200, "120"), None, "an order that runs says when to look again");
        for nonsense in ["", "soon", "-1", "18446744073709551615"] {
            assert_eq!(wait(429, nonsense), None, "{nonsense}");
        }
    }
}
