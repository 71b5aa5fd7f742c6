//! Bodies on HTTP/2 streams.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::super::held::Stay;
use super::connections::Stream;
use crate::{Body, BodyError};

/// How far a request body is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    frames: AtomicU64,
    hungry: AtomicBool,
}

impl Progress {
    /// Frames taken so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    /// Whether it waits for the client.
    pub(super) fn is_hungry(&self) -> bool {
        self.hungry.load(Relaxed)
    }
}

/// A request body that tells how far it is.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Body,
    progress: Arc<Progress>,
}

impl Watched {
    pub(super) fn new(inner: Body, progress: Arc<Progress>) -> Self {
        Self { inner, progress }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        let frame = Pin::new(&mut me.inner).poll_frame(cx);
        me.progress.hungry.store(frame.is_pending(), Relaxed);
        me.progress.frames.fetch_add(u64::from(frame.is_ready()), Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Takes out of trailers what may not stand there (security.md H1-17).
fn without_strays(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        crate::hop::strip_trailers(trailers);
    }
    frame
}

/// A response body on its stream, with a limit on each gap.
#[derive(Debug)]
pub(crate) struct Streamed {
    inner: Body,
    /// Gone at the end.
    stream: Option<Stream>,
    /// A place in the upstream, gone at the end.
    stay: Option<Stay>,
    limit: Duration,
    /// Made at the first gap, used again for the others.
    clock: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Streamed {
    pub(super) fn new(inner: Body, stream: Stream, limit: Duration) -> Self {
        Self { inner, stream: Some(stream), stay: None, limit, clock: None, waiting: false }
    }

    /// Holds a place in the upstream until the body is over.
    pub(crate) fn hold(&mut self, stay: Stay) {
        self.stay = Some(stay);
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.limit)));
        if !std::mem::replace(&mut self.waiting, true) {
            clock.as_mut().reset(Instant::now() + self.limit);
        }
        clock.as_mut().poll(cx)
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        let frame = match Pin::new(&mut me.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if me.poll_late(cx).is_pending() => return Poll::Pending,
            Poll::Pending => {
                // Dropping the inner body resets the stream.
                me.inner = Body::empty();
                Some(Err(BodyError::Timeout))
            }
        };
        me.waiting = false;
        let frame = frame.map(|frame| frame.map(without_strays));
        if !matches!(frame, Some(Ok(_))) {
            me.stream = None;
            me.stay = None;
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
