//! A response body on its stream.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

use super::super::held::Stay;
use super::connections::Stream;
use super::upload::Upload;
use crate::BodyError;

/// The rest of a request that is sent while its response comes: in a task, since a client that reads no further may still
/// send. It ends with the response.
#[derive(Debug)]
pub(super) struct Uploading {
    task: AbortHandle,
    /// It waits for the client.
    hungry: Arc<AtomicBool>,
}

impl Uploading {
    pub(super) fn start(upload: Upload) -> Self {
        let hungry = Arc::<AtomicBool>::default();
        Self { task: tokio::spawn(upload.run(Arc::clone(&hungry))).abort_handle(), hungry }
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A response body on its stream, with a limit on each gap. Dropping it before its end resets the stream.
#[derive(Debug)]
pub(crate) struct Streamed {
    /// Gone at the end.
    inner: Option<Inner>,
    /// Bytes that are still to come, if that was promised; h2 holds the peer to it.
    remaining: Option<u64>,
    /// What the response takes up in its upstream, until the end.
    stay: Option<Stay>,
    limit: Duration,
    /// Made at the first gap, used again for the others.
    clock: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

#[derive(Debug)]
struct Inner {
    body: RecvStream,
    /// All data has come.
    at_trailers: bool,
    upload: Option<Uploading>,
    _stream: Stream,
}

impl Streamed {
    pub(super) fn new(
        body: RecvStream,
        remaining: Option<u64>,
        upload: Option<Uploading>,
        stream: Stream,
        limit: Duration,
    ) -> Self {
        let inner = Inner { body, at_trailers: false, upload, _stream: stream };
        Self { inner: Some(inner), remaining, stay: None, limit, clock: None, waiting: false }
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
        // A gap is the endpoint's unless the rest of the request is to come first.
        let upload = self.inner.as_ref().and_then(|inner| inner.upload.as_ref());
        let hungry = || upload.is_some_and(|upload| upload.hungry.load(Relaxed));
        while clock.as_mut().poll(cx).is_ready() {
            if !hungry() {
                return Poll::Ready(());
            }
            clock.as_mut().reset(Instant::now() + self.limit);
        }
        Poll::Pending
    }
}

impl Inner {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while !self.at_trailers {
            match self.body.poll_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(data))) => {
                    // Asked for means taken: whoever reads this has room for it.
                    let _ = self.body.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(broken(error)))),
                Poll::Ready(None) => self.at_trailers = true,
            }
        }
        self.body.poll_trailers(cx).map(|trailers| match trailers {
            Ok(Some(mut trailers)) => {
                crate::hop::strip_trailers(&mut trailers);
                Some(Ok(Frame::trailers(trailers)))
            }
            Ok(None) => None,
            Err(error) => Some(Err(broken(error))),
        })
    }
}

fn broken(error: h2::Error) -> BodyError {
    if error.is_io() {
        return error.into_io().map_or(BodyError::Incomplete, BodyError::Io);
    }
    BodyError::Other(error.into())
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let me = self.get_mut();
        let Some(inner) = &mut me.inner else { return Poll::Ready(None) };
        let frame = match inner.poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending if me.poll_late(cx).is_pending() => return Poll::Pending,
            Poll::Pending => Some(Err(BodyError::Timeout)),
        };
        me.waiting = false;
        let goes_on = match &frame {
            Some(Ok(frame)) => {
                let data = frame.data_ref().map_or(0, |data| data.len() as u64);
                me.remaining = me.remaining.map(|remaining| remaining.saturating_sub(data));
                frame.is_data()
            }
            _ => false,
        };
        if !goes_on {
            me.inner = None;
            me.stay = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
