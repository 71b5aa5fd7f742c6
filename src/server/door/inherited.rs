//! Sockets that somebody else opened.
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use super::socket::Bound;

/// A socket that listens already: the process was started with it, or its host opened it.
#[derive(Debug)]
#[non_exhaustive]
pub enum InheritedSocket {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket of any kind. Its file, if it has one, is not ours to remove.
    Unix(UnixListener),
}

impl From<TcpListener> for InheritedSocket {
    fn from(socket: TcpListener) -> Self {
        Self::Tcp(socket)
    }
}

impl From<UnixListener> for InheritedSocket {
    fn from(socket: UnixListener) -> Self {
        Self::Unix(socket)
    }
}

impl InheritedSocket {
    /// A descriptor of its own to accept by: the socket stays open when that is closed, so it can be listened on again, and
    /// the system keeps connections meanwhile.
    pub(super) fn bound(&self) -> io::Result<Bound> {
        Ok(match self {
            Self::Tcp(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Bound::Inherited(tokio::net::TcpListener::from_std(socket)?)
            }
            Self::Unix(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Bound::Unix(tokio::net::UnixListener::from_std(socket)?, None)
            }
        })
    }
}
