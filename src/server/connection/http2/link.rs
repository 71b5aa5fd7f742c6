//! What stands between `h2` and the socket: one write for all that is ready, and the sentry.
//!
//! `h2` writes and flushes at every `DATA` frame, since it does not copy what it is given. Here its writes only collect;
//! once all streams that are ready had their turn, the connection writes what came together. The buffer belongs to the
//! thread and is lent only as long as something is in it, so an idle connection holds none.
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::pace::Pace;
use super::sentry::Sentry;
use crate::net::{Io, IoStream, Late, Room};
use crate::server::registry::Client;

/// Bytes that are collected before a write.
const ROOM: usize = 64 * 1024;

thread_local! {
    /// The buffer of this thread, while nobody has it; empty.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One end of it is `h2`'s, the other the connection's. Only the task of the connection takes the lock.
pub(super) struct Link {
    client: Arc<Client>,
    state: Mutex<State>,
}

/// The end that `h2` has.
pub(super) struct End(pub(super) Arc<Link>);

struct State {
    /// Read before HTTP/2 began.
    early: Bytes,
    /// Collected, and not taken by the socket yet.
    out: Vec<u8>,
    /// Bytes that the socket took so far.
    written: u64,
    /// How fast the client takes what is written.
    pace: Pace,
    sentry: Sentry,
    /// The client's side has ended, or was ended by us. `h2` does not know.
    ended: bool,
    /// `h2` may know.
    tell: bool,
    /// Nothing follows what is collected, and the time that it has is running.
    last: bool,
}

/// What was seen of the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// It is over a budget (H2-08 to H2-10).
    pub(super) over: bool,
    /// It sends no more.
    pub(super) ended: bool,
    /// The tick at which a block of fields began that is still incomplete.
    pub(super) block_since: Option<u32>,
    /// Bytes that were written to it.
    pub(super) written: u64,
}

impl Link {
    pub(super) fn new(client: Arc<Client>, early: Bytes) -> Arc<Self> {
        let state = State {
            early,
            out: Vec::new(),
            written: 0,
            pace: Pace::default(),
            sentry: Sentry::default(),
            ended: false,
            tell: false,
            last: false,
        };
        Arc::new(Self { client, state: Mutex::new(state) })
    }

    fn io(&self) -> &Arc<Io> {
        self.client.io()
    }

    fn now(&self) -> u32 {
        self.io().clock().ticks()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was collected; ready when the socket has it.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state().poll_flush(&self.client, cx)
    }

    /// Counts streams that the client reset before their answer was out.
    pub(super) fn fault(&self, count: u32) {
        self.state().sentry.fault(self.now(), count);
    }

    /// What the connection is to act upon.
    pub(super) fn seen(&self) -> Seen {
        let state = self.state();
        Seen {
            over: state.sentry.is_over(),
            ended: state.ended,
            block_since: state.sentry.block_since(),
            written: state.written,
        }
    }

    /// Lets `h2` know that the client sends no more; false when it knows.
    pub(super) fn tell_end(&self) -> bool {
        !std::mem::replace(&mut self.state().tell, true)
    }

    /// What is collected from now on is the last word, which the client has `drain_timeout` to take.
    pub(super) fn begin_last(&self) {
        if !std::mem::replace(&mut self.state().last, true) {
            self.io().arm(self.client.limits().drain_timeout, Late::Both);
        }
    }

    /// Reads over what still comes, after the last write; ready when the client has seen the end, or had its time.
    pub(super) fn poll_linger(&self, cx: &mut Context<'_>) -> Poll<()> {
        while let Ok(piece) = ready!(self.io().poll_read(cx, Room::Body)) {
            if piece.is_empty() {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl State {
    fn poll_flush(&mut self, client: &Client, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = client.io();
        let was_waiting = self.pace.is_waiting();
        let mut written = 0;
        let mut flushed = loop {
            let left = self.out.get(written..).unwrap_or_default();
            if left.is_empty() {
                break io.poll_flush(cx);
            }
            match io.poll_write(cx, left, &[]) {
                Poll::Ready(Ok(count)) => {
                    written += count;
                    if !self.pace.progress(io.clock(), count, client.limits().write_rate) {
                        io.shutdown();
                        break Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        // TLS takes bytes that the socket does not have yet: then the wait ends with a flush that wrote nothing new.
        if matches!(flushed, Poll::Ready(Ok(())))
            && self.pace.is_waiting()
            && !self.pace.progress(io.clock(), 0, client.limits().write_rate)
        {
            io.shutdown();
            flushed = Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.written += written as u64;
        if flushed.is_pending() {
            if !self.pace.is_waiting() {
                self.pace.wait(io.clock());
                if !self.last {
                    io.arm(client.limits().write_timeout, Late::Both);
                }
            }
            // What waits for the client must not hold the thread's buffer.
            let left = self.out.get(written..).unwrap_or_default().to_vec();
            give_back(std::mem::replace(&mut self.out, left));
        } else {
            if (written > 0 || was_waiting) && !self.last {
                io.disarm();
            }
            give_back(std::mem::take(&mut self.out));
        }
        flushed
    }

    /// Room for more; pending while the socket is full.
    fn poll_room(&mut self, client: &Client, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.out.len() >= ROOM {
            // A part may have gone even so.
            if let Poll::Ready(Err(error)) = self.poll_flush(client, cx) {
                return Poll::Ready(Err(error));
            }
        }
        match ROOM.saturating_sub(self.out.len()) {
            0 => Poll::Pending,
            room => Poll::Ready(Ok(room)),
        }
    }

    fn collect(&mut self, bytes: &[u8], now: u32) {
        if self.out.capacity() == 0 {
            self.out = SPARE.take();
            self.out.reserve(ROOM);
        }
        self.out.extend_from_slice(bytes);
        self.sentry.sent(bytes, now);
    }
}

/// Puts a buffer back where the thread keeps one.
fn give_back(mut buffer: Vec<u8>) {
    SPARE.with_borrow_mut(|spare| {
        if buffer.capacity() >= ROOM && spare.capacity() == 0 {
            buffer.clear();
            *spare = buffer;
        }
    });
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let link = &self.0;
        let mut state = link.state();
        if state.tell && state.ended {
            return Poll::Ready(Ok(()));
        }
        if state.ended || state.sentry.is_over() {
            // The connection sees what to do about it.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if state.early.is_empty() {
            let mut io = IoStream(Arc::clone(link.io()));
            match ready!(Pin::new(&mut io).poll_read(cx, buf)) {
                // TLS that ends without a word. Frames tell how long they are, so a cut cannot pass for their end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                read => read?,
            }
        } else {
            let count = state.early.len().min(buf.remaining());
            buf.put_slice(&state.early.split_to(count));
        }
        let read = buf.filled().get(before..).unwrap_or_default();
        state.ended = read.is_empty();
        if state.ended || !state.sentry.received(read, link.now()) {
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let link = &self.0;
        let mut state = link.state();
        let room = ready!(state.poll_room(&link.client, cx))?;
        let (now, mut taken) = (link.now(), 0);
        for buf in bufs {
            let part = buf.get(..buf.len().min(room - taken)).unwrap_or_default();
            state.collect(part, now);
            taken += part.len();
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection flushes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_flush(cx))?;
        self.0.io().shutdown_write();
        Poll::Ready(Ok(()))
    }
}
