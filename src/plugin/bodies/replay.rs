//! A body of which some was read already.
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::room::Part;
use crate::{Body, BodyError};

/// First what was read, then the rest, then the trailers that were read.
pub(crate) struct Replay {
    read: VecDeque<Bytes>,
    rest: Body,
    trailers: Option<HeaderMap>,
    /// Where what was read counts, until it is gone.
    part: Option<Part>,
}

impl Replay {
    pub(crate) fn new(read: VecDeque<Bytes>, rest: Body, trailers: Option<HeaderMap>) -> Self {
        Self { read, rest, trailers, part: None }
    }

    pub(super) fn counted(self, part: Part) -> Self {
        Self { part: Some(part), ..self }
    }
}

impl HttpBody for Replay {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        if let Some(data) = me.read.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        me.part = None;
        match Pin::new(&mut me.rest).poll_frame(cx) {
            Poll::Ready(None) => Poll::Ready(me.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.trailers.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.iter().map(|data| data.len() as u64).sum::<u64>();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(read.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(read.saturating_add(upper));
        }
        hint
    }
}
