//! Opening the socket of a listener.
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::socket::{Bound, Door};
use super::{BindError, InheritedSocket, unix};
use crate::model::ListenAddress;
use crate::server::listener::SocketOptions;
use crate::server::{Listener, Protocols};

/// Faults that can be told without opening anything.
pub(in crate::server) fn judge(listener: &Listener) -> Result<(), BindError> {
    let address = || listener.address.clone();
    if listener.protocols != Protocols::H1 && !cfg!(feature = "http2") {
        return Err(BindError::NoHttp2(address()));
    }
    let is_unix = matches!(listener.address, ListenAddress::Unix(_) | ListenAddress::Abstract(_));
    if is_unix && listener.proxy_protocol.as_ref().is_some_and(|proxy| proxy.optional) {
        return Err(BindError::NotOptional(address()));
    }
    Ok(())
}

/// Opens what `listener` asks for; `shared` lets another socket have the same address for now. Must be called inside a tokio
/// runtime.
pub(in crate::server) fn open(
    listener: &Listener,
    inherited: &HashMap<String, Vec<InheritedSocket>>,
    shared: bool,
) -> Result<Door, BindError> {
    let (address, options) = (&listener.address, &listener.socket);
    let bounds = match address {
        ListenAddress::Tcp(asked) => tcp(*asked, options, shared).map(|listener| vec![Bound::Tcp(listener)]),
        ListenAddress::Unix(path) => {
            let (listener, file) = unix::open(path, options)?;
            Ok(vec![Bound::Unix(listener, Some(file))])
        }
        ListenAddress::Abstract(name) => abstract_unix(name, options).map(|listener| vec![Bound::Unix(listener, None)]),
        ListenAddress::Inherited(name) => {
            let Some(sockets) = inherited.get(name) else { return Err(BindError::NotInherited(address.clone())) };
            sockets.iter().map(InheritedSocket::bound).collect()
        }
    };
    Ok(Door::new(bounds.map_err(|source| BindError::of(address, source))?))
}

fn tcp(address: SocketAddr, options: &SocketOptions, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if options.reuse_port || shared {
        socket.set_reuse_port(true)?;
    }
    if let (Some(only_v6), true) = (options.only_v6, address.is_ipv6()) {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(options.backlog.into())?;
    TcpListener::from_std(socket.into())
}

/// A name that begins with a zero byte is in no folder; it is gone with the socket.
fn abstract_unix(name: &str, options: &SocketOptions) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    socket.listen(options.backlog.into())?;
    UnixListener::from_std(socket.into())
}
