//! Two byte streams joined: the inside of a tunnel.
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

/// Bytes of one read.
const PIECE: usize = 16 * 1024;

/// Sees the bytes of one direction as they go out.
pub trait Watch {
    /// These were written.
    fn moved(&mut self, bytes: &[u8]);
}

/// Looks at nothing.
impl Watch for () {
    fn moved(&mut self, _: &[u8]) {}
}

/// A relay between a client and an upstream. The state of both directions is in here, so dropping the future of
/// [`run`](Self::run) loses nothing.
#[derive(Debug)]
pub struct Relay<W> {
    /// From the client to the upstream.
    pub up: Direction<W>,
    /// From the upstream to the client.
    pub down: Direction<W>,
    idle: Duration,
    moved_at: Instant,
    oldest: Instant,
}

impl<W: Watch> Relay<W> {
    /// A relay that ends when nothing moved for `idle`, and in any case `age` from now (security.md UPG-05).
    pub fn new(up: Direction<W>, down: Direction<W>, idle: Duration, age: Duration) -> Self {
        let now = Instant::now();
        Self { up, down, idle, moved_at: now, oldest: now + age }
    }

    /// Relays until both sides have ended. The end of one is passed on to the other, which may go on.
    ///
    /// # Errors
    /// What either side said when it broke; [`io::ErrorKind::TimedOut`] after silence, or when the relay is too old.
    pub async fn run<C, U>(&mut self, client: &mut C, upstream: &mut U) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let look = (self.moved_at + self.idle).min(self.oldest);
            tokio::select! {
                ended = poll_fn(|cx| self.poll(cx, client, upstream)) => return ended,
                () = sleep_until(look) => {}
            }
            let now = Instant::now();
            if now >= self.oldest || now.duration_since(self.moved_at) >= self.idle {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Moves what can be moved; ready when both sides have ended.
    ///
    /// # Errors
    /// As [`run`](Self::run), without its clocks.
    pub fn poll<C, U>(&mut self, cx: &mut Context<'_>, client: &mut C, upstream: &mut U) -> Poll<io::Result<()>>
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let before = self.up.moved + self.down.moved;
        let upward = self.up.poll(cx, client, upstream)?;
        let downward = self.down.poll(cx, upstream, client)?;
        if self.up.moved + self.down.moved != before {
            self.moved_at = Instant::now();
        }
        match (upward, downward) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }
}

/// One direction.
#[derive(Debug)]
pub struct Direction<W> {
    /// Read and not yet written.
    pending: Bytes,
    ended: bool,
    shut: bool,
    moved: u64,
    watch: W,
}

impl<W: Watch> Direction<W> {
    /// A direction that begins with `early`, bytes that were read before.
    pub fn new(early: Bytes, watch: W) -> Self {
        Self { pending: early, ended: false, shut: false, moved: 0, watch }
    }

    /// Whether all that was read is written.
    pub fn is_flushed(&self) -> bool {
        self.pending.is_empty()
    }

    /// What watches it.
    pub fn watch(&self) -> &W {
        &self.watch
    }

    /// Moves bytes until a side waits, or the reading side has ended and the writing side knows.
    fn poll(
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
                self.watch.moved(self.pending.get(..written).unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn relay(early: &'static str, idle: u64, age: u64) -> Relay<()> {
        let up = Direction::new(early.into(), ());
        Relay::new(up, Direction::new(Bytes::new(), ()), Duration::from_secs(idle), Duration::from_secs(age))
    }

    #[tokio::test]
    async fn bytes_and_ends_pass_each_way_of_its_own() {
        let (mut client, mut near) = tokio::io::duplex(64);
        let (mut upstream, mut far) = tokio::io::duplex(64);
        let mut relay = relay("early ", 60, 3600);
        let relayed = relay.run(&mut near, &mut far);
        let talk = async {
            client.write_all(b"hello").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = String::new();
            upstream.read_to_string(&mut heard).await.unwrap();
            // One half is over; the other one still serves.
            upstream.write_all(b"bye").await.unwrap();
            drop(upstream);
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            (heard, said)
        };
        let (ended, talk) = tokio::join!(relayed, talk);
        ended.unwrap();
        assert_eq!((talk.0.as_str(), talk.1.as_str()), ("early hello", "bye"));
    }

    #[tokio::test(start_paused = true)]
    async fn sec_upg_05_silence_and_age_end_it() {
        let (mut client, mut near) = tokio::io::duplex(64);
        let (_upstream, mut far) = tokio::io::duplex(64);
        let started = Instant::now();
        let mut relay = relay("", 60, 300);
        let talk = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                client.write_all(b"x").await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = relay.run(&mut near, &mut far) => assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut),
            () = talk => {}
        }
        assert_eq!(started.elapsed().as_secs(), 210);
        let talk = async {
            loop {
                tokio::time::sleep(Duration::from_secs(10)).await;
                client.write_all(b"x").await.unwrap();
            }
        };
        relay.moved_at = Instant::now();
        tokio::select! {
            ended = relay.run(&mut near, &mut far) => assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut),
            () = talk => {}
        }
        assert_eq!(started.elapsed().as_secs(), 300);
    }
}
