//! Open sockets.
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;

use super::unix;
use crate::net::Transport;
use crate::server::listener::SocketOptions;

/// A connection, and of TCP whom it is from.
pub(in crate::server) struct Accepted {
    pub(in crate::server) transport: Transport,
    pub(in crate::server) peer: Option<SocketAddr>,
}

/// What connections come in by. Whoever accepts and whoever closes share it; the lock is taken once for each connection.
pub(in crate::server) struct Door(Mutex<Sockets>);

struct Sockets {
    /// One, unless several were inherited by one name. None once the door is closed.
    bounds: Vec<Bound>,
    /// Which is asked first, so that a busy one does not hold up the others.
    first: usize,
}

/// A socket that listens.
pub(super) enum Bound {
    Tcp(TcpListener),
    /// Of TCP, opened by somebody else. Options and filters are of the socket, which outlives the listener, and which others
    /// may have: who may share its port is theirs to say.
    Inherited(TcpListener),
    Unix(UnixListener, Option<unix::Place>),
}

impl Door {
    pub(super) fn new(bounds: Vec<Bound>) -> Self {
        Self(Mutex::new(Sockets { bounds, first: 0 }))
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next connection; none once the door is closed.
    pub(in crate::server) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Accepted>>> {
        let mut sockets = self.sockets();
        let count = sockets.bounds.len();
        if count == 0 {
            return Poll::Ready(None);
        }
        for turn in 0..count {
            let at = (sockets.first + turn) % count;
            let polled = sockets.bounds.get(at).map_or(Poll::Pending, |bound| bound.poll_accept(cx));
            if polled.is_ready() {
                sockets.first = at + 1;
                return polled.map(Some);
            }
        }
        Poll::Pending
    }

    pub(in crate::server) fn is_closed(&self) -> bool {
        self.sockets().bounds.is_empty()
    }

    /// Addresses of TCP.
    pub(in crate::server) fn addresses(&self) -> Vec<SocketAddr> {
        let address = |bound: &Bound| match bound {
            Bound::Tcp(listener) | Bound::Inherited(listener) => listener.local_addr().ok(),
            Bound::Unix(..) => None,
        };
        self.sockets().bounds.iter().filter_map(address).collect()
    }

    /// Lets another socket have the same address, or no longer. Told to sockets of TCP that are ours.
    pub(in crate::server) fn share(&self, shared: bool) -> io::Result<()> {
        self.sockets().bounds.iter().try_for_each(|bound| match bound {
            Bound::Tcp(listener) => SockRef::from(listener).set_reuse_port(shared),
            Bound::Inherited(_) | Bound::Unix(..) => Ok(()),
        })
    }

    /// Takes options that an open socket can take: all but `only_v6`.
    pub(in crate::server) fn change(&self, options: &SocketOptions) -> io::Result<()> {
        for bound in &self.sockets().bounds {
            let socket = match bound {
                Bound::Tcp(listener) => {
                    SockRef::from(listener).set_reuse_port(options.reuse_port)?;
                    SockRef::from(listener)
                }
                Bound::Inherited(listener) => SockRef::from(listener),
                Bound::Unix(listener, place) => {
                    if let Some(place) = place {
                        place.set_mode(options.mode)?;
                    }
                    SockRef::from(listener)
                }
            };
            // A socket that listens already takes the new number.
            socket.listen(options.backlog.into())?;
        }
        Ok(())
    }

    /// Takes in no new connection, without refusing one: those under way come in, and who begins one now tries again a
    /// second later, as the system does by itself, and finds whoever has the address then.
    pub(in crate::server) fn begin_to_close(&self) {
        for bound in &self.sockets().bounds {
            if let Bound::Tcp(listener) = bound {
                // Without it a connection that begins at the moment of the close is reset.
                let _ = turn_away(&SockRef::from(listener));
            }
        }
    }

    /// Closes the socket, here and now. Connections that the system has taken in already would be reset by that: each is
    /// handed to `take` first, where a runtime can take them.
    pub(in crate::server) fn close(&self, mut take: impl FnMut(Accepted)) {
        let bounds = std::mem::take(&mut self.sockets().bounds);
        if Handle::try_current().is_err() {
            return;
        }
        for bound in &bounds {
            while let Ok(accepted) = bound.accept_waiting() {
                take(accepted);
            }
        }
    }
}

/// Has the system drop packets that begin a connection (SYN without ACK), by a filter.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn turn_away(socket: &SockRef<'_>) -> io::Result<()> {
    use socket2::SockFilter;
    /// Offset of the flags in a segment, and those that count.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    socket.attach_filter(&[
        SockFilter::new(0x30, 0, 0, FLAGS),     // load the byte
        SockFilter::new(0x54, 0, 0, SYN | ACK), // and
        SockFilter::new(0x15, 0, 1, SYN),       // equal, else skip one
        SockFilter::new(0x06, 0, 0, 0),         // drop
        SockFilter::new(0x06, 0, 0, u32::MAX),  // take
    ])
}

/// Other systems have no such filter.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn turn_away(_: &SockRef<'_>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Bound {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(Ok(match self {
            Self::Tcp(listener) | Self::Inherited(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Accepted { transport: Transport::Tcp(stream), peer: Some(peer) }
            }
            Self::Unix(listener, _) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                Accepted { transport: Transport::Unix(stream), peer: None }
            }
        }))
    }

    /// A connection that waits, without asking tokio, which may not have heard of it yet.
    fn accept_waiting(&self) -> io::Result<Accepted> {
        let (socket, peer) = match self {
            Self::Tcp(listener) | Self::Inherited(listener) => SockRef::from(listener).accept(),
            Self::Unix(listener, _) => SockRef::from(listener).accept(),
        }?;
        socket.set_nonblocking(true)?;
        let transport = match self {
            Self::Tcp(_) | Self::Inherited(_) => Transport::Tcp(TcpStream::from_std(socket.into())?),
            Self::Unix(..) => Transport::Unix(UnixStream::from_std(socket.into())?),
        };
        Ok(Accepted { transport, peer: peer.as_socket() })
    }
}
