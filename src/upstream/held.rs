//! Response bodies and tunnels that hold their place in the upstream.
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::admission::{OwnedPermit, Permit};
use super::balance::Busy;
use crate::{Body, BodyError, Duplex};

/// What a response takes up until the end of its body: a place in the upstream, and one at its endpoint if that is counted.
#[derive(Debug)]
pub(crate) struct Stay {
    _permit: OwnedPermit,
    _busy: Option<Busy>,
}

impl Stay {
    pub(crate) fn of(permit: Permit<'_>, busy: Option<Busy>) -> Self {
        Self { _permit: permit.into_owned(), _busy: busy }
    }
}

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

/// A tunnel's stream, with what is dropped with it.
pub(crate) struct HeldStream<G> {
    inner: Box<dyn Duplex>,
    _guard: G,
}

impl<G> HeldStream<G> {
    pub(crate) fn new(inner: Box<dyn Duplex>, guard: G) -> Self {
        Self { inner, _guard: guard }
    }
}

impl<G: Unpin> AsyncRead for HeldStream<G> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<G: Unpin> AsyncWrite for HeldStream<G> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
