//! Two byte streams joined after a `101` (UPG-05).
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::websocket::{Frames, GOODBYE, GOODBYE_MASKED};
use super::wire::Upgraded;
use crate::net::IoStream;
use crate::server::registry::Client;
use crate::upgrade::Duplex;

/// Bytes of one read.
const PIECE: usize = 16 * 1024;

/// Relays until both sides have ended, nothing moved for the idle time, the tunnel is too old, or the server drains.
pub(super) async fn run(client: Arc<Client>, upgraded: Upgraded) {
    let Upgraded { early, upstream, websocket } = upgraded;
    let Some((mut upstream, early_upstream)) = upstream.take() else { return };
    let mut downstream = IoStream(Arc::clone(client.io()));
    client.set_busy();
    client.io().disarm();
    let limits = Arc::clone(client.limits());
    let frames = || websocket.then(Frames::default);
    let mut up = Direction::new(early, frames());
    let mut down = Direction::new(early_upstream, frames());
    let oldest = Instant::now() + limits.tunnel_age;
    let mut drained = pin!(client.drained());
    loop {
        let moved = up.moved + down.moved;
        let look = (Instant::now() + limits.tunnel_idle_timeout).min(oldest);
        tokio::select! {
            ended = poll_fn(|cx| poll_both(cx, &mut up, &mut down, &mut downstream, &mut upstream)) => {
                if ended.is_ok() {
                    return;
                }
                break;
            }
            () = sleep_until(look) => {
                if up.moved + down.moved == moved || Instant::now() >= oldest {
                    break;
                }
            }
            () = &mut drained => {
                if websocket {
                    let patience = Instant::now() + limits.drain_timeout;
                    tokio::select! {
                        () = say_goodbye(&mut up, &mut down, &mut downstream, &mut upstream) => {}
                        () = sleep_until(patience) => {}
                    }
                }
                break;
            }
        }
    }
    client.io().shutdown();
}

/// One way of a tunnel.
struct Direction {
    /// Read and not yet written.
    pending: Bytes,
    ended: bool,
    shut: bool,
    moved: u64,
    /// Present in a WebSocket.
    frames: Option<Frames>,
}

impl Direction {
    fn new(early: Bytes, frames: Option<Frames>) -> Self {
        Self { pending: early, ended: false, shut: false, moved: 0, frames }
    }

    /// Whether a frame can be put in here.
    fn at_boundary(&self) -> bool {
        self.pending.is_empty() && self.frames.as_ref().is_none_or(Frames::at_boundary)
    }

    /// Moves bytes until both sides wait, or the reading side has ended and the writing side knows.
    fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.pending.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.pending))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                if let Some(frames) = &mut self.frames {
                    frames.advance(self.pending.get(..written).unwrap_or_default());
                }
                self.moved += written as u64;
                self.pending.advance(written);
            }
            if self.ended {
                if !self.shut {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            // The room is taken for each read, so that a silent tunnel holds none.
            let mut room = BytesMut::with_capacity(PIECE);
            ready!(tokio_util::io::poll_read_buf(Pin::new(&mut *from), cx, &mut room))?;
            self.pending = room.freeze();
            self.ended = self.pending.is_empty();
        }
    }
}

/// Both ways; ready when both have ended.
fn poll_both(
    cx: &mut Context<'_>,
    up: &mut Direction,
    down: &mut Direction,
    downstream: &mut IoStream,
    upstream: &mut Box<dyn Duplex>,
) -> Poll<io::Result<()>> {
    let upward = up.poll_relay(cx, downstream, upstream)?;
    let downward = down.poll_relay(cx, upstream, downstream)?;
    match (upward, downward) {
        (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
        _ => Poll::Pending,
    }
}

/// Relays up to the ends of the frames under way, sends a close frame each way, and waits until the sides have ended.
async fn say_goodbye(
    up: &mut Direction,
    down: &mut Direction,
    downstream: &mut IoStream,
    upstream: &mut Box<dyn Duplex>,
) {
    let settled = poll_fn(|cx| {
        let relayed = poll_both(cx, up, down, downstream, upstream);
        if up.at_boundary() && down.at_boundary() { Poll::Ready(Ok(())) } else { relayed }
    });
    if settled.await.is_err() {
        return;
    }
    use tokio::io::AsyncWriteExt as _;
    // A side that cannot be told any more has ended already.
    let told = tokio::join!(downstream.write_all(GOODBYE), upstream.write_all(GOODBYE_MASKED));
    let (mut client, mut origin) = (told.0.is_err(), told.1.is_err());
    poll_fn(|cx| {
        client = client || poll_end(downstream, cx).is_ready();
        origin = origin || poll_end(upstream, cx).is_ready();
        if client && origin { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Reads over what still comes; ready at the end of the stream.
fn poll_end(from: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    let mut room = [0; 256];
    loop {
        let mut read = ReadBuf::new(&mut room);
        match ready!(Pin::new(&mut *from).poll_read(cx, &mut read)) {
            Ok(()) if !read.filled().is_empty() => {}
            _ => return Poll::Ready(()),
        }
    }
}
