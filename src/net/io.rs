//! One socket.
use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::ReadBuf;

use super::sweep::{Clock, Late, Sweep};
#[cfg(feature = "tls")]
use super::tls::Layer;
use super::transport::Transport;

/// Bytes of one shared read chunk.
const CHUNK: usize = 64 * 1024;
/// Smallest room worth a read of a head.
const HEAD_ROOM: usize = 4 * 1024;
/// Smallest room worth a read of a body.
const BODY_ROOM: usize = 48 * 1024;
/// No deadline.
const NEVER: u64 = u64::MAX;

thread_local! {
    /// The read chunk of this thread: scratch space, empty between two reads.
    static IN: RefCell<BytesMut> = RefCell::new(BytesMut::with_capacity(CHUNK));
}

/// What a read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A message head: at most 4 KiB read at once are copied out of the shared chunk, so that a slow message never holds it.
    Head,
    /// A body: shared slices of the chunk.
    Body,
}

/// What [`Io::poll_probe`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Bytes are waiting.
    Data,
    /// The peer closed or reset.
    Closed,
}

/// A socket, shared between the connection that owns it and the bodies that are read from it.
///
/// All calls take `&self`. Without TLS there is no lock; with it there is one, which only the task that has the
/// connection takes.
pub struct Io {
    transport: Transport,
    #[cfg(feature = "tls")]
    tls: Option<Box<Layer>>,
    /// Tick of the deadline in the upper 32 bits, [`Late`] in the lowest.
    due: AtomicU64,
    clock: Clock,
    peer: Option<SocketAddr>,
    /// What somebody wants to get back when the socket closes.
    held: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Io({:?})", self.peer)
    }
}

impl Io {
    /// Takes a socket over and has its deadline watched. Must be called inside a tokio runtime.
    pub fn new(transport: Transport, sweep: &Sweep) -> Arc<Self> {
        let io = Arc::new(Self {
            peer: transport.prepare(),
            transport,
            #[cfg(feature = "tls")]
            tls: None,
            due: AtomicU64::new(NEVER),
            clock: sweep.clock().clone(),
            held: OnceLock::new(),
        });
        sweep.watch(&io);
        io
    }

    /// As [`new`](Self::new), with TLS on the socket, whose handshake is over.
    #[cfg(feature = "tls")]
    pub(super) fn secured(transport: Transport, tls: Layer, sweep: &Sweep) -> Arc<Self> {
        let io = Arc::new(Self {
            peer: transport.prepare(),
            transport,
            tls: Some(Box::new(tls)),
            due: AtomicU64::new(NEVER),
            clock: sweep.clock().clone(),
            held: OnceLock::new(),
        });
        sweep.watch(&io);
        io
    }

    /// Has `guard` dropped when the socket closes; one for each socket.
    pub fn hold(&self, guard: impl Send + Sync + 'static) {
        // A second one would be dropped at once, and is nobody's intention.
        let _ = self.held.set(Box::new(guard));
    }

    /// The other end, for TCP.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Our end, for TCP.
    pub fn local(&self) -> Option<SocketAddr> {
        self.transport.local()
    }

    /// The coarse clock of the owner's sweep.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets the deadline, replacing the one before. It passes between `after` and `after` + 2 [`TICK`](super::TICK)s from now.
    pub fn arm(&self, after: Duration, late: Late) {
        let due = u64::from(self.clock.due(after)) << 32 | u64::from(late == Late::Both);
        self.due.store(due, Relaxed);
    }

    /// Takes the deadline away.
    pub fn disarm(&self) {
        self.due.store(NEVER, Relaxed);
    }

    /// Whether the deadline that is set has passed. Tells a late socket from one that the peer closed.
    pub fn is_late(&self) -> bool {
        let due = self.due.load(Relaxed);
        due != NEVER && (due >> 32) as u32 <= self.clock.ticks()
    }

    /// Shuts both halves.
    pub fn shutdown(&self) {
        self.say_goodbye();
        self.transport.shut(Shutdown::Both);
    }

    /// Shuts the writing half: the peer sees the end of the stream. Under TLS what was written must be flushed before.
    pub fn shutdown_write(&self) {
        self.say_goodbye();
        self.transport.shut(Shutdown::Write);
    }

    /// Shuts the reading half: the reader gets what has arrived, then the end of the stream.
    pub fn shutdown_read(&self) {
        self.transport.shut(Shutdown::Read);
    }

