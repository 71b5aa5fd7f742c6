//! [`TlsConfig`], compiled.
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::config::{ClientCertificate, TlsConfig, TlsFault};
use super::roots::SystemRoots;
use super::verify::AnyCertificate;

/// Who is believed and who we are. Sessions that endpoints let us resume are kept in it (those of 256 names, 8 each), so
/// that they are never used by somebody who believes others, or who is somebody else.
pub(crate) struct Identity {
    digest: Digest,
    config: Arc<ClientConfig>,
}

type Digest = [u8; blake3::OUT_LEN];

impl Identity {
    /// For the handshakes.
    pub(crate) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }
}

/// The same configuration is the same identity.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("digest", &blake3::Hash::from_bytes(self.digest).to_hex())
            .finish_non_exhaustive()
    }
}

/// The identities in use.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    system: SystemRoots,
    known: Mutex<HashMap<Digest, Weak<Identity>>>,
}

impl Identities {
    /// The identity of that configuration; the very same one for as long as somebody has it.
    ///
    /// # Errors
    /// What does not parse, or does not fit together.
    pub(crate) fn get(&self, config: &TlsConfig) -> Result<Arc<Identity>, TlsFault> {
        let digest = digest(config);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = known.get(&digest).and_then(Weak::upgrade) {
            return Ok(identity);
        }
        let identity = Arc::new(Identity { digest, config: Arc::new(self.compile(config)?) });
        known.retain(|_, identity| identity.strong_count() > 0);
        known.insert(digest, Arc::downgrade(&identity));
        Ok(identity)
    }

    fn compile(&self, config: &TlsConfig) -> Result<ClientConfig, TlsFault> {
        // The provider is named, never taken from the process: a host may have installed another one, or none.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if config.verifies() {
            let roots = match &config.ca {
                Some(pem) => Arc::new(authorities(pem)?),
                None => self.system.get().map_err(|reason| TlsFault::new("ca", reason))?,
            };
            verifier(roots, &provider)?
        } else {
            // What is never looked at may still not be nonsense.
            config.ca.as_deref().map(authorities).transpose()?;
            Arc::new(AnyCertificate(Arc::clone(&provider)))
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsFault::new("verify", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        match &config.client {
            None => Ok(builder.with_no_client_auth()),
            Some(client) => {
                let (chain, key) = credentials(client)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| TlsFault::new("client_key", misfit(&error)))
            }
        }
    }
}

fn verifier(roots: Arc<RootCertStore>, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, TlsFault> {
    let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
    builder.build().map_err(|error| TlsFault::new("ca", error))
}

fn certificates(pem: &str, field: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(|_| TlsFault::new(field, "is not PEM"))?;
    if certificates.is_empty() {
        return Err(TlsFault::new(field, "holds no certificate"));
    }
    Ok(certificates)
}

fn authorities(pem: &str) -> Result<RootCertStore, TlsFault> {
    let mut roots = RootCertStore::empty();
    for (place, certificate) in (1..).zip(certificates(pem, "ca")?) {
        roots.add(certificate).map_err(|_| TlsFault::new("ca", format!("certificate {place} in it does not parse")))?;
    }
    Ok(roots)
}

type Credentials = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn credentials(client: &ClientCertificate) -> Result<Credentials, TlsFault> {
    let chain = certificates(&client.chain, "client_cert")?;
    // rustls looks at the first one with the key only.
    for (place, certificate) in (1..).zip(&chain) {
        if RootCertStore::empty().add(certificate.clone()).is_err() {
            return Err(TlsFault::new("client_cert", format!("certificate {place} in it does not parse")));
        }
    }
    let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes());
    Ok((chain, key.map_err(|_| TlsFault::new("client_key", "holds no private key in PEM"))?))
}

/// The error's own words may quote what they are about.
fn misfit(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InconsistentKeys(_) => "is not the key of the certificate",
        _ => "is no private key that can be used",
    }
}

