//! [`ServerTls`]: what TLS a listener speaks.
use super::{Certificates, HostAcceptor, Versions};

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

    /// The same for another server that takes rustls. `protocols` is what is served (ALPN), best first.
    ///
    /// # Errors
    /// When rustls cannot make one.
    pub fn acceptor(&self, protocols: &[&[u8]]) -> Result<HostAcceptor, rustls::Error> {
        HostAcceptor::new(self, protocols)
    }
}
