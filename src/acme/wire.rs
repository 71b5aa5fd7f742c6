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

use super::Clock;
use crate::fetch::{Fetch, Reach};

/// Nobody is believed who asks for more.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// What too many orders of one kind cost the others at most: the limit may be that of one name, which is no reason to leave
/// all others without certificates.
const LONGEST_FOR_OTHERS: Duration = Duration::from_secs(60 * 60);

/// A clone shares its connections.
#[derive(Clone)]
pub(super) struct Wire {
    fetch: Fetch,
    clock: Clock,
    quiet: Arc<Quiet>,
}

/// Until when the authority wants to be left alone, in Unix seconds; 0 for no wish.
#[derive(Debug, Default)]
struct Quiet {
    /// By whoever was turned away.
    asked: AtomicU64,
    /// By all.
    all: AtomicU64,
}

/// An answer that is none of an authority.
#[derive(Debug, thiserror::Error)]
#[error("the directory's server answered {0}")]
pub(super) struct Answered(pub(super) StatusCode);

impl Wire {
    pub(super) fn new(roots: Option<String>, clock: Clock) -> Result<Self, String> {
        let reach = Reach { roots, plain: false, patience: Duration::from_secs(30), most: 512 * 1024 };
        Ok(Self { fetch: Fetch::new(reach)?, clock, quiet: Arc::default() })
    }

    /// How much longer the authority wants to be left alone by the order that it turned away last.
    pub(super) fn asked(&self) -> Option<Duration> {
        let until = UNIX_EPOCH + Duration::from_secs(self.quiet.asked.load(Relaxed));
        until.duration_since(self.clock.now()).ok().filter(|left| !left.is_zero())
    }

    /// Until when nobody is to come.
    pub(super) fn quiet_until(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.quiet.all.load(Relaxed))
    }

    #[cfg(test)]
    pub(super) fn be_quiet(&self, wait: Duration) {
        self.heed(&Response::builder().status(503).header(RETRY_AFTER, wait.as_secs()).body(()).unwrap_or_default());
    }

    /// Takes what an answer says of when to come again. For all it holds until it is over, whatever others are told meanwhile.
    fn heed<B>(&self, answer: &Response<B>) {
        let now = self.clock.now();
        let Some(wait) = retry_after(answer, now) else {
            if is_busy(answer.status()) {
                self.quiet.asked.store(0, Relaxed);
            }
            return;
        };
        let until = |wait: Duration| (now + wait).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let all = if answer.status() == StatusCode::TOO_MANY_REQUESTS { LONGEST_FOR_OTHERS } else { LONGEST };
        self.quiet.asked.store(until(wait.min(LONGEST)), Relaxed);
        self.quiet.all.fetch_max(until(wait.min(all)), Relaxed);
    }
}

/// Whether an authority turns away who comes too often, or all.
pub(super) fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// `Retry-After` of an answer that says no.
fn retry_after<B>(answer: &Response<B>, now: SystemTime) -> Option<Duration> {
    let text = answer.headers().get(RETRY_AFTER).filter(|_| is_busy(answer.status()))?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
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
            wire.heed(&answer);
            let (parts, body) = answer.into_parts();
            // A proxy's page is no answer of an authority, and would be told as a fault of JSON.
            let is_json = parts
                .headers
                .get(http::header::CONTENT_TYPE)
                .is_none_or(|kind| kind.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"json")));
            if (parts.status.is_client_error() || parts.status.is_server_error()) && !is_json {
                return Err(Error::Other(Answered(parts.status).into()));
            }
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, field: &str) -> Response<()> {
        Response::builder().status(status).header(RETRY_AFTER, field).body(()).unwrap()
    }

    #[test]
    fn retry_after_is_read_of_refusals() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let wait = |status, field: &str| retry_after(&answer(status, field), now).map(|wait| wait.as_secs());
        assert_eq!(wait(429, "120"), Some(120));
        assert_eq!(wait(503, &httpdate::fmt_http_date(now + Duration::from_secs(3600))), Some(3600));
        assert_eq!(wait(503, &httpdate::fmt_http_date(now - Duration::from_secs(3600))), None);
        assert_eq!(wait(200, "120"), None, "an order that runs says when to look again");
        for nonsense in ["", "soon", "-1", "18446744073709551616"] {
            assert_eq!(wait(429, nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_was_asked_for_holds_until_it_is_over_for_all_and_never_for_more_than_a_day() {
        let second = Duration::from_secs(1);
        let start = UNIX_EPOCH + 1_000_000 * second;
        let clock = Clock::manual(start);
        let wire = Wire::new(None, clock.clone()).unwrap();
        assert_eq!((wire.asked(), wire.quiet_until() <= start), (None, true));
        wire.heed(&answer(503, "120"));
        wire.heed(&answer(429, "60"));
        for _ in 0..2 {
            assert_eq!((wire.asked(), wire.quiet_until()), (Some(60 * second), start + 120 * second));
        }
        clock.advance(59 * second);
        assert_eq!(wire.asked(), Some(second));
        clock.advance(61 * second);
        assert_eq!((wire.asked(), wire.quiet_until() <= clock.now()), (None, true));

        let now = clock.now();
        wire.heed(&answer(429, "7200"));
        assert_eq!(wire.asked(), Some(7200 * second));
        assert_eq!(wire.quiet_until(), now + LONGEST_FOR_OTHERS, "it may be for one name alone");
        wire.heed(&Response::builder().status(429).body(()).unwrap());
        assert_eq!(wire.asked(), None, "what one name was told is not for another");
        wire.heed(&answer(503, "18446744073709551615"));
        assert_eq!((wire.asked(), wire.quiet_until()), (Some(LONGEST), now + LONGEST));
    }
}