    /// Makes the close of the socket a reset, so that a peer which reads until the end cannot take it for a clean one.
    pub fn reset_on_close(&self) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tls.forgo_close();
        }
        self.transport.reset_on_close();
    }

    /// Under TLS the end of a stream is a message.
    fn say_goodbye(&self) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tls.close(&self.transport);
        }
    }

    /// Called by the sweep at each tick.
    pub(super) fn sweep(&self, now: u32) {
        let due = self.due.load(Relaxed);
        if due == NEVER || (due >> 32) as u32 > now {
            return;
        }
        // An owner that was woken and does not end gets the harder way two seconds later.
        let overdue = now.saturating_sub((due >> 32) as u32);
        if due & 1 == 1 || overdue >= 8 {
            self.transport.shut(Shutdown::Both);
        } else if overdue == 0 {
            self.transport.shut(Shutdown::Read);
        }
    }

    /// Reads some bytes; none at all means the end of the stream. Under TLS an end that the peer did not announce is an
    /// error ([`io::ErrorKind::UnexpectedEof`]): anybody on the way can make one.
    pub fn poll_read(&self, cx: &mut Context<'_>, room: Room) -> Poll<io::Result<Bytes>> {
        IN.with_borrow_mut(|chunk| {
            let least = if room == Room::Head { HEAD_ROOM } else { BODY_ROOM };
            if chunk.capacity() < least {
                chunk.reserve(CHUNK);
            }
            let count = ready!(self.fill(cx, chunk))?;
            if room == Room::Head && count <= HEAD_ROOM {
                let own = Bytes::copy_from_slice(chunk);
                chunk.clear();
                return Poll::Ready(Ok(own));
            }
            Poll::Ready(Ok(chunk.split().freeze()))
        })
    }

    fn fill(&self, cx: &mut Context<'_>, chunk: &mut BytesMut) -> Poll<io::Result<usize>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.poll_read(cx, &self.transport, chunk);
        }
        self.transport.poll_read(cx, chunk)
    }

    /// Writes `head` and then `body` with one call; tells how many bytes of the two were taken. The socket has them,
    /// or, under TLS, will have them by [`poll_flush`](Self::poll_flush) or the next write.
    pub fn poll_write(&self, cx: &mut Context<'_>, head: &[u8], body: &[u8]) -> Poll<io::Result<usize>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.poll_write(cx, &self.transport, head, body);
        }
        self.transport.poll_write(cx, head, body)
    }

    /// Ready when the socket has all that was written; at once without TLS.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.poll_flush(cx, &self.transport);
        }
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Tells whether anything happened on a socket from which nothing is expected: bytes, or the end. Pending means that
    /// it is quiet; the task is woken when that changes. No system call in the usual case. Messages of TLS itself, such as
    /// session tickets, are taken and are no bytes.
    pub fn poll_probe(&self, cx: &mut Context<'_>) -> Poll<Probe> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.poll_probe(cx, &self.transport);
        }
        self.transport.poll_probe(cx)
    }

    /// One poll of the reading half into a caller's buffer, for [`IoStream`](super::IoStream).
    pub(super) fn poll_read_into(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return IN.with_borrow_mut(|chunk| tls.poll_read_into(cx, &self.transport, chunk, buf));
        }
        self.transport.poll_read_into(cx, buf)
    }
}

#[cfg(feature = "tls")]
impl Drop for Io {
    fn drop(&mut self) {
        self.say_goodbye();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair(sweep: &Sweep) -> (Arc<Io>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), async {
            listener.accept().await.unwrap()
        });
        (Io::new(Transport::Tcp(accepted.0), sweep), client.unwrap())
    }

    #[tokio::test]
    async fn reads_writes_and_probes() {
        let sweep = Sweep::new();
        let (io, mut client) = pair(&sweep).await;
        assert!(poll_fn(|cx| Poll::Ready(io.poll_probe(cx))).await.is_pending());
        client.write_all(b"hello").await.unwrap();
        assert_eq!(poll_fn(|cx| io.poll_probe(cx)).await, Probe::Data);
        assert_eq!(poll_fn(|cx| io.poll_read(cx, Room::Head)).await.unwrap(), "hello");
        assert_eq!(poll_fn(|cx| io.poll_write(cx, b"ab", b"c")).await.unwrap(), 3);
        drop(client);
        assert_eq!(poll_fn(|cx| io.poll_probe(cx)).await, Probe::Closed);
        assert!(!io.is_late());
    }

    #[tokio::test]
    async fn a_late_reader_wakes_and_can_still_write() {
        let sweep = Sweep::new();
        let (io, mut client) = pair(&sweep).await;
        io.arm(Duration::from_millis(1), Late::Read);
        assert!(poll_fn(|cx| io.poll_read(cx, Room::Head)).await.unwrap().is_empty());
        assert!(io.is_late());
        assert_eq!(poll_fn(|cx| io.poll_write(cx, b"late", b"")).await.unwrap(), 4);
        let mut buf = [0; 4];
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut buf).await.unwrap();
        assert_eq!(&buf, b"late");
    }

    #[tokio::test]
    async fn the_sweep_ends_with_its_owner() {
        let sweep = Sweep::new();
        let (io, _client) = pair(&sweep).await;
        let clock = io.clock().clone();
        drop((io, sweep));
        let stopped_at = clock.ticks();
        tokio::time::timeout(Duration::from_millis(900), async {
            while clock.ticks() <= stopped_at + 1 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap_err();
    }
}
