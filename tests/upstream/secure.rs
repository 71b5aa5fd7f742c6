//! Origins that speak TLS, and authorities that they have certificates of.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tollgate::Body;
use tollgate::upstream::{ClientCertificate, NodeConfig, Scheme, Target, TlsConfig, UpstreamConfig, UpstreamKey};

/// Authorities made so far.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// An authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate with its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be taken for one that changed its key.
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", MADE.fetch_add(1, SeqCst)));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn certificate(&self, names: &[&str]) -> Certificate {
        self.sign(CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
    }

    /// One that nobody may believe any more.
    pub(crate) fn expired(&self, name: &str) -> Certificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Certificate { chain: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// To believe this authority alone.
    pub(crate) fn believed(&self) -> TlsConfig {
        let mut tls = TlsConfig::default();
        tls.ca = Some(self.pem.as_str().into());
        tls
    }
}

impl Certificate {
    /// For a server that asks `clients` for certificates, if there are any.
    pub(crate) fn server(&self, clients: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let roots = Arc::new(authority.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = vec![CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap()];
        builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()).unwrap()
    }

    pub(crate) fn as_client(&self) -> ClientCertificate {
        ClientCertificate { chain: self.chain.as_str().into(), key: self.key.as_str().into() }
    }
}

/// What a handshake was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) sni: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) resumed: bool,
    pub(crate) client_certificates: usize,
}

/// An origin behind TLS; gone when it is dropped.
pub(crate) struct Secure {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Secure {
    /// Serves what `handler` says; by HTTP/2 if `protocols` have it and the client wants it.
    pub(crate) async fn serving<F, Fut>(config: ServerConfig, protocols: &[&str], handler: F) -> Self
    where
        F: Fn(http::Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = http::Response<Body>> + Send + 'static,
    {
        Self::start(config, protocols, move |stream| {
            let handler = handler.clone();
            async move {
                let service = hyper::service::service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            }
        })
        .await
    }

    /// Says the version of each request, its host, and what its body was.
    pub(crate) async fn echo(config: ServerConfig, protocols: &[&str]) -> Self {
        Self::serving(config, protocols, |request| async move {
            let version = format!("{:?}", request.version());
            let host = match request.uri().authority() {
                Some(authority) => authority.to_string(),
                None => request.headers()["host"].to_str().unwrap().to_owned(),
            };
            let scheme = request.uri().scheme_str().unwrap_or("-").to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            http::Response::new(Body::from(format!("{version} {scheme} {host} {body}")))
        })
        .await
    }

    /// Runs `script` on each connection whose handshake ended well.
    pub(crate) async fn start<F, Fut>(mut config: ServerConfig, protocols: &[&str], script: F) -> Self
    where
        F: Fn(TlsStream<TcpStream>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, accepted): (Arc<Mutex<Vec<Seen>>>, Arc<AtomicUsize>) = Default::default();
        let (log, count) = (Arc::clone(&seen), Arc::clone(&accepted));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.fetch_add(1, SeqCst);
                let (acceptor, script, log) = (acceptor.clone(), script.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let session = stream.get_ref().1;
                    log.lock().unwrap().push(Seen {
                        sni: session.server_name().map(str::to_owned),
                        protocol: session.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap()),
                        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
                        client_certificates: session.peer_certificates().map_or(0, <[_]>::len),
                    });
                    script(stream).await;
                });
            }
        });
        Self { address, seen, accepted, task }
    }

    /// Handshakes that ended well.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn names(&self) -> Vec<Option<String>> {
        self.seen().into_iter().map(|seen| seen.sni).collect()
    }

    /// Connections accepted, whatever became of their handshakes.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(SeqCst)
    }

    /// An upstream whose one node is this origin, by `host`.
    pub(crate) fn upstream(&self, host: &str, tls: TlsConfig) -> UpstreamConfig {
        let node = NodeConfig::new(Target::host(host, self.address.port()));
        let mut config = UpstreamConfig::new(UpstreamKey::new("upstream", "secure"), vec![node]);
        config.scheme = Scheme::Https;
        config.tls = tls;
        config
    }
}
