//! Where a server listens, and what is spoken there.
use std::net::SocketAddr;
use std::path::PathBuf;

use super::ProxyProtocol;
use crate::model::ListenAddress;

/// An address to listen on, and what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// What is spoken. Default [`Protocols::H1`].
    pub protocols: Protocols,
    /// Whether connections begin with a PROXY header, and whose headers are believed. Default: none does.
    pub proxy_protocol: Option<ProxyProtocol>,
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

impl Listener {
    /// HTTP/1 on an address of TCP; port 0 lets the system choose.
    pub const fn new(address: SocketAddr) -> Self {
        Self::at(ListenAddress::Tcp(address))
    }

    /// HTTP/1 on a Unix socket that only this process's user can connect to (mode 0600).
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(ListenAddress::Unix(path.into()))
    }

    /// HTTP/1 on any kind of address.
    pub const fn at(address: ListenAddress) -> Self {
        Self { address, protocols: Protocols::H1, proxy_protocol: None }
    }

    /// Sets what is spoken.
    #[must_use]
    pub fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Has connections begin with a PROXY header.
    #[must_use]
    pub fn with_proxy_protocol(mut self, proxy_protocol: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(proxy_protocol);
        self
    }
}
