//! Bodies and tunnels that hold something until they have come to their end.
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::{Body, BodyError};
use crate::upgrade::Duplex;

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
        // A server may keep a body that has ended for a while.
        if !matches!(frame, Some(Ok(_))) || me.inner.is_end_stream() {
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

/// A request in a count: while it lives, one more is counted.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Line>);

impl Counted {
    /// From here on it counts as a tunnel.
    pub(crate) fn into_tunnel(self) -> CountedTunnel {
        self.0.tunnels.fetch_add(1, Relaxed);
        CountedTunnel(self)
    }
}

/// A tunnel in a count.
#[derive(Debug)]
pub(crate) struct CountedTunnel(Counted);

impl Drop for CountedTunnel {
    fn drop(&mut self) {
        self.0.0.tunnels.fetch_sub(1, Relaxed);
    }
}

/// Counts what is under way, without a lock and without a line of memory that all threads write to.
#[derive(Debug)]
pub(crate) struct Count([Arc<Line>; Self::LINES]);

/// Those that began on some of the threads: each is a reference. Its neighbours in memory are lines of other threads.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Line {
    tunnels: AtomicUsize,
}

thread_local! {
    /// Which line a thread counts in. Threads that are alike share one; that costs time, not truth.
    static LINE: usize = RandomState::new().build_hasher().finish() as usize % Count::LINES;
}

impl Count {
    const LINES: usize = 8;

    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }

    /// Counts one more, until it is dropped.
    pub(crate) fn enter(&self) -> Counted {
        let own = LINE.with(|line| *line);
        let line = self.0.get(own).or(self.0.first());
        Counted(line.map_or_else(Arc::default, Arc::clone))
    }

    /// How many requests there are, and how many tunnels beside them.
    pub(crate) fn get(&self) -> (usize, usize) {
        let tunnels = self.0.iter().map(|line| line.tunnels.load(Relaxed)).sum();
        let all: usize = self.0.iter().map(|line| Arc::strong_count(line) - 1).sum();
        (all.saturating_sub(tunnels), tunnels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_counted() {
        let count = Count::new();
        let parts: Vec<_> = (0..5).map(|_| count.enter()).collect();
        let there = std::thread::scope(|scope| scope.spawn(|| count.enter()).join().unwrap());
        assert_eq!(count.get(), (6, 0));
        let tunnel = there.into_tunnel();
        assert_eq!(count.get(), (5, 1));
        drop(tunnel);
        assert_eq!(count.get(), (5, 0));
        drop(parts);
        assert_eq!(count.get(), (0, 0));
    }
}
