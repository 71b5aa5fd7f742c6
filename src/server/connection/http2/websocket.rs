//! WebSocket on a stream (RFC 8441): the extended `CONNECT` becomes the upgrade request that HTTP/1 has for it.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use base64::Engine as _;
use bytes::{Buf, Bytes};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::header::{HeaderValue, SEC_WEBSOCKET_KEY};
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;
use super::stream::Streams;
use super::window::{Shut, Window};
use crate::error::Error;
use crate::upgrade::{UpgradeOnly, UpgradeWish};

/// Changes an extended `CONNECT` into `GET` with the wish to upgrade; tells whether it was one.
pub(super) fn translate(request: &mut http::request::Parts) -> Result<bool, Error> {
    if request.method != Method::CONNECT {
        return Ok(false);
    }
    match request.extensions.remove::<Protocol>() {
        Some(protocol) if protocol.as_str().eq_ignore_ascii_case("websocket") => {}
        Some(_) => return Err(Error::MethodRefused(StatusCode::NOT_IMPLEMENTED)),
        None => return Ok(false),
    }
    request.method = Method::GET;
    // Over HTTP/2 clients send none; what they send means nothing.
    request.headers.insert(SEC_WEBSOCKET_KEY, new_key()?);
    request.extensions.insert(UpgradeWish(HeaderValue::from_static("websocket")));
    request.extensions.insert(UpgradeOnly);
    Ok(true)
}

/// 16 random bytes (RFC 6455 §4.1).
fn new_key() -> Result<HeaderValue, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::Internal("random"))?;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    HeaderValue::from_str(&text).map_err(|_| Error::Internal("random"))
}

/// Both halves of a stream as a stream of bytes. Dropped before its end it is reset.
pub(super) struct Tunnel {
    receive: RecvStream,
    send: SendStream<Bytes>,
    /// Received, and not read yet.
    pending: Bytes,
    window: Window,
    alarm: Arc<Alarm>,
    streams: Arc<Streams>,
}

impl Tunnel {
    /// `alarm` wakes who writes to a client that does not read.
    pub(super) fn new(receive: RecvStream, send: SendStream<Bytes>, alarm: Arc<Alarm>, streams: Arc<Streams>) -> Self {
        Self { receive, send, pending: Bytes::new(), window: Window::default(), alarm, streams }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        while me.pending.is_empty() {
            match ready!(me.receive.poll_data(cx)) {
                Some(Ok(data)) => me.pending = data,
                Some(Err(_)) => return Poll::Ready(Err(broken())),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = me.pending.len().min(buf.remaining());
        buf.put_slice(me.pending.get(..count).unwrap_or_default());
        me.pending.advance(count);
        // What was read may be sent again; an error means that the stream is gone, which the next read tells.
        let _ = me.receive.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let me = &mut *self;
        let count = match ready!(me.window.poll_room(buf.len(), &mut me.send, &me.alarm, &me.streams, cx)) {
            Ok(count) => count,
            Err(Shut::Gone) => return Poll::Ready(Err(broken())),
            Err(Shut::Stalled) => {
                me.streams.set_stalled(true);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        };
        let piece = Bytes::copy_from_slice(buf.get(..count).unwrap_or_default());
        me.send.send_data(piece, false).map_err(|_| broken())?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(|_| broken()))
    }
}
