//! [`Certificate`]: names, pairs, and whom it demands of clients.
use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::client::{Client, ClientRules};
use super::name::{is_pattern, normal};
use super::{CertificateFault, Pair, Stapling, Versions};
use crate::connect::TlsClient;

/// What clients that ask for its names are shown, and what it demands of them.
///
/// ```
/// # fn example(chain: &str, key: &str) -> Result<(), tollgate::tls::CertificateFault> {
/// use tollgate::tls::{Certificate, Certificates, Pair};
///
/// let certificates = Certificates::new();
/// let certificate = Certificate::builder("shop").name("shop.test").name("*.shop.test");
/// certificates.put(certificate.pair(Pair::from_pem(chain, key)?).build()?);
/// assert_eq!(certificates.find("www.shop.test").unwrap().id(), "shop");
/// # Ok(())
/// # }
/// ```
pub struct Certificate {
    id: Arc<str>,
    names: Box<[Arc<str>]>,
    issued: bool,
    pairs: ArcSwap<Vec<Pair>>,
    versions: Versions,
    client: Option<Arc<Client>>,
    stapling: Option<Stapling>,
    /// Counts what is installed, for whoever sees to the table that it was put into.
    installed: OnceLock<watch::Sender<u64>>,
}

impl Certificate {
    /// Starts one. The id tells it from others in a table.
    pub fn builder(id: impl Into<Arc<str>>) -> CertificateBuilder {
        CertificateBuilder {
            id: id.into(),
            names: Vec::new(),
            issued: false,
            pairs: Vec::new(),
            versions: Versions::Both,
            client: None,
            stapling: None,
        }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its server names, in lower case, without trailing dots.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether its pairs are delivered by [`install`](Self::install). Until then handshakes fall to the next candidate.
    pub fn is_issued(&self) -> bool {
        self.issued
    }

    /// Its chains and keys, best first. Empty while none was issued.
    pub fn pairs(&self) -> Arc<[Pair]> {
        self.pairs.load().iter().cloned().collect()
    }

    /// The versions of TLS that are spoken with it, if the listener has them.
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// How it is stapled, if it says so itself.
    pub fn stapling(&self) -> Option<Stapling> {
        self.stapling
    }

    /// Whether a request for this path (canonical, without query) may be served to a client that showed `client` in the
    /// handshake. The gateway asks for each request that came by one of its own certificates; whoever serves others by a
    /// certificate with exempt paths has to ask it, with what [`judge_client`](Self::judge_client) says of the client.
    pub fn admits(&self, client: Option<&TlsClient>, path: &[u8]) -> bool {
        match &self.client {
            None => true,
            Some(rules) => client.is_some_and(|client| rules.has_verified(client)) || rules.is_exempt(path),
        }
    }

    /// What is to be known of a client that showed this chain, its own certificate first, in a handshake for this
    /// certificate, for [`TlsInfo::client`](crate::TlsInfo::client). `None` when it showed nothing, or nothing was demanded.
    ///
    /// It is verified now by the rules in here: that a handshake succeeded says nothing of it where paths are exempt.
    pub fn judge_client(&self, chain: &[CertificateDer<'_>]) -> Option<TlsClient> {
        let rules = self.client.as_ref()?;
        let (own, between) = chain.split_first()?;
        let verified = rules.verify(own, between, UnixTime::now()).is_ok();
        Some(TlsClient::new(&**own, verified).under(*rules.digest()))
    }

    /// One that shows nothing and serves nobody: it stands for an item that demands certificates of clients and cannot be
    /// read, so that its demand does not go with it. `None` when it has no name.
    pub(crate) fn closed<'n>(id: &str, names: impl IntoIterator<Item = &'n str>) -> Option<Arc<Self>> {
        let names = names.into_iter().map(normal).filter(|name| is_pattern(name)).map(|name| Arc::from(&*name));
        let names: Box<[Arc<str>]> = names.collect();
        (!names.is_empty()).then(|| {
            Arc::new(Self {
                id: id.into(),
                names,
                issued: false,
                pairs: ArcSwap::default(),
                versions: Versions::Both,
                client: Some(Arc::new(Client::nobody())),
                stapling: None,
                installed: OnceLock::new(),
            })
        })
    }

    /// Replaces its pairs from the next handshake on. Connections are not touched.
    ///
    /// # Errors
    /// When there is none.
    pub fn install(&self, pairs: Vec<Pair>) -> Result<(), CertificateFault> {
        if pairs.is_empty() {
            return Err(CertificateFault::NoPair);
        }
        self.pairs.store(Arc::new(pairs));
        if let Some(installed) = self.installed.get() {
            installed.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(())
    }

    /// Has what is installed counted there. One of several tables hears of it: the first.
    pub(super) fn tell(&self, installed: &watch::Sender<u64>) {
        self.installed.get_or_init(|| installed.clone());
    }

    /// Staples an OCSP response to the pair of this certificate, or takes it away, from the next handshake on. Nothing happens
    /// when there is no such pair: it may have been replaced meanwhile.
    pub fn staple(&self, leaf: &CertificateDer<'_>, ocsp: Option<Vec<u8>>) {
        self.pairs.rcu(|pairs| {
            let mut pairs = Vec::clone(pairs);
            for pair in pairs.iter_mut().filter(|pair| pair.chain().first() == Some(leaf)) {
                *pair = pair.with_staple(ocsp.clone());
            }
            pairs
        });
    }

    pub(super) fn shared_names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// What a client is shown that speaks these kinds of signatures.
    pub(super) fn pair_for(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.pairs.load();
        let suits = |pair: &&Pair| pair.certified().key.choose_scheme(hello.signature_schemes()).is_some();
        pairs.iter().find(suits).map(|pair| Arc::clone(pair.certified()))
    }

    /// A name that was asked for; mostly it is one of its own.
    pub(super) fn share_name(&self, name: &str) -> Arc<str> {
        self.names.iter().find(|own| ***own == *name).cloned().unwrap_or_else(|| name.into())
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// Whether there is anything to show.
    pub(super) fn is_ready(&self) -> bool {
        !self.pairs.load().is_empty()
    }

    /// Whom it demands of clients.
    pub(crate) fn client(&self) -> Option<&Arc<Client>> {
        self.client.as_ref()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("id", &self.id)
            .field("names", &self.names)
            .field("pairs", &self.pairs.load())
            .field("versions", &self.versions)
            .field("client", &self.client.is_some())
            .finish_non_exhaustive()
    }
}

/// Composes a [`Certificate`].
#[derive(Debug)]
pub struct CertificateBuilder {
    id: Arc<str>,
    names: Vec<String>,
    issued: bool,
    pairs: Vec<Pair>,
    versions: Versions,
    client: Option<ClientRules>,
    stapling: Option<Stapling>,
}

impl CertificateBuilder {
    /// Adds a server name: `a.example.com`, `*.example.com` (one label in the place of the star), or `*` (any).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Adds a chain with its key. Of several, such as ECDSA beside RSA, a client is shown the first that it understands.
    #[must_use]
    pub fn pair(mut self, pair: Pair) -> Self {
        self.pairs.push(pair);
        self
    }

    /// Pairs are delivered later, by [`Certificate::install`].
    #[must_use]
    pub fn issued(mut self) -> Self {
        self.issued = true;
        self
    }

    /// Sets the versions of TLS. Default: those of the listener.
    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Demands certificates of clients.
    #[must_use]
    pub fn client(mut self, rules: ClientRules) -> Self {
        self.client = Some(rules);
        self
    }

    /// Says how it is stapled. Default: as whoever staples does with those that don't say.
    #[must_use]
    pub fn stapling(mut self, stapling: Stapling) -> Self {
        self.stapling = Some(stapling);
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// Names that no client asks for, no name at all, no pair where none is to be issued, and rules about clients that
    /// cannot be followed.
    pub fn build(self) -> Result<Arc<Certificate>, CertificateFault> {
        let Self { id, names, issued, pairs, versions, client, stapling } = self;
        let mut normals: Vec<Arc<str>> = Vec::with_capacity(names.len());
        for name in &names {
            let normal = normal(name);
            if !is_pattern(&normal) {
                return Err(CertificateFault::Name(name.clone()));
            }
            if !normals.iter().any(|known| **known == *normal) {
                normals.push((&*normal).into());
            }
        }
        if normals.is_empty() {
            return Err(CertificateFault::NoName);
        }
        if pairs.is_empty() && !issued {
            return Err(CertificateFault::NoPair);
        }
        let client = client.as_ref().map(Client::new).transpose()?.map(Arc::new);
        let pairs = ArcSwap::from_pointee(pairs);
        let names = normals.into();
        Ok(Arc::new(Certificate { id, names, issued, pairs, versions, client, stapling, installed: OnceLock::new() }))
    }
}
