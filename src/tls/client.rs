//! What is demanded of clients.
use std::fmt;

use regex::RegexSet;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::sync::Arc;

use super::CertificateFault;

/// Demands certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    ca: Arc<str>,
    depth: u32,
    skip: Vec<String>,
}

impl ClientRules {
    /// Certificates that `ca` (PEM, one or several) or what they vouch for has signed. No path is exempt.
    pub fn new(ca: impl Into<Arc<str>>) -> Self {
        Self { ca: ca.into(), depth: 1, skip: Vec::new() }
    }

    /// Sets how many certificates may stand between the client's and one of `ca`. Default 1.
    #[must_use]
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// Exempts paths: a regular expression that finds something in one. With any of these, a client without a valid
    /// certificate gets his connection, and each request is judged when its path is known.
    #[must_use]
    pub fn skip(mut self, pattern: impl Into<String>) -> Self {
        self.skip.push(pattern.into());
        self
    }
}

/// [`ClientRules`], compiled.
pub(crate) struct Client {
    rules: ClientRules,
    roots: Arc<RootCertStore>,
    skip: RegexSet,
}

impl Client {
    pub(super) fn new(rules: &ClientRules) -> Result<Self, CertificateFault> {
        let unread = || CertificateFault::ClientCa("it does not parse".to_owned());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(rules.ca.as_bytes()) {
            roots.add(certificate.map_err(|_| unread())?).map_err(|_| unread())?;
        }
        if roots.is_empty() {
            return Err(CertificateFault::ClientCa("there is none in it".to_owned()));
        }
        let skip = RegexSet::new(&rules.skip).map_err(|error| CertificateFault::Pattern(error.to_string()))?;
        Ok(Self { rules: rules.clone(), roots: Arc::new(roots), skip })
    }

    /// Whether requests without a valid certificate can pass at all.
    pub(crate) fn has_exempt_paths(&self) -> bool {
        !self.skip.is_empty()
    }

    /// Whether a path needs no certificate.
    pub(crate) fn is_exempt(&self, path: &str) -> bool {
        self.skip.is_match(path)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("roots", &self.roots.len()).field("depth", &self.rules.depth).finish()
    }
}
