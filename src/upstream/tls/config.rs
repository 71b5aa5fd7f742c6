//! What an upstream is told about TLS.
use std::fmt;
use std::sync::Arc;

/// TLS towards the endpoints of an upstream (upstream.md §6). The default verifies against the system's certificates, shows
/// no certificate, and asks for the name that [`PassHost`](crate::upstream::PassHost) leads to.
///
/// TLS 1.2 and 1.3 are spoken, with suites that encrypt and authenticate at once and have forward secrecy (security.md
/// TLS-01).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    pub(super) verify: bool,
    /// The name to ask for and to verify: a host name or an IP address. `None` (the default): the host that is sent, without its port;
    /// under [`PassHost::Pass`](crate::upstream::PassHost::Pass) the node's name, if it has one (upstream.md §5).
    pub sni: Option<String>,
    /// Certificates to verify against instead of the system's, as PEM.
    pub ca: Option<Arc<str>>,
    /// What endpoints that ask for a certificate are shown. Default: nothing.
    pub client: Option<ClientCertificate>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { verify: true, sni: None, ca: None, client: None }
    }
}

impl TlsConfig {
    /// Talks to whoever answers, whatever certificate he shows: safe only on a network on which nobody else can be.
    #[must_use]
    pub fn dangerous_without_verification(mut self) -> Self {
        self.verify = false;
        self
    }

    /// Whether certificates are verified: the chain up to a trusted one, the times, and the name (security.md TLS-03).
    pub fn verifies(&self) -> bool {
        self.verify
    }
}

/// A client's certificate with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those up to the authority that the endpoints know, as PEM.
    pub chain: Arc<str>,
    /// Its private key, as PEM: PKCS#8, PKCS#1 or SEC 1.
    pub key: Arc<str>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

/// What is wrong with one field of a [`TlsConfig`].
#[cfg(all(feature = "client", feature = "tls"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFault {
    /// As on the wire: `ca`, `client_cert`, `client_key` or `sni`.
    pub(crate) field: &'static str,
    pub(crate) reason: String,
}

#[cfg(all(feature = "client", feature = "tls"))]
impl TlsFault {
    pub(super) fn new(field: &'static str, reason: impl fmt::Display) -> Self {
        Self { field, reason: reason.to_string() }
    }
}
