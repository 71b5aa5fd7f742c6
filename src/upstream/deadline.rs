//! How long a request may take in all: `timeout.total`, and what the caller of a gRPC method says by `grpc-timeout`.
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::{Body, BodyError, grpc};

/// The end of one request's time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Deadline {
    pub(crate) until: Instant,
    /// The caller of a gRPC method waits no longer; to him its end is a status of the call.
    is_call: bool,
    /// It is the upstream's own, not one that the caller chose.
    own: bool,
}

impl Deadline {
    /// The deadline of a request that begins now, if it has one: the earlier one of `total` and the caller's own, which is
    /// honoured up to `longest_call`.
    pub(crate) fn of(parts: &Parts, total: Option<Duration>, longest_call: Option<Duration>) -> Option<Self> {
        // gRPC is spoken over HTTP/2 alone, so that other requests need not be looked into.
        let is_call = parts.version >= Version::HTTP_2 && grpc::is_grpc(&parts.headers);
        let told = parts.headers.get(grpc::TIMEOUT).filter(|_| is_call).and_then(grpc::read_timeout);
        let of_call = match (told, longest_call.filter(|_| is_call)) {
            (Some(told), Some(longest)) => Some(told.min(longest)),
            (told, longest) => told.or(longest),
        };
        let time = match (total, of_call) {
            (Some(total), Some(of_call)) => total.min(of_call),
            (total, of_call) => total.or(of_call)?,
        };
        // A time beyond all calendars is none.
        let until = Instant::now().checked_add(time)?;
        let own = told.is_none_or(|told| time < told);
        Some(Self { until, is_call, own })
    }

    /// Its end, if it is the upstream's own: then an endpoint that lets it pass is too slow.
    pub(crate) fn of_the_upstream(self) -> Option<Instant> {
        self.own.then_some(self.until)
    }

    /// Tells an endpoint what is left of it, if it is to know: an endpoint that hears of more works for nobody.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        if self.is_call {
            let left = self.until.saturating_duration_since(Instant::now());
            headers.insert(grpc::TIMEOUT, grpc::write_timeout(left));
        }
    }

    /// Ends a response's body with it: for gRPC by a status, else by a cut.
    pub(crate) fn bound(self, body: Body) -> Body {
        if body.as_bytes().is_some() {
            return body;
        }
        Body::stream(Bounded { inner: body, clock: Box::pin(tokio::time::sleep_until(self.until)), deadline: self })
    }
}

/// A body that ends with a deadline.
struct Bounded {
    inner: Body,
    clock: Pin<Box<Sleep>>,
    deadline: Deadline,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if me.inner.as_bytes().is_some() || me.clock.as_mut().poll(cx).is_pending() {
            return Pin::new(&mut me.inner).poll_frame(cx);
        }
        // Its drop tells the endpoint that nobody waits any more.
        me.inner = Body::empty();
        Poll::Ready(Some(if me.deadline.is_call {
            let mut trailers = HeaderMap::with_capacity(2);
            trailers.insert(grpc::STATUS, HeaderValue::from(u16::from(grpc::DEADLINE_EXCEEDED)));
            trailers.insert(grpc::MESSAGE, HeaderValue::from_static("504 Gateway Timeout"));
            Ok(Frame::trailers(trailers))
        } else {
            Err(BodyError::Timeout)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    fn parts(version: Version, kind: &'static str, timeout: &'static str) -> Parts {
        let request = http::Request::builder().version(version).header("content-type", kind);
        request.header("grpc-timeout", timeout).body(()).unwrap().into_parts().0
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_deadline_holds() {
        let call = parts(Version::HTTP_2, "application/grpc+proto", "5S");
        let left = |parts: &Parts, total: Option<u64>, longest: Option<u64>| {
            let seconds = |time: Option<u64>| time.map(Duration::from_secs);
            let deadline = Deadline::of(parts, seconds(total), seconds(longest))?;
            Some(deadline.until.duration_since(Instant::now()).as_secs())
        };
        for (total, longest, expected) in
            [(None, None, 5), (Some(3), None, 3), (Some(9), None, 5), (None, Some(2), 2), (Some(9), Some(8), 5)]
        {
            assert_eq!(left(&call, total, longest), Some(expected), "{total:?} {longest:?}");
        }
        let untold = parts(Version::HTTP_2, "application/grpc", "soon");
        assert_eq!((left(&untold, None, None), left(&untold, None, Some(7))), (None, Some(7)));
        for other in [parts(Version::HTTP_11, "application/grpc", "5S"), parts(Version::HTTP_2, "text/plain", "5S")] {
            assert_eq!((left(&other, None, Some(1)), left(&other, Some(4), Some(1))), (None, Some(4)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_is_told_what_is_left() {
        let mut call = parts(Version::HTTP_2, "application/grpc", "5S");
        let deadline = Deadline::of(&call, None, None).unwrap();
        tokio::time::advance(Duration::from_millis(1500)).await;
        deadline.tell(&mut call.headers);
        assert_eq!(call.headers["grpc-timeout"], "3500000u");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_ends_with_its_deadline() {
        let endless = || {
            let frames = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                Some((Ok::<_, BodyError>(Frame::data(Bytes::from("x"))), ()))
            });
            Body::stream(StreamBody::new(Box::pin(frames)))
        };
        let began = Instant::now();
        let plain = Deadline::of(&parts(Version::HTTP_11, "x", ""), Some(Duration::from_secs(5)), None).unwrap();
        let cut = plain.bound(endless()).collect().await;
        assert!(matches!(cut, Err(BodyError::Timeout)));
        assert_eq!(began.elapsed().as_secs(), 5);
        let call = Deadline::of(&parts(Version::HTTP_2, "application/grpc", "5S"), None, None).unwrap();
        let whole = call.bound(endless()).collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["grpc-status"], "4");
        assert_eq!(whole.to_bytes(), "xx");
    }
}
