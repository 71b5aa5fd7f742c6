//! Opening the socket of a listener.
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::socket::{Bound, Door};
use super::{BindError, unix};
use crate::model::ListenAddress;
use crate::server::{Listener, Protocols};

/// Connections that the kernel keeps until they are accepted; it cuts this to its own limit.
const BACKLOG: i32 = 4096;

/// Opens what `listener` asks for, and tells which address it became. Must be called inside a tokio runtime.
pub(in crate::server) fn open(listener: &Listener) -> Result<(Door, ListenAddress), BindError> {
    let address = &listener.address;
    if listener.protocols != Protocols::H1 && !cfg!(feature = "http2") {
        return Err(BindError::NoHttp2(address.clone()));
    }
    let failed = |source| BindError::of(address, source);
    Ok(match address {
        ListenAddress::Tcp(asked) => {
            let listener = tcp(*asked).map_err(failed)?;
            let became = listener.local_addr().map_err(failed)?;
            (Door::new(Bound::Tcp(listener)), became.into())
        }
        ListenAddress::Unix(path) => (Door::new(Bound::Unix(unix::Bound::open(path)?)), address.clone()),
        ListenAddress::Abstract(name) => {
            let listener = abstract_unix(name).map_err(failed)?;
            (Door::new(Bound::Abstract(listener)), address.clone())
        }
        _ => return Err(BindError::NotInherited(address.clone())),
    })
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A name that begins with a zero byte is in no folder; it is gone with the socket.
fn abstract_unix(name: &str) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    socket.listen(BACKLOG)?;
    UnixListener::from_std(socket.into())
}
