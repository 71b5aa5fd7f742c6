//! [`Pair`]: a chain of certificates and its key.
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use super::CertificateFault;
use super::provider::provider;

/// A chain of certificates and the private key of the first one. A clone is the same pair.
#[derive(Clone)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    /// Seconds since 1970.
    not_before: i64,
    not_after: i64,
}

impl Pair {
    /// Reads a chain and its key.
    ///
    /// `chain` holds the certificate first, then those that lead to its root; `key` is PKCS #8, PKCS #1 or SEC 1, without
    /// a password. Other things in the texts are passed over.
    ///
    /// # Errors
    /// What cannot be read, a key that is not the certificate's, and a certificate that is over.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, CertificateFault> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain = chain.map_err(|_| CertificateFault::Chain("it does not parse".to_owned()))?;
        // The error's own words may quote what they are about.
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
        let key = key.map_err(|_| CertificateFault::Key("there is none in it".to_owned()))?;
        Self::from_der(chain, key)
    }

    /// As [`from_pem`](Self::from_pem), of what was read before.
    ///
    /// # Errors
    /// As there.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateFault> {
        let pair = Self::whenever(chain, key)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        if pair.not_after.cast_unsigned() < now && pair.not_after >= 0 {
            let until = ASN1Time::from_timestamp(pair.not_after).map(|time| time.to_string());
            return Err(CertificateFault::Expired(until.unwrap_or_default()));
        }
        Ok(pair)
    }

    fn whenever(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, CertificateFault> {
        let mut validity = None;
        for (place, certificate) in (1..).zip(&chain) {
            let unread = || CertificateFault::Chain(format!("certificate {place} in it does not parse"));
            let (rest, read) = X509Certificate::from_der(certificate).map_err(|_| unread())?;
            if !rest.is_empty() {
                return Err(unread());
            }
            validity.get_or_insert((read.validity.not_before.timestamp(), read.validity.not_after.timestamp()));
        }
        let (not_before, not_after) =
            validity.ok_or_else(|| CertificateFault::Chain("there is none in it".to_owned()))?;
        let refused = |_| CertificateFault::Key("it is of no kind that can sign".to_owned());
        let signing = provider().key_provider.load_private_key(key).map_err(refused)?;
        let certified = CertifiedKey::new(chain, signing);
        certified.keys_match().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateFault::Mismatch,
            _ => CertificateFault::Chain("certificate 1 in it does not parse".to_owned()),
        })?;
        Ok(Self { certified: Arc::new(certified), not_before, not_after })
    }

    /// What a challenge of ACME is answered with (RFC 8737 §3): a certificate with a critical extension that is for the
    /// authority alone, so that nothing that reads certificates of servers takes it, and its key.
    #[cfg(feature = "acme")]
    pub(crate) fn of_challenge(certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Option<Self> {
        let signing = provider().key_provider.load_private_key(key).ok()?;
        let certified = Arc::new(CertifiedKey::new(vec![certificate], signing));
        Some(Self { certified, not_before: 0, not_after: i64::MAX })
    }

    /// The chain, its own certificate first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// When the certificate begins to be valid.
    pub fn not_before(&self) -> SystemTime {
        time(self.not_before)
    }

    /// When the certificate is over.
    pub fn not_after(&self) -> SystemTime {
        time(self.not_after)
    }

    /// What is stapled to it (OCSP).
    pub fn staple(&self) -> Option<&[u8]> {
        self.certified.ocsp.as_deref()
    }

    /// The same pair with another staple.
    pub(super) fn with_staple(&self, ocsp: Option<Vec<u8>>) -> Self {
        let certified = CertifiedKey { ocsp, ..CertifiedKey::clone(&self.certified) };
        Self { certified: Arc::new(certified), ..*self }
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("chain", &self.chain().len()).field("not_after", &self.not_after()).finish()
    }
}

fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}
