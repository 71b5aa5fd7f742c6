//! The limit, the clock and the trailers of request bodies (security.md LIM-03, LIM-07, H1-17).
//!
//! Our own connections keep the clock themselves, and our HTTP/1 codec drops trailers. Bodies that hyper reads have
//! neither clock nor filter, so they get both here.
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::request::{BodyLimit, take_off};
use crate::{Body, BodyError};

/// Bytes a second that a body must bring on average, once [`GRACE`] has passed.
const LEAST_RATE: u64 = 1024;
/// From when on the average counts.
const GRACE: Duration = Duration::from_secs(10);

/// What a body needs that hyper reads.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    /// Longest time without a byte; `None` where a connection of our own keeps the clock.
    pub(crate) idle: Option<Duration>,
    /// Whether trailers pass, as they do over HTTP/2, apart from those that may never trail and from these fields, by
    /// which plugins tell upstreams who calls (security.md HOP-05).
    pub(crate) trailers: Option<Arc<[HeaderName]>>,
}

/// Puts the limit, and what a foreign body needs, around a body. `Err` when it announces too much.
pub(crate) fn guard(body: Body, limit: u64, foreign: Option<Foreign>) -> Result<Body, BodyError> {
    if body.is_empty() {
        return Ok(body);
    }
    let hint = body.size_hint();
    if hint.lower() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    // Bytes at hand bring no more and are not waited for. Of a body of known length the framing is the end.
    if body.as_bytes().is_some() || foreign.is_none() && hint.upper().is_some_and(|most| most <= limit) {
        return Ok(body);
    }
    Ok(Body::stream(Guarded::new(body, Limit::Fixed(limit), foreign)))
}

/// As [`guard`], with a limit that layers may still change: what a body announces is held against it when it is read.
pub(crate) fn guard_within(body: Body, limit: BodyLimit, foreign: Option<Foreign>) -> Body {
    if body.is_empty() {
        return body;
    }
    Body::stream(Guarded::new(body, Limit::Shared(limit), foreign))
}

struct Guarded {
    inner: Body,
    seen: u64,
    limit: Limit,
    trailers: Trailers,
    clock: Option<BodyClock>,
}

/// What becomes of trailers.
enum Trailers {
    /// They are left out.
    Dropped,
    /// They pass without what may never trail, and without these.
    Stripped(Option<Arc<[HeaderName]>>),
}

enum Limit {
    Fixed(u64),
    Shared(BodyLimit),
}

impl Limit {
    fn get(&self) -> u64 {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Shared(limit) => limit.get(),
        }
    }
}

