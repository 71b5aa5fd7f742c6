//! A response body that holds its place in the upstream.
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{Body, BodyError};

/// Passes a body on and drops `guard` at its end, or with it.
#[derive(Debug)]
pub(crate) struct Held<G> {
    inner: Body,
    guard: Option<G>,
}

impl<G> Held<G> {
    pub(crate) fn new(inner: Body, guard: G) -> Self {
        Self { inner, guard: Some(guard) }
    }
}

impl<G: Unpin> HttpBody for Held<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        let frame = ready!(Pin::new(&mut me.inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            me.guard = None;
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
