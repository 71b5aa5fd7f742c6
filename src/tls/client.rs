//! What is demanded of clients.
use std::fmt;
use std::sync::Arc;

use regex::bytes::RegexSet;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ProducesTickets;
use rustls::{CertificateError, DistinguishedName, OtherError, RootCertStore};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::CertificateFault;
use super::provider::{provider, tickets};
use crate::connect::TlsClient;

/// Demands certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRules {
    ca: Arc<str>,
    depth: u32,
    skip: Vec<String>,
}

impl ClientRules {
    /// Certificates that one of `ca` (PEM, one or several) has signed, or that one of those vouches for. No path is
    /// exempt.
    pub fn new(ca: impl Into<Arc<str>>) -> Self {
        Self { ca: ca.into(), depth: 1, skip: Vec::new() }
    }

    /// Sets how many certificates may stand between the client's and one of `ca`. Default 1.
    #[must_use]
    pub fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    /// Exempts paths: those in which the regular expression finds something. With any of these, a client without a valid
    /// certificate gets its connection, and each request is judged when its path is known.
    #[must_use]
    pub fn skip(mut self, pattern: impl Into<String>) -> Self {
        self.skip.push(pattern.into());
        self
    }
}

/// [`ClientRules`], compiled.
pub(crate) struct Client {
    roots: RootCertStore,
    /// What clients are told of `roots`, so that they can choose among their certificates.
    hints: Box<[DistinguishedName]>,
    algorithms: WebPkiSupportedAlgorithms,
    depth: usize,
    skip: RegexSet,
    /// Tells rules apart that verify differently.
    digest: [u8; 32],
    /// Sessions that began under these rules are resumed under these rules only.
    tickets: Arc<dyn ProducesTickets>,
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
        Ok(Self {
            hints: roots.subjects().into(),
            roots,
            algorithms: provider().signature_verification_algorithms,
            depth: usize::try_from(rules.depth).unwrap_or(usize::MAX),
            skip: RegexSet::new(&rules.skip).map_err(|error| CertificateFault::Pattern(error.to_string()))?,
            digest: digest(rules),
            tickets: tickets(),
        })
    }

    /// Rules that nobody meets, for a certificate whose own cannot be had: nothing of it is served.
    pub(super) fn nobody() -> Self {
        Self {
            roots: RootCertStore::empty(),
            hints: Box::default(),
            algorithms: provider().signature_verification_algorithms,
            depth: 0,
            skip: RegexSet::empty(),
            digest: [0; 32],
            tickets: tickets(),
        }
    }

    /// Whether a client was verified under these rules. One of whom nothing but the result is known is taken at its word,
    /// where there are any whose certificates count.
    pub(super) fn has_verified(&self, client: &TlsClient) -> bool {
        let under_these = client.rules.is_none_or(|rules| rules == self.digest);
        client.verified && under_these && !self.roots.is_empty()
    }

    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Whether requests without a valid certificate can pass at all.
    pub(crate) fn has_exempt_paths(&self) -> bool {
        !self.skip.is_empty()
    }

    /// Whether a path needs no certificate.
    pub(crate) fn is_exempt(&self, path: &[u8]) -> bool {
        self.skip.is_match(path)
    }

    /// Verifies a client's certificate with those that it sent along.
    pub(crate) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let is_near = |path: &VerifiedPath<'_>| match path.intermediate_certificates().count() <= self.depth {
            true => Ok(()),
            false => Err(webpki::Error::MaximumPathDepthExceeded),
        };
        let client = EndEntityCert::try_from(certificate).map_err(refused)?;
        let usage = KeyUsage::client_auth();
        let (algorithms, roots) = (self.algorithms.all, &self.roots.roots);
        client.verify_for_usage(algorithms, roots, between, now, usage, None, Some(&is_near)).map_err(refused)?;
        Ok(())
    }

    pub(super) fn hints(&self) -> &[DistinguishedName] {
        &self.hints
    }

    pub(super) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    pub(super) fn tickets(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.tickets)
    }
}

fn digest(rules: &ClientRules) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&rules.depth.to_le_bytes());
    hasher.update(rules.ca.as_bytes());
    *hasher.finalize().as_bytes()
}

/// As rustls says it, with the alert that goes with it.
fn refused(error: webpki::Error) -> rustls::Error {
    rustls::Error::InvalidCertificate(match error {
        webpki::Error::BadDer | webpki::Error::TrailingData(_) => CertificateError::BadEncoding,
        webpki::Error::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        webpki::Error::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        webpki::Error::UnknownIssuer | webpki::Error::MaximumPathDepthExceeded => CertificateError::UnknownIssuer,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("roots", &self.roots.len()).field("depth", &self.depth).finish_non_exhaustive()
    }
}
