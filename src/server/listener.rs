//! Where a server listens, and what is spoken there.
use std::net::SocketAddr;
use std::path::PathBuf;

use super::ProxyProtocol;
use crate::model::ListenAddress;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;

/// An address to listen on, and what becomes of connections that come in there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// What is spoken. Default [`Protocols::H1`].
    pub protocols: Protocols,
    /// TLS, and whose certificates are shown. Default: none, what is spoken is spoken in clear text.
    #[cfg(feature = "tls")]
    pub tls: Option<ServerTls>,
    /// Whether connections begin with a PROXY header, and whose headers are believed. Default: none does.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How the socket is opened.
    pub socket: SocketOptions,
    /// Connections at once, beside the limit of the whole server; the newest is refused (LIM-11). Default: no limit of its own.
    pub max_connections: Option<usize>,
    /// What becomes of its connections when [`Server::apply`](super::Server::apply) removes it: they go on (`false`, the
    /// default), or end in good order, as in a drain.
    pub drain_when_removed: bool,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/1.
    #[default]
    H1,
    /// HTTP/2: over TLS by ALPN, in clear text by prior knowledge (RFC 9113 §3.3); needs feature `http2`.
    H2,
    /// Either: over TLS by ALPN, in clear text told apart by the first bytes.
    Both,
}

/// How a socket is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Connections that the system keeps until they are accepted, 1–65535; it cuts this to its own limit
    /// (`net.core.somaxconn`). Default 4096.
    pub backlog: u16,
    /// Whether other processes of the same user may listen on the same address of TCP, each with this option: the system spreads
    /// connections over them (`SO_REUSEPORT`), and a new process can begin before the old one ends (DRN-03). Default `false`.
    pub reuse_port: bool,
    /// Whether a socket of IPv6 takes no connections of IPv4. Default `None`: as the system has it, which on Linux is `false`
    /// unless `net.ipv6.bindv6only` is set, so that `[::]:80` listens for both.
    pub only_v6: Option<bool>,
    /// Who may connect to a Unix socket in the file system: its mode, 0–0o777. Default 0o600, this process's user alone.
    pub mode: u32,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { backlog: 4096, reuse_port: false, only_v6: None, mode: 0o600 }
    }
}

impl Listener {
    /// HTTP/1 on an address of TCP; port 0 lets the system choose.
    pub fn new(address: SocketAddr) -> Self {
        Self::at(address)
    }

    /// HTTP/1 on a Unix socket that only this process's user can connect to (mode 0600).
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(ListenAddress::Unix(path.into()))
    }

    /// HTTP/1 on any kind of address.
    pub fn at(address: impl Into<ListenAddress>) -> Self {
        Self {
            address: address.into(),
            protocols: Protocols::H1,
            #[cfg(feature = "tls")]
            tls: None,
            proxy_protocol: None,
            socket: SocketOptions::default(),
            max_connections: None,
            drain_when_removed: false,
        }
    }

    /// Sets what is spoken.
    #[must_use]
    pub fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Has TLS spoken.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Has connections begin with a PROXY header.
    #[must_use]
    pub fn with_proxy_protocol(mut self, proxy_protocol: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(proxy_protocol);
        self
    }

    /// Sets how the socket is opened.
    #[must_use]
    pub fn with_socket(mut self, socket: SocketOptions) -> Self {
        self.socket = socket;
        self
    }
}
