//! What a service manager (systemd) gives and is told: sockets that it opened, and how far the process is.
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use listenfd::ListenFd;
use tollgate::server::Server;

/// Hands the server the sockets that the process was started with (`LISTEN_FDS`), by their names (`LISTEN_FDNAMES`). One
/// without a name has the name `unknown`, as the manager has it.
pub(crate) fn adopt(server: &Server) -> io::Result<()> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut sockets = ListenFd::from_env();
    for at in 0..sockets.len() {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        if let Ok(Some(socket)) = sockets.take_tcp_listener(at) {
            server.adopt(name, socket);
        } else if let Some(socket) = sockets.take_unix_listener(at)? {
            server.adopt(name, socket);
        }
    }
    Ok(())
}

/// Tells the manager, if there is one (`NOTIFY_SOCKET`). That it does not hear is nothing that a gateway could mend.
pub(crate) fn tell(state: &str) {
    let Some(place) = std::env::var("NOTIFY_SOCKET").ok().filter(|place| !place.is_empty()) else { return };
    let told = || {
        let address = match place.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&place)?,
        };
        UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
    };
    if let Err(error) = told() {
        eprintln!("the service manager is not told of {state}: {error}");
    }
}
