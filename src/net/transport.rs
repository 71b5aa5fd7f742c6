//! The kinds of sockets.
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::io::Probe;

/// The byte stream under a socket.
///
/// All calls take `&self`, and there is no lock: a socket takes calls from everywhere, and so does tokio's readiness.
#[derive(Debug)]
#[non_exhaustive]
pub enum Transport {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// Does the same on either kind of stream.
macro_rules! on {
    ($transport:expr, $stream:ident => $call:expr) => {
        match $transport {
            Transport::Tcp($stream) => $call,
            Transport::Unix($stream) => $call,
        }
    };
}

impl Transport {
    /// Sends small pieces at once; tells the other end, for TCP.
    pub(super) fn prepare(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => {
                let _ = stream.set_nodelay(true);
                stream.peer_addr().ok()
            }
            Self::Unix(_) => None,
        }
    }

    /// Our end, for TCP.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    pub(super) fn shut(&self, how: Shutdown) {
        // An error means that the socket is shut already.
        let _ = on!(self, stream => SockRef::from(stream).shutdown(how));
    }

    pub(super) fn reset_on_close(&self) {
        // An error means that the socket is shut already.
        let _ = match self {
            Self::Tcp(stream) => SockRef::from(stream).set_linger(Some(Duration::ZERO)),
            Self::Unix(_) => Ok(()),
        };
    }

    /// Reads into the room that `chunk` has; 0 means the end of the stream.
    ///
    /// A short read also clears the readiness, which saves the read that would only say that nothing is there.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, chunk: &mut BytesMut) -> Poll<io::Result<usize>> {
        let most = chunk.capacity() - chunk.len();
        loop {
            ready!(on!(self, stream => stream.poll_read_ready(cx)))?;
            let read = self.attempt(Interest::READABLE, most, || on!(self, stream => stream.try_read_buf(chunk)));
            if !would_block(&read) {
                return Poll::Ready(read);
            }
        }
    }

    /// Ready when there seems to be something to read.
    #[cfg(all(feature = "server", feature = "tls"))]
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, stream => stream.poll_read_ready(cx))
    }

    /// One poll of the reading half into a caller's buffer.
    pub(super) fn poll_read_into(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(on!(self, stream => stream.poll_read_ready(cx)))?;
            let room = buf.remaining();
            let read = self.attempt(Interest::READABLE, room, || on!(self, stream => stream.try_read_buf(buf)));
            if !would_block(&read) {
                return Poll::Ready(read.map(drop));
            }
        }
    }

    /// Reads so many bytes, and none behind them, into `bytes`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the stream ends before.
    pub async fn read_exactly(&self, bytes: &mut Vec<u8>, count: usize) -> io::Result<()> {
        let end = bytes.len() + count;
        while bytes.len() < end {
            let begin = bytes.len();
            bytes.resize(end, 0);
            let mut room = ReadBuf::new(bytes.get_mut(begin..).unwrap_or_default());
            let read = poll_fn(|cx| self.poll_read_into(cx, &mut room)).await;
            let count = room.filled().len();
            bytes.truncate(begin + count);
            read?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Writes `head` and then `body` with one call; tells how many bytes of the two went.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        let slices = [IoSlice::new(head), IoSlice::new(body)];
        loop {
            ready!(on!(self, stream => stream.poll_write_ready(cx)))?;
            let written = self.attempt(Interest::WRITABLE, head.len() + body.len(), || {
                on!(self, stream => match (head, body) {
                    (one, []) | ([], one) => stream.try_write(one),
                    _ => stream.try_write_vectored(&slices),
                })
            });
            if !would_block(&written) {
                return Poll::Ready(written);
            }
        }
    }

    /// Writes what goes without waiting; for last words, whose loss nobody would hear of.
    #[cfg(feature = "tls")]
    pub(super) fn write_now(&self, bytes: &[u8]) {
        let _ = on!(self, stream => stream.try_write(bytes));
    }

    /// One call on a socket that is said to be ready. One that moves some bytes, but fewer than it could, clears the
    /// readiness.
    fn attempt(&self, interest: Interest, most: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let mut moved = 0;
        let tried = || {
            moved = call()?;
            if (1..most).contains(&moved) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        };
        let tried = on!(self, stream => stream.try_io(interest, tried));
        if moved > 0 { Ok(moved) } else { tried.map(|()| 0) }
    }

    /// Tells whether anything happened on a socket from which nothing is expected.
    pub(super) fn poll_probe(&self, cx: &mut Context<'_>) -> Poll<Probe> {
        let mut one = [std::mem::MaybeUninit::uninit()];
        let mut one = ReadBuf::uninit(&mut one);
        let peeked = match self {
            Self::Tcp(stream) => ready!(stream.poll_peek(cx, &mut one)),
            // Unix sockets have no peek: readiness alone counts as data, and the read tells the rest.
            Self::Unix(stream) => ready!(stream.poll_read_ready(cx)).map(|()| 1),
        };
        Poll::Ready(match peeked {
            Ok(0) | Err(_) => Probe::Closed,
            Ok(_) => Probe::Data,
        })
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
