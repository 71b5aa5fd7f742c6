//! A body that flows to its client while it is kept.
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::cache::{CacheKey, Flight, Landing, Writer, Zone};
use crate::{Body, BodyError};

/// Where a body goes beside its client.
pub(super) struct Storing {
    pub(super) zone: Arc<Zone>,
    /// What those wait for together who wait.
    pub(super) together: CacheKey,
    pub(super) writer: Writer,
    /// Those who wait for it.
    pub(super) flight: Option<Flight>,
    /// As long as it says that it is.
    pub(super) expected: Option<u64>,
    /// The longest that is kept.
    pub(super) max: u64,
}

impl Storing {
    /// Stores a body that is at hand.
    pub(super) fn whole(mut self, body: Bytes) {
        let length = body.len() as u64;
        if length > self.max {
            self.refuse();
        } else if self.expected.is_none_or(|expected| expected == length) {
            self.writer.push(body);
            self.writer.finish(self.flight);
        }
    }

    /// It is not one to be kept: nobody waits for it, nor for the next.
    fn refuse(self) {
        self.zone.refuse(self.together);
        if let Some(flight) = self.flight {
            flight.land(Landing::NotKept);
        }
    }
}

/// A body that is kept once all of it has come (security.md CACHE-03): one that ends early, or whose client goes away before
/// its end, leaves nothing behind.
pub(super) struct Kept {
    inner: Body,
    storing: Option<Box<Storing>>,
    length: u64,
}

impl Kept {
    pub(super) fn new(inner: Body, storing: Storing) -> Self {
        Self { inner, storing: Some(Box::new(storing)), length: 0 }
    }

    fn complete(&mut self) {
        if let Some(storing) = self.storing.take()
            && storing.expected.is_none_or(|expected| expected == self.length)
        {
            storing.writer.finish(storing.flight);
        }
    }
}

/// Who counts by the length that was told asks no more once he has it, and before the body has said that it is at its end.
impl Drop for Kept {
    fn drop(&mut self) {
        if self.storing.as_ref().is_some_and(|storing| storing.expected == Some(self.length)) {
            self.complete();
        }
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(storing) = &mut self.storing {
            ready!(storing.writer.poll_ready(cx));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.length += frame.data_ref().map_or(0, |data| data.len() as u64);
                let length = self.length;
                let goes_on = self.storing.as_mut().is_some_and(|storing| match frame.data_ref() {
                    Some(data) => {
                        storing.writer.push(data.clone());
                        length <= storing.max && !storing.writer.has_failed()
                    }
                    // what stands behind a body would be lost
                    None => false,
                });
                if !goes_on && let Some(storing) = self.storing.take() {
                    storing.refuse();
                }
                if self.inner.is_end_stream() {
                    self.complete();
                }
            }
            Some(Err(_)) => self.storing = None,
            None => self.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.storing.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