impl Guarded {
    fn new(inner: Body, limit: Limit, foreign: Option<Foreign>) -> Self {
        let clock = foreign.as_ref().and_then(|foreign| foreign.idle).map(BodyClock::new);
        let trailers = match foreign.map(|foreign| foreign.trailers) {
            Some(None) => Trailers::Dropped,
            Some(fields) => Trailers::Stripped(fields),
            None => Trailers::Stripped(None),
        };
        Self { inner, seen: 0, limit, trailers, clock }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        let limit = me.limit.get();
        if me.seen == 0 && me.inner.size_hint().lower() > limit {
            return Poll::Ready(Some(Err(BodyError::TooLarge { limit })));
        }
        let mut frame = match Pin::new(&mut me.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                if let Some(clock) = &mut me.clock {
                    ready!(clock.poll_late(cx));
                    return Poll::Ready(Some(Err(BodyError::Timeout)));
                }
                return Poll::Pending;
            }
        };
        if let Some(Ok(some)) = &mut frame
            && let Some(trailers) = some.trailers_mut()
        {
            let Trailers::Stripped(fields) = &me.trailers else { return Poll::Ready(None) };
            crate::hop::strip_trailers(trailers);
            if let Some(fields) = fields {
                take_off(trailers, fields);
            }
        }
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            me.seen = me.seen.saturating_add(data.len() as u64);
            if me.seen > limit {
                return Poll::Ready(Some(Err(BodyError::TooLarge { limit })));
            }
            if me.clock.as_mut().is_some_and(|clock| clock.is_too_slow(me.seen)) {
                return Poll::Ready(Some(Err(BodyError::Timeout)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

struct BodyClock {
    begun: Option<Instant>,
    idle: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl BodyClock {
    fn new(idle: Duration) -> Self {
        Self { begun: None, idle, sleep: None }
    }

    /// Ready once no byte came for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.begun.get_or_insert_with(Instant::now);
        let idle = self.idle;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        sleep.as_mut().poll(cx)
    }

    /// Takes note of progress; true when it is too little on average.
    fn is_too_slow(&mut self, seen: u64) -> bool {
        self.sleep = None;
        let elapsed = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        elapsed > GRACE && seen < elapsed.as_secs() * LEAST_RATE
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn drip(pause: Duration, bytes: usize, times: usize) -> Body {
        let frames = futures_util::stream::iter(0..times).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, BodyError>(Frame::data(Bytes::from(vec![b'x'; bytes])))
        });
        Body::new(StreamBody::new(Box::pin(frames)))
    }

    #[tokio::test]
    async fn sec_lim_03_counts_what_comes_not_what_is_announced() {
        assert!(matches!(guard(Body::from("12345"), 4, None), Err(BodyError::TooLarge { limit: 4 })));
        let body = guard(drip(Duration::ZERO, 3, 2), 5, None).unwrap();
        assert!(matches!(body.buffer(100).await, Err(BodyError::TooLarge { limit: 5 })));
        let body = guard(drip(Duration::ZERO, 3, 2), 6, None).unwrap();
        assert_eq!(body.buffer(100).await.unwrap().len(), 6);
    }

    #[tokio::test]
    async fn sec_lim_03_a_limit_that_is_set_later_counts() {
        let limit = BodyLimit::new(4);
        let body = guard_within(Body::from("12345"), limit.clone(), None);
        limit.set(5);
        assert_eq!(body.buffer(100).await.unwrap(), "12345");
        let body = guard_within(Body::from("123456"), limit.clone(), None);
        assert!(matches!(body.buffer(100).await, Err(BodyError::TooLarge { limit: 5 })));
        let body = guard_within(drip(Duration::ZERO, 3, 2), limit, None);
        assert!(matches!(body.buffer(100).await, Err(BodyError::TooLarge { limit: 5 })));
    }

    #[tokio::test]
    async fn sec_h1_17_trailers_pass_over_http_2_without_what_may_never_trail() {
        let body = || {
            let mut trailers = http::HeaderMap::new();
            for name in ["x-sum", "host", "authorization", "content-length", "connection", "x-user", "x_user"] {
                trailers.insert(name, http::HeaderValue::from_static("1"));
            }
            let frames = [Ok::<_, BodyError>(Frame::data(Bytes::from("abc"))), Ok(Frame::trailers(trailers))];
            Body::new(StreamBody::new(futures_util::stream::iter(frames)))
        };
        let fields = Arc::from([HeaderName::from_static("x-user")]);
        for (trailers, names) in [(Some(fields), vec!["x-sum"]), (None, Vec::new())] {
            let foreign = Foreign { idle: Some(Duration::from_secs(15)), trailers };
            let whole = guard(body(), 10, Some(foreign)).unwrap().collect().await.unwrap();
            let kept: Vec<_> = whole.trailers().into_iter().flat_map(http::HeaderMap::keys).cloned().collect();
            assert_eq!(kept, names);
            assert_eq!(whole.to_bytes(), "abc");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sec_lim_07_silence_and_drips_end_a_body() {
        let idle = || Some(Foreign { idle: Some(Duration::from_secs(15)), trailers: None });
        let body = guard(drip(Duration::from_secs(16), 9000, 2), u64::MAX, idle()).unwrap();
        assert!(matches!(body.buffer(usize::MAX).await, Err(BodyError::Timeout)));
        let begun = Instant::now();
        let body = guard(drip(Duration::from_secs(1), 1, 60), u64::MAX, idle()).unwrap();
        assert!(matches!(body.buffer(usize::MAX).await, Err(BodyError::Timeout)));
        assert!(begun.elapsed() < Duration::from_secs(13));
        let body = guard(drip(Duration::from_secs(14), 30_000, 4), u64::MAX, idle()).unwrap();
        assert_eq!(body.buffer(usize::MAX).await.unwrap().len(), 120_000);
    }
}