/// Each part with its length, so that no two configurations give the same bytes.
fn digest(config: &TlsConfig) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let TlsConfig { ca, client, .. } = config;
    hasher.update(&[u8::from(config.verifies())]);
    let client = client.as_ref().map(|client| (&*client.chain, &*client.key)).unzip();
    for part in [ca.as_deref(), client.0, client.1] {
        hasher.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
        hasher.update(part.unwrap_or_default().as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    /// A certificate and its key, as PEM.
    fn pair() -> (Arc<str>, Arc<str>) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        (cert.pem().into(), signing_key.serialize_pem().into())
    }

    fn with_ca(ca: &Arc<str>) -> TlsConfig {
        TlsConfig { ca: Some(Arc::clone(ca)), ..TlsConfig::default() }
    }

    fn with_client(ca: &Arc<str>, chain: &Arc<str>, key: &Arc<str>) -> TlsConfig {
        let client = Some(ClientCertificate { chain: Arc::clone(chain), key: Arc::clone(key) });
        TlsConfig { client, ..with_ca(ca) }
    }

    #[test]
    fn the_same_configuration_has_one_identity_and_others_have_others() {
        let identities = Identities::default();
        let ((a, a_key), (b, b_key)) = (pair(), pair());
        let all = [
            with_ca(&a),
            with_ca(&b),
            with_ca(&a).dangerous_without_verification(),
            with_client(&a, &a, &a_key),
            with_client(&a, &b, &b_key),
        ]
        .map(|config| identities.get(&config).unwrap());
        for (place, one) in all.iter().enumerate() {
            for other in &all[..place] {
                assert_ne!(one, other);
                assert!(!Arc::ptr_eq(one.config(), other.config()));
            }
        }
        assert!(Arc::ptr_eq(&all[0], &identities.get(&with_ca(&a)).unwrap()));
        // The name is none of its parts: it stands with the endpoint.
        let named = TlsConfig { sni: Some("s.test".to_owned()), ..with_ca(&a) };
        assert!(Arc::ptr_eq(&all[0], &identities.get(&named).unwrap()));
        drop(all);
        identities.get(&with_ca(&b)).unwrap();
        assert_eq!(identities.known.lock().unwrap().len(), 1);
    }

    #[test]
    fn sec_tls_04_what_does_not_parse_or_fit_together_is_refused_by_field() {
        let ((a, a_key), (_, b_key)) = (pair(), pair());
        let fault = |config: TlsConfig| {
            let fault = Identities::default().get(&config).unwrap_err();
            (fault.field, fault.reason)
        };
        let empty = Arc::from("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let broken = Arc::from("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
        for (config, field, reason) in [
            (with_ca(&Arc::from("no certificate")), "ca", "holds no certificate"),
            (with_ca(&broken), "ca", "is not PEM"),
            (with_ca(&empty), "ca", "certificate 1 in it does not parse"),
            (with_ca(&Arc::from(format!("{a}{empty}"))), "ca", "certificate 2 in it does not parse"),
            (with_ca(&empty).dangerous_without_verification(), "ca", "certificate 1 in it does not parse"),
            (with_client(&a, &a_key, &a_key), "client_cert", "holds no certificate"),
            (with_client(&a, &empty, &a_key), "client_cert", "certificate 1 in it does not parse"),
            (with_client(&a, &a, &a), "client_key", "holds no private key in PEM"),
            (with_client(&a, &a, &b_key), "client_key", "is not the key of the certificate"),
        ] {
            assert_eq!(fault(config), (field, reason.to_owned()));
        }
    }

    #[test]
    fn sec_tls_01_nothing_old_is_spoken() {
        let identity = Identities::default().get(&with_ca(&pair().0)).unwrap();
        let suites = &identity.config().crypto_provider().cipher_suites;
        assert!(suites.len() > 5);
        for suite in suites {
            let name = format!("{:?}", suite.suite());
            let sealed = name.contains("GCM") || name.contains("CHACHA20_POLY1305");
            assert!(sealed && (name.contains("ECDHE") || suite.tls13().is_some()), "{name}");
        }
        assert!(!identity.config().enable_early_data);
    }

    #[test]
    fn keys_are_in_no_debug_text() {
        let (a, key) = pair();
        let text = format!("{:?}", with_client(&a, &a, &key));
        assert!(!text.contains("PRIVATE KEY") && !text.contains(key.lines().nth(1).unwrap()), "{text}");
    }
}
