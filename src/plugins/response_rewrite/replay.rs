//! A body of which some was read already.
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use crate::{Body, BodyError};

/// First what was read, then the rest, then the trailers that were read.
pub(super) struct Replay {
    pub(super) read: VecDeque<Bytes>,
    pub(super) rest: Body,
    pub(super) trailers: Option<HeaderMap>,
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if let Some(data) = me.read.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match Pin::new(&mut me.rest).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(me.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            other => other,
        }
    }
}
