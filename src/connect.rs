//! What is known of the connection that a request came on.
use std::net::{IpAddr, SocketAddr};

/// Facts of a client connection.
///
/// Our own listeners hand it to the gateway for each connection. In a host's server, put one into the request's
/// extensions (with feature `axum`, axum's `ConnectInfo<SocketAddr>` is read as well); without either the client
/// address is unknown: `remote_addr` is missing and no `X-Forwarded-For` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Our end of the connection, when it is known.
    pub local: Option<SocketAddr>,
    /// Whether the client spoke TLS to us.
    pub tls: bool,
    /// Whether our own HTTP/1 codec reads the connection: heads are judged and bodies clocked before a request comes
    /// out of it (security.md §1.5).
    pub(crate) own_codec: bool,
}

impl ConnectInfo {
    /// A plain connection from `peer`.
    pub const fn new(peer: SocketAddr) -> Self {
        Self { peer, local: None, tls: false, own_codec: false }
    }

    /// Adds our own end.
    #[must_use]
    pub const fn with_local(mut self, local: SocketAddr) -> Self {
        self.local = Some(local);
        self
    }

    /// Marks the connection as TLS.
    #[must_use]
    pub const fn with_tls(mut self, tls: bool) -> Self {
        self.tls = tls;
        self
    }

    /// Marks the connection as read by our own HTTP/1 codec.
    #[cfg(feature = "server")]
    #[must_use]
    pub(crate) const fn with_own_codec(mut self) -> Self {
        self.own_codec = true;
        self
    }

    /// What a host's server left in the extensions of a request.
    pub(crate) fn of(extensions: &http::Extensions) -> Option<Self> {
        if let Some(info) = extensions.get::<Self>() {
            return Some(*info);
        }
        #[cfg(feature = "axum")]
        if let Some(axum::extract::ConnectInfo(peer)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
            return Some(Self::new(*peer));
        }
        None
    }

    /// The peer's address, an IPv4-mapped IPv6 address as IPv4.
    pub fn ip(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }
}
