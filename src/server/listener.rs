//! Where a server listens, and the accept loop.
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::registry::Registry;
use super::unix;
use crate::net::Transport;

/// Connections that the kernel keeps until they are accepted; it cuts this to its own limit.
const BACKLOG: i32 = 4096;
/// Wait after descriptors ran out, unless a connection ends before.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// An address to listen on, and what is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Address and port; port 0 lets the system choose.
    pub address: SocketAddr,
    /// What is spoken. Default [`Protocols::H1`].
    pub protocols: Protocols,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/1.
    #[default]
    H1,
    /// HTTP/2 in clear text by prior knowledge (RFC 9113 §3.3); needs feature `http2`.
    H2c,
    /// Either, told apart by the first bytes.
    Both,
}

impl Listener {
    /// HTTP/1 on this address.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, protocols: Protocols::H1 }
    }

    /// Sets what is spoken.
    #[must_use]
    pub const fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Something else listens there.
    #[error("cannot listen on {0}: the address is in use; stop what holds it or choose another port")]
    InUse(SocketAddr),
    /// The system does not allow it.
    #[error("cannot listen on {0}: permission denied; choose a port above 1023 or grant the capability")]
    Denied(SocketAddr),
    /// The address is none of this machine.
    #[error("cannot listen on {0}: no such address on this machine")]
    NoSuchAddress(SocketAddr),
    /// HTTP/2 was asked for and is not built in.
    #[error("cannot listen on {0}: h2c needs the feature `http2`")]
    NoHttp2(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens the socket. Must be called inside a tokio runtime.
pub(super) fn bind(listener: &Listener) -> Result<TcpListener, BindError> {
    let address = listener.address;
    if listener.protocols != Protocols::H1 && !cfg!(feature = "http2") {
        return Err(BindError::NoHttp2(address));
    }
    open(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        io::ErrorKind::PermissionDenied => BindError::Denied(address),
        io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress(address),
        _ => BindError::Other { address, source },
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What connections come in by.
pub(super) enum Door {
    Tcp(TcpListener),
    Unix(unix::Door),
}

impl Door {
    /// The next connection; of TCP with the client's address.
    async fn accept(&self) -> io::Result<(Transport, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Transport::Tcp(stream), Some(peer.ip())))
            }
            Self::Unix(door) => Ok((Transport::Unix(door.accept().await?), None)),
        }
    }
}

/// Accepts until it is dropped.
pub(super) async fn accept(listener: Door, registry: Arc<Registry>, serve: impl Fn(Transport)) {
    let mut spare = File::open("/dev/null").ok();
    loop {
        match listener.accept().await {
            // One that is over a limit is closed by being dropped.
            Ok((stream, peer)) if registry.admit(peer) => serve(stream),
            Ok(_) => {}
            Err(error) if is_exhausted(&error) => {
                // The spare descriptor lets the next in line be told by a close, instead of waiting for nothing.
                drop(spare.take());
                registry.close_idle_oldest(1);
                tokio::select! {
                    biased;
                    refused = listener.accept() => drop(refused),
                    () = std::future::ready(()) => {}
                }
                spare = File::open("/dev/null").ok();
                tokio::select! {
                    () = registry.departed() => {}
                    () = tokio::time::sleep(EXHAUSTED) => {}
                }
            }
            // That connection failed before it was accepted; the next one is another.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// Whether descriptors or memory ran out (OVL-03): `ENFILE`, `EMFILE`, `ENOBUFS`, `ENOMEM`.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12))
}
