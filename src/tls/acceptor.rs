//! [`TlsAcceptor`]: a listener's TLS, compiled.
use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WantsServerCert};
use rustls::{ConfigBuilder, ServerConfig};

use super::certificate::Certificate;
use super::client::Client;
use super::greeting::Greeting;
use super::handshake::Counters;
use super::verifier::Verifier;
use super::{Pair, ServerTls, Versions};

/// Protocol of TLS-ALPN-01 (RFC 8737).
pub(super) const ACME: &[u8] = b"acme-tls/1";

/// A listener's TLS, compiled. One for each listener.
pub(crate) struct TlsAcceptor {
    tls: ServerTls,
    /// What is spoken over it, best first.
    protocols: Vec<Vec<u8>>,
    /// For certificates without rules of their own, which are nearly all; its resolver is replaced for each connection.
    plain: ServerConfig,
}

/// How a hello is answered; certificates may ask for another way than the usual one.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) versions: Versions,
    pub(super) client: Option<Arc<Client>>,
    pub(super) challenge: Option<Pair>,
}

impl TlsAcceptor {
    /// Serves `protocols` (ALPN), best first.
    pub(crate) fn new(tls: &ServerTls, protocols: &[&[u8]]) -> Result<Self, rustls::Error> {
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let tls = tls.clone();
        let way = Way { versions: tls.versions, client: None, challenge: None };
        let nobody = Arc::new(rustls::server::ResolvesServerCertUsingSni::new());
        let plain = config(&tls, &protocols, &way, nobody)?;
        Ok(Self { tls, protocols, plain })
    }

    /// What a connection is greeted with.
    pub(crate) fn greeting(self: &Arc<Self>) -> Greeting {
        Greeting::new(Arc::clone(self))
    }

    pub(super) fn tls(&self) -> &ServerTls {
        &self.tls
    }

    /// Turns at the work of handshakes.
    pub(crate) fn turns(&self) -> &tokio::sync::Semaphore {
        self.tls.certificates.turns()
    }

    pub(crate) fn counters(&self) -> &Counters {
        self.tls.certificates.counters()
    }

    /// The usual way.
    pub(super) fn usual(&self) -> Way {
        Way { versions: self.tls.versions, client: None, challenge: None }
    }

    /// The way that a certificate asks for; `None` when it has no version in common with the listener.
    pub(super) fn way_of(&self, certificate: &Certificate) -> Option<Way> {
        let versions = self.tls.versions.and(certificate.versions())?;
        Some(Way { versions, client: certificate.client().cloned(), challenge: None })
    }

    pub(super) fn config(
        &self,
        way: &Way,
        resolver: Arc<dyn ResolvesServerCert>,
    ) -> Result<ServerConfig, rustls::Error> {
        if *way == self.usual() {
            let mut plain = self.plain.clone();
            plain.cert_resolver = resolver;
            return Ok(plain);
        }
        config(&self.tls, &self.protocols, way, resolver)
    }
}

/// The same rules are the same way.
impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        let clients = match (&self.client, &other.client) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        clients && self.versions == other.versions && self.challenge.is_some() == other.challenge.is_some()
    }
}

fn config(
    tls: &ServerTls,
    protocols: &[Vec<u8>],
    way: &Way,
    resolver: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(tls.certificates.provider()));
    let builder = builder.with_protocol_versions(way.versions.supported())?;
    let builder: ConfigBuilder<_, WantsServerCert> = match &way.client {
        None => builder.with_no_client_auth(),
        Some(client) => builder.with_client_cert_verifier(Arc::new(Verifier(Arc::clone(client)))),
    };
    let mut config = builder.with_cert_resolver(resolver);
    config.ticketer = match &way.client {
        None => Arc::clone(tls.certificates.tickets()),
        Some(client) => client.tickets(),
    };
    // Sessions are in the tickets, and nowhere else.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = match &way.challenge {
        None => protocols.to_vec(),
        Some(_) => vec![ACME.to_vec()],
    };
    Ok(config)
}
