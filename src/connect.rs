//! What is known of the connection that a request came on.
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Facts of a client connection.
///
/// Our own listeners hand it to the gateway for each connection. In a host's server, put one into the request's
/// extensions (with feature `axum`, axum's `ConnectInfo<SocketAddr>` is read as well); without either the client
/// address is unknown: `remote_addr` is missing and no `X-Forwarded-For` is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Our end of the connection, when it is known.
    pub local: Option<SocketAddr>,
    /// Whether the client spoke TLS to us.
    pub tls: bool,
    /// What our own TLS learned in the handshake.
    handshake: Option<Arc<TlsInfo>>,
    /// Who passed the connection on, by the PROXY protocol.
    proxy: Option<Arc<SocketAddr>>,
    /// Whether our own HTTP/1 codec reads the connection: heads are judged and bodies clocked before a request comes
    /// out of it (security.md §1.5).
    pub(crate) own_codec: bool,
}

/// What a TLS handshake on a listener of ours told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The name that the client asked for (SNI), in lower case, without a trailing dot.
    pub sni: Option<Arc<str>>,
    /// Id of the certificate that was shown.
    pub certificate: Arc<str>,
    /// The version, as `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its name at the IANA, as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The client's certificate, if one was asked for and shown.
    pub client: Option<TlsClient>,
}

/// The certificate of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsClient {
    /// The certificate itself (DER), without its chain.
    pub certificate: Arc<[u8]>,
    /// Whether it was verified against what the listener's certificate demands. Where a path may be exempt, a request
    /// can be served although it was not.
    pub verified: bool,
    /// The rules that it was verified under; `None` where only the result is known.
    #[cfg(feature = "tls")]
    pub(crate) rules: Option<[u8; 32]>,
}

impl TlsClient {
    /// A certificate (DER), and whether it was verified.
    pub fn new(certificate: impl Into<Arc<[u8]>>, verified: bool) -> Self {
        Self {
            certificate: certificate.into(),
            verified,
            #[cfg(feature = "tls")]
            rules: None,
        }
    }

    /// Adds the rules that it was judged by.
    #[cfg(feature = "tls")]
    pub(crate) fn under(mut self, rules: [u8; 32]) -> Self {
        self.rules = Some(rules);
        self
    }
}

impl ConnectInfo {
    /// A plain connection from `peer`.
    pub const fn new(peer: SocketAddr) -> Self {
        Self { peer, local: None, tls: false, handshake: None, proxy: None, own_codec: false }
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

    /// Adds what the handshake told; that makes it TLS.
    #[must_use]
    pub fn with_handshake(mut self, handshake: Arc<TlsInfo>) -> Self {
        self.tls = true;
        self.handshake = Some(handshake);
        self
    }

    /// What our own TLS learned in the handshake; `None` without TLS, and in a host's server that does not say.
    pub fn handshake(&self) -> Option<&TlsInfo> {
        self.handshake.as_deref()
    }

    /// The balancer that passed the connection on by the PROXY protocol; `peer` and `local` are then what its header says.
    pub fn proxy(&self) -> Option<SocketAddr> {
        self.proxy.as_deref().copied()
    }

    /// Says that the peer passed the connection on for `client`, who connected to `server`.
    #[must_use]
    pub fn passed_on_for(mut self, client: SocketAddr, server: SocketAddr) -> Self {
        self.proxy = Some(Arc::new(self.peer));
        self.peer = client;
        self.local = Some(server);
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
            return Some(info.clone());
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
