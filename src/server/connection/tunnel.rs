//! A connection that became a tunnel after a `101` (UPG-05).
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::websocket::{Frames, GOODBYE, GOODBYE_MASKED};
use super::wire::Upgraded;
use crate::net::{Direction, IoStream, Relay, Watch};
use crate::server::registry::Client;
use crate::upgrade::Duplex;

/// The whole connection as a tunnel.
pub(super) async fn run(client: Arc<Client>, upgraded: Upgraded) {
    let mut downstream = IoStream(Arc::clone(client.io()));
    client.set_busy();
    client.io().disarm();
    if relay(&client, upgraded, &mut downstream).await.is_err() {
        client.io().shutdown();
    }
}

/// Relays until both sides have ended, nothing moved for the idle time, the tunnel is too old, or the server drains.
///
/// # Errors
/// What was not ended by both sides.
pub(super) async fn relay<D>(client: &Client, upgraded: Upgraded, downstream: &mut D) -> io::Result<()>
where
    D: AsyncRead + AsyncWrite + Unpin,
{
    let Upgraded { early, upstream, websocket } = upgraded;
    let idle_timeout = upstream.idle_timeout();
    let Some((mut upstream, early_upstream)) = upstream.take() else { return Ok(()) };
    let limits = Arc::clone(client.limits());
    let frames = || websocket.then(Frames::default);
    let (up, down) = (Direction::new(early, frames()), Direction::new(early_upstream, frames()));
    let mut relay = Relay::new(up, down, idle_timeout.unwrap_or(limits.tunnel_idle_timeout), limits.tunnel_age);
    tokio::select! {
        ended = relay.run(downstream, &mut upstream) => ended,
        () = client.drained() => {
            if websocket {
                // Who does not take a goodbye in time goes without.
                let goodbye = say_goodbye(&mut relay, downstream, &mut upstream);
                let _ = tokio::time::timeout(limits.drain_timeout, goodbye).await;
            }
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }
}

/// Follows the frames of a WebSocket, if it is one.
impl Watch for Option<Frames> {
    fn moved(&mut self, bytes: &[u8]) {
        if let Some(frames) = self {
            frames.advance(bytes);
        }
    }
}

/// Whether a frame can be put in here.
fn at_boundary(direction: &Direction<Option<Frames>>) -> bool {
    direction.is_flushed() && direction.watch().as_ref().is_none_or(Frames::at_boundary)
}

/// Relays up to the ends of the frames under way, sends a close frame each way, and waits until the sides have ended.
async fn say_goodbye<D>(relay: &mut Relay<Option<Frames>>, downstream: &mut D, upstream: &mut Box<dyn Duplex>)
where
    D: AsyncRead + AsyncWrite + Unpin,
{
    let settled = poll_fn(|cx| {
        let relayed = relay.poll(cx, downstream, upstream);
        if at_boundary(&relay.up) && at_boundary(&relay.down) { Poll::Ready(Ok(())) } else { relayed }
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
