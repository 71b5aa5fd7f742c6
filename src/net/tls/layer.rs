//! A TLS session that is shared.
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::ReadBuf;

use super::super::io::Probe;
use super::super::transport::Transport;
use super::session::Session;

/// The session of one socket.
///
/// Unlike a socket, a session is changed by each call: reading may answer the peer, writing may change keys. The lock makes
/// it a thing that takes `&self` as the socket does. It is never waited for: whoever has the connection makes all calls,
/// in one task.
pub(in crate::net) struct Layer(Mutex<Session>);

impl Layer {
    pub(super) fn new(session: Session) -> Self {
        Self(Mutex::new(session))
    }

    /// What a panic left halfway is never looked at again: to go on with it might be to panic again.
    fn session(&self) -> io::Result<MutexGuard<'_, Session>> {
        self.0.lock().map_err(|_| io::Error::other("the TLS session is broken"))
    }

    /// Appends what came to `plain`, and tells how many bytes: 0 is the end that the peer announced.
    pub(in crate::net) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        transport: &Transport,
        plain: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        self.session()?.poll_read(cx, transport, plain)
    }

    /// As [`poll_read`](Self::poll_read) into a caller's buffer; `scratch` is empty before and after.
    pub(in crate::net) fn poll_read_into(
        &self,
        cx: &mut Context<'_>,
        transport: &Transport,
        scratch: &mut BytesMut,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.session()?.poll_read_into(cx, transport, scratch, buf)
    }

    /// Takes bytes of `head` and then of `body`, and tells how many.
    pub(in crate::net) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        transport: &Transport,
        head: &[u8],
        body: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.session()?.poll_write(cx, transport, head, body)
    }

    /// Ready when the socket has all that was taken.
    pub(in crate::net) fn poll_flush(&self, cx: &mut Context<'_>, transport: &Transport) -> Poll<io::Result<()>> {
        self.session()?.poll_flush(cx, transport)
    }

    /// Tells whether the peer said anything, or has gone.
    pub(in crate::net) fn poll_probe(&self, cx: &mut Context<'_>, transport: &Transport) -> Poll<Probe> {
        let Ok(mut session) = self.session() else { return Poll::Ready(Probe::Closed) };
        // Nothing is put into it in the usual case.
        let mut plain = BytesMut::new();
        match session.poll_read(cx, transport, &mut plain) {
            Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Probe::Data),
            Poll::Ready(_) => Poll::Ready(Probe::Closed),
            // A part of a message has come, and nobody can tell yet of which one: data must not be taken for silence.
            Poll::Pending if session.is_amid_record() => Poll::Ready(Probe::Closed),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Has [`close`](Self::close) say nothing: what was sent is no whole.
    pub(in crate::net) fn forgo_close(&self) {
        if let Ok(mut session) = self.session() {
            session.forgo_close();
        }
    }

    /// Tells the peer that nothing more comes, if that goes without waiting.
    pub(in crate::net) fn close(&self, transport: &Transport) {
        if let Ok(mut session) = self.session() {
            session.close(transport);
        }
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer")
    }
}
