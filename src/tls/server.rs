//! [`ServerTls`]: what TLS a listener speaks.
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ClientHello;

use super::acceptor::TlsAcceptor;
use super::greeting::{for_anybody, for_hello};
use super::{Certificates, Versions};

/// What TLS a listener speaks. Two are equal if they have the same table and the same options.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerTls {
    /// Where certificates are found.
    pub certificates: Certificates,
    /// The name that is taken for the one that a client does not tell. Default `None`: such a handshake fails.
    pub fallback_sni: Option<String>,
    /// The versions of TLS. Default: 1.2 and 1.3.
    pub versions: Versions,
}

impl ServerTls {
    /// TLS with the certificates of this table, everything else at its default.
    pub fn new(certificates: Certificates) -> Self {
        Self { certificates, fallback_sni: None, versions: Versions::default() }
    }

    /// Sets the name that is taken for the one that a client does not tell.
    #[must_use]
    pub fn with_fallback_sni(mut self, name: impl Into<String>) -> Self {
        self.fallback_sni = Some(name.into());
        self
    }

    /// Sets the versions of TLS.
    #[must_use]
    pub fn with_versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// The same for another server that takes rustls, such as one with tokio-rustls: certificates are looked up in the table
    /// at each handshake. `protocols` is what is served (ALPN), best first.
    ///
    /// Certificates with rules of their own, about versions or clients, are not shown by it, since one configuration cannot
    /// follow them; see [`server_config_for`](Self::server_config_for).
    ///
    /// # Errors
    /// When rustls cannot make one.
    pub fn server_config(&self, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, rustls::Error> {
        for_anybody(&Arc::new(TlsAcceptor::new(self, protocols)?))
    }

    /// As [`server_config`](Self::server_config) for one client whose hello was read (by `tokio_rustls::LazyConfigAcceptor` or
    /// `rustls::server::Acceptor`), with the rules of its certificate. Requests are judged by
    /// [`Certificate::admits`](super::Certificate::admits), with what [`judge_client`](super::Certificate::judge_client) says
    /// of the client.
    ///
    /// # Errors
    /// When rustls cannot make one.
    pub fn server_config_for(
        &self,
        hello: &ClientHello<'_>,
        protocols: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        for_hello(&Arc::new(TlsAcceptor::new(self, protocols)?), hello)
    }
}
