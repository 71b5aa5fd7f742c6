//! One open socket.
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;

use super::unix;
use crate::net::Transport;

/// A connection, and of TCP whom it is from.
pub(in crate::server) struct Accepted {
    pub(in crate::server) transport: Transport,
    pub(in crate::server) peer: Option<SocketAddr>,
}

/// What connections come in by. Whoever accepts and whoever closes share it; the lock is taken once for each connection.
pub(in crate::server) struct Door(Mutex<Option<Bound>>);

/// A socket that listens.
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(unix::Bound),
    Abstract(UnixListener),
}

impl Door {
    pub(super) fn new(bound: Bound) -> Self {
        Self(Mutex::new(Some(bound)))
    }

    fn bound(&self) -> MutexGuard<'_, Option<Bound>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next connection; none once the door is closed.
    pub(in crate::server) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        match &*self.bound() {
            Some(bound) => Poll::Ready(Some(ready!(bound.poll_accept(cx)))),
            None => Poll::Ready(None),
        }
    }

    /// Closes the socket, here and now. Connections that the system has taken in already would be reset by that: each is
    /// handed to `take` first, where a runtime can take them.
    pub(in crate::server) fn close(&self, mut take: impl FnMut(Accepted)) {
        let Some(bound) = self.bound().take() else { return };
        if Handle::try_current().is_err() {
            return;
        }
        while let Ok(accepted) = bound.accept_waiting() {
            take(accepted);
        }
    }
}

impl Bound {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let unix = match self {
            Self::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                return Poll::Ready(Ok(Accepted { transport: Transport::Tcp(stream), peer: Some(peer) }));
            }
            Self::Unix(bound) => bound.listener(),
            Self::Abstract(listener) => listener,
        };
        let (stream, _) = ready!(unix.poll_accept(cx))?;
        Poll::Ready(Ok(Accepted { transport: Transport::Unix(stream), peer: None }))
    }

    /// A connection that waits, without asking tokio, which may not have heard of it yet.
    fn accept_waiting(&self) -> io::Result<Accepted> {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(listener).accept(),
            Self::Unix(bound) => SockRef::from(bound.listener()).accept(),
            Self::Abstract(listener) => SockRef::from(listener).accept(),
        };
        let (socket, peer) = socket?;
        socket.set_nonblocking(true)?;
        let peer = peer.as_socket();
        let transport = match self {
            Self::Tcp(_) => Transport::Tcp(TcpStream::from_std(socket.into())?),
            _ => Transport::Unix(UnixStream::from_std(socket.into())?),
        };
        Ok(Accepted { transport, peer })
    }
}
