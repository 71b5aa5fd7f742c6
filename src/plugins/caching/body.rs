//! A body that flows to its client while it is kept.
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::cache::{Flight, Writer};
use crate::{Body, BodyError};

/// Where a body goes beside its client.
pub(super) struct Storing {
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
        if length <= self.max && self.expected.is_none_or(|expected| expected == length) {
            self.writer.push(body);
            self.writer.finish(self.flight);
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
                if let Some(data) = frame.data_ref() {
                    self.length += data.len() as u64;
                    let length = self.length;
                    if let Some(storing) = &mut self.storing {
                        storing.writer.push(data.clone());
                        if length > storing.max || storing.writer.has_failed() {
                            self.storing = None;
                        }
                    }
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
