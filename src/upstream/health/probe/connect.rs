//! The connection of a probe: new each time, and gone without a trace.
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `address`. When the stream is dropped, the connection is reset.
///
/// Closed in order, it would stay in our kernel's tables for a minute: of a thousand endpoints that are probed each
/// second that is 60,000 such sockets, and ports to one endpoint would run out. A probe that has what it came for loses
/// nothing by a reset.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    socket.connect(address).await
}
