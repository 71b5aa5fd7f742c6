//! Handshakes with clients of rustls: whom they are shown, and who is let in.
use std::io;
use std::sync::Arc;

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256};
use rustls::crypto::aws_lc_rs::{self, cipher_suite};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::net::{IoStream, Room};
use crate::tls::{Certificate, Certificates, ClientRules, Pair, ServerTls, Versions};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A chain with its key, as PEM.
struct Signed {
    chain: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    /// One that it vouches for; its `pem` is what stands between a certificate and this authority.
    fn below(&self, name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn sign(&self, names: &[&str]) -> Signed {
        self.sign_with(names, KeyPair::generate().unwrap())
    }

    fn sign_with(&self, names: &[&str], key: KeyPair) -> Signed {
        let params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        Signed { chain: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Signed {
    fn pair(&self) -> Pair {
        Pair::from_pem(&self.chain, &self.key).unwrap()
    }
}

/// Listeners with a table, and clients that believe whoever signed what is in it.
struct Rig {
    authority: Authority,
    certificates: Certificates,
    sweep: Sweep,
}

impl Rig {
    fn new() -> Self {
        Self { authority: Authority::new("servers"), certificates: Certificates::new(), sweep: Sweep::new() }
    }

    /// Puts a certificate for these names, with what `rules` adds.
    fn put(&self, id: &str, names: &[&str], rules: impl FnOnce(Building) -> Building) {
        let signed = self.authority.sign(&names.iter().map(|name| name.trim_start_matches("*.")).collect::<Vec<_>>());
        let certificate = names.iter().fold(Certificate::builder(id), |building, name| building.name(*name));
        self.certificates.put(rules(certificate.pair(signed.pair())).build().unwrap());
    }

    fn acceptor(&self, protocols: &[&[u8]]) -> Arc<TlsAcceptor> {
        Arc::new(TlsAcceptor::new(&ServerTls::new(self.certificates.clone()), protocols).unwrap())
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.client_with(versions, None, |_| {})
    }

    fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Signed>,
        provider: impl FnOnce(&mut rustls::crypto::CryptoProvider),
    ) -> ClientConfig {
        let mut crypto = aws_lc_rs::default_provider();
        provider(&mut crypto);
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto)).with_protocol_versions(versions).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let builder = builder.with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.chain.as_bytes()).map(Result::unwrap).collect();
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        }
    }

    /// A handshake, and one byte each way over what came of it, so that tickets and late alerts have passed.
    async fn meet(&self, acceptor: &Arc<TlsAcceptor>, client: &Arc<ClientConfig>, name: &'static str) -> Met {
        let (near, far) = sockets().await;
        let serve = async {
            let secured = secure(Transport::Tcp(far), acceptor, &self.sweep).await?;
            let mut stream = IoStream(Arc::clone(&secured.io));
            let mut byte = [0];
            if stream.read_exact(&mut byte).await.is_ok() {
                stream.write_all(&byte).await.unwrap();
                stream.flush().await.unwrap();
            }
            Ok(secured)
        };
        let connector = TlsConnector::from(Arc::clone(client));
        let talk = async {
            let mut stream = connector.connect(ServerName::try_from(name).unwrap(), near).await?;
            stream.write_all(b"x").await?;
            stream.read_exact(&mut [0]).await?;
            Ok(stream)
        };
        let (server, client) = tokio::join!(serve, talk);
        Met { server, client }
    }
}

type Building = crate::tls::CertificateBuilder;

struct Met {
    server: Result<Secured, HandshakeFault>,
    client: io::Result<TlsStream<TcpStream>>,
}

impl Met {
    fn info(&self) -> &TlsInfo {
        match &self.server {
            Ok(secured) => &secured.handshake,
            Err(fault) => panic!("{fault:?}"),
        }
    }

    /// Why nothing came of it, by both.
    fn ended(self) -> (HandshakeFault, Option<AlertDescription>) {
        let alert = self.client.unwrap_err().into_inner().and_then(|inner| match inner.downcast_ref() {
            Some(rustls::Error::AlertReceived(alert)) => Some(*alert),
            _ => None,
        });
        (self.server.err().unwrap(), alert)
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

#[tokio::test]
async fn sec_tls_01_the_name_chooses_the_certificate_and_sessions_go_on_for_that_name_only() {
    for (version, text) in [(&TLS13, "TLSv1.3"), (&TLS12, "TLSv1.2")] {
        let rig = Rig::new();
        rig.put("one", &["one.test"], |building| building);
        rig.put("wild", &["*.test"], |building| building);
        let acceptor = rig.acceptor(&[b"h2", b"http/1.1"]);
        let client = Arc::new(rig.client(&[version]));
        let met = rig.meet(&acceptor, &client, "one.test").await;
        let info = met.info();
        assert_eq!((&*info.certificate, info.sni.as_deref(), info.version), ("one", Some("one.test"), text));
        assert!(info.cipher.contains("AES_256_GCM") && !info.resumed && info.client.is_none(), "{info:?}");
        assert_eq!(met.server.unwrap().protocol, None);
        // Another listener of the same table goes on with it.
        let met = rig.meet(&rig.acceptor(&[]), &client, "one.test").await;
        assert!(met.info().resumed && &*met.info().certificate == "one");
    }
    // The client is made to offer one name's ticket with another's hello.
    let rig = Rig::new();
    rig.put("all", &["one.test", "two.test"], |building| building);
    let acceptor = rig.acceptor(&[]);
    for version in [&TLS13, &TLS12] {
        let store = Arc::new(AnyName::default());
        let mut client = rig.client(&[version]);
        client.resumption = rustls::client::Resumption::store(Arc::clone(&store) as _);
        let client = Arc::new(client);
        let mut resumed = Vec::new();
        for name in ["one.test", "one.test", "two.test"] {
            resumed.push(rig.meet(&acceptor, &client, name).await.info().resumed);
        }
        assert_eq!(resumed, [false, true, false], "{version:?}");
    }
}

/// Keeps sessions without asking whose they are.
#[derive(Debug)]
struct AnyName(rustls::client::ClientSessionMemoryCache);

impl Default for AnyName {
    fn default() -> Self {
        Self(rustls::client::ClientSessionMemoryCache::new(8))
    }
}

fn somebody() -> ServerName<'static> {
    ServerName::try_from("somebody").unwrap()
}

impl rustls::client::ClientSessionStore for AnyName {
    fn set_kx_hint(&self, _: ServerName<'static>, group: rustls::NamedGroup) {
        self.0.set_kx_hint(somebody(), group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        self.0.kx_hint(&somebody())
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: rustls::client::Tls12ClientSessionValue) {
        self.0.set_tls12_session(somebody(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        self.0.tls12_session(&somebody())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&somebody());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: rustls::client::Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(somebody(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<rustls::client::Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&somebody())
    }
}

#[tokio::test]
async fn sec_tls_02_a_name_that_nobody_has_is_an_alert_and_no_name_is_the_fallback_or_one() {
    let rig = Rig::new();
    rig.put("one", &["one.test"], |building| building);
    let client = Arc::new(rig.client(BOTH));
    let mut nameless = rig.client(BOTH);
    nameless.enable_sni = false;
    let nameless = Arc::new(nameless);
    let acceptor = rig.acceptor(&[]);
    let refused = Some(AlertDescription::UnrecognisedName);
    let met = rig.meet(&acceptor, &client, "two.test").await;
    assert_eq!(met.ended(), (HandshakeFault::UnknownName, refused));
    assert_eq!(rig.meet(&acceptor, &nameless, "one.test").await.ended(), (HandshakeFault::NoName, refused));
    let tls = ServerTls::new(rig.certificates.clone()).with_fallback_sni("ONE.test.");
    let acceptor = Arc::new(TlsAcceptor::new(&tls, &[]).unwrap());
    let met = rig.meet(&acceptor, &nameless, "one.test").await;
    assert_eq!((met.info().sni.as_deref(), &*met.info().certificate), (None, "one"));
    // A name is no missing name.
    let met = rig.meet(&acceptor, &client, "two.test").await;
    assert_eq!(met.ended(), (HandshakeFault::UnknownName, refused));
    let counts = rig.certificates.handshakes();
    assert_eq!((counts.full, counts.failed(HandshakeFault::UnknownName)), (1, 2));
    assert_eq!(counts.failed(HandshakeFault::NoName), 1);
}

#[tokio::test]
async fn sec_tls_07_protocols_are_those_of_the_listener_or_an_alert() {
    let rig = Rig::new();
    rig.put("one", &["one.test"], |building| building);
    let acceptor = rig.acceptor(&[b"h2", b"http/1.1"]);
    let offering = |protocols: &[&[u8]]| {
        let mut client = rig.client(BOTH);
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(client)
    };
    for (offer, chosen) in [
        (&[][..], None),
        (&[&b"http/1.1"[..]][..], Some(&b"http/1.1"[..])),
        (&[b"http/1.1", b"h2"], Some(b"h2")),
        (&[b"spdy/3", b"http/1.1"], Some(b"http/1.1")),
    ] {
        let met = rig.meet(&acceptor, &offering(offer), "one.test").await;
        assert_eq!(met.server.unwrap().protocol.as_deref(), chosen);
    }
    for offer in [&b"spdy/3"[..], b"acme-tls/1x", b"HTTP/1.1"] {
        let met = rig.meet(&acceptor, &offering(&[offer]), "one.test").await;
        assert_eq!(met.ended(), (HandshakeFault::Protocol, Some(AlertDescription::NoApplicationProtocol)));
    }
}

#[tokio::test]
async fn versions_are_those_of_the_listener_and_of_the_certificate() {
    let rig = Rig::new();
    rig.put("old", &["old.test"], |building| building.versions(Versions::Only12));
    rig.put("new", &["new.test"], |building| building.versions(Versions::Only13));
    let acceptor = rig.acceptor(&[]);
    let both = Arc::new(rig.client(BOTH));
    assert_eq!(rig.meet(&acceptor, &both, "old.test").await.info().version, "TLSv1.2");
    assert_eq!(rig.meet(&acceptor, &both, "new.test").await.info().version, "TLSv1.3");
    let refused = (HandshakeFault::Version, Some(AlertDescription::ProtocolVersion));
    assert_eq!(rig.meet(&acceptor, &Arc::new(rig.client(&[&TLS12])), "new.test").await.ended(), refused);
    assert_eq!(rig.meet(&acceptor, &Arc::new(rig.client(&[&TLS13])), "old.test").await.ended(), refused);
    let tls = ServerTls::new(rig.certificates.clone()).with_versions(Versions::Only13);
    let acceptor = Arc::new(TlsAcceptor::new(&tls, &[]).unwrap());
    assert_eq!(rig.meet(&acceptor, &both, "old.test").await.ended(), refused);
}

#[tokio::test]
async fn of_several_pairs_and_several_certificates_the_first_that_the_client_understands_is_shown() {
    let rig = Rig::new();
    let rsa = rig.authority.sign_with(&["one.test"], KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());
    rig.put("one", &["one.test"], |building| building.pair(rsa.pair()));
    let speaking = |suites: &[rustls::SupportedCipherSuite]| {
        Arc::new(rig.client_with(&[&TLS12], None, |provider| provider.cipher_suites = suites.to_vec()))
    };
    let (by_rsa, by_ecdsa) = (
        speaking(&[cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]),
        speaking(&[cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]),
    );
    let acceptor = rig.acceptor(&[]);
    assert!(rig.meet(&acceptor, &by_rsa, "one.test").await.info().cipher.contains("ECDHE_RSA"));
    assert!(rig.meet(&acceptor, &by_ecdsa, "one.test").await.info().cipher.contains("ECDHE_ECDSA"));
    // One with nothing to show for this client gives way to the next candidate, else it ends.
    let nothing = Certificate::builder("issued").name("two.test").issued().build().unwrap();
    rig.certificates.put(nothing);
    rig.put("ecdsa", &["two.test"], |building| building);
    let any = Certificate::builder("any").name("*").pair(rig.authority.sign_with(&["two.test"], rsa_key()).pair());
    rig.certificates.put(any.build().unwrap());
    assert_eq!(&*rig.meet(&acceptor, &by_ecdsa, "two.test").await.info().certificate, "ecdsa");
    assert_eq!(&*rig.meet(&acceptor, &by_rsa, "two.test").await.info().certificate, "any");
    rig.certificates.remove("any");
    let met = rig.meet(&acceptor, &by_rsa, "two.test").await;
    assert_eq!(met.ended(), (HandshakeFault::Parameters, Some(AlertDescription::HandshakeFailure)));
}

fn rsa_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap()
}

#[tokio::test]
async fn sec_tls_02_clients_show_what_the_certificate_demands_of_them() {
    for version in [&TLS13, &TLS12] {
        let rig = Rig::new();
        let (clients, others) = (Authority::new("clients"), Authority::new("others"));
        let (first, second) = (clients.below("first"), clients.below("first").below("second"));
        let rules = |depth| ClientRules::new(clients.pem.as_str()).depth(depth);
        rig.put("strict", &["strict.test"], |building| building.client(rules(0)));
        rig.put("one", &["one.test"], |building| building.client(rules(1)));
        rig.put("lax", &["lax.test"], |building| building.client(rules(0).skip("^/open")));
        rig.put("open", &["open.test"], |building| building);
        let acceptor = rig.acceptor(&[]);
        let with = |own: Option<&Signed>| Arc::new(rig.client_with(&[version], own, |_| {}));
        let below = |authority: &Authority| {
            let signed = authority.sign(&["jack"]);
            Signed { chain: signed.chain + &*authority.pem, key: signed.key }
        };
        let (good, bad, near, far) = (clients.sign(&["jack"]), others.sign(&["jack"]), below(&first), below(&second));
        for (own, name, outcome) in [
            (None, "open.test", Some(None)),
            (Some(&good), "open.test", Some(None)),
            (None, "strict.test", None),
            (Some(&bad), "strict.test", None),
            (Some(&near), "strict.test", None),
            (Some(&good), "strict.test", Some(Some(true))),
            (Some(&near), "one.test", Some(Some(true))),
            (Some(&far), "one.test", None),
            (None, "lax.test", Some(None)),
            (Some(&bad), "lax.test", Some(Some(false))),
            (Some(&good), "lax.test", Some(Some(true))),
        ] {
            let client = with(own);
            // The second time the session could be resumed.
            for _ in 0..2 {
                let met = rig.meet(&acceptor, &client, name).await;
                match outcome {
                    None => assert_eq!(met.server.err(), Some(HandshakeFault::ClientCertificate), "{name}"),
                    Some(verified) => {
                        let client = met.info().client.as_ref();
                        assert_eq!(client.map(|client| client.verified), verified, "{name} {version:?}");
                        let shown = CertificateDer::pem_slice_iter(own.unwrap_or(&good).chain.as_bytes()).next();
                        let shown = shown.unwrap().unwrap();
                        assert!(client.is_none_or(|client| *client.certificate == *shown));
                    }
                }
            }
        }
        // What is resumed is judged, too; and a session from before the rules is none.
        let client = with(Some(&good));
        assert!(!rig.meet(&acceptor, &client, "strict.test").await.info().resumed);
        assert!(rig.meet(&acceptor, &client, "strict.test").await.info().resumed);
        let client = with(None);
        assert!(!rig.meet(&acceptor, &client, "open.test").await.info().resumed);
        assert!(rig.meet(&acceptor, &client, "open.test").await.info().resumed);
        rig.put("open", &["open.test"], |building| building.client(rules(0)));
        let met = rig.meet(&acceptor, &client, "open.test").await;
        assert_eq!(met.server.err(), Some(HandshakeFault::ClientCertificate));
    }
}

#[tokio::test]
async fn a_challenge_is_shown_to_those_who_come_for_it_alone() {
    let rig = Rig::new();
    rig.put("one", &["one.test"], |building| building.client(ClientRules::new(rig.authority.pem.as_str())));
    let shown = rig.authority.sign(&["one.test"]);
    let acceptor = rig.acceptor(&[b"http/1.1"]);
    let offering = |protocols: &[&[u8]]| {
        let mut client = rig.client(BOTH);
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(client)
    };
    let authority = offering(&[b"acme-tls/1"]);
    let met = rig.meet(&acceptor, &authority, "one.test").await;
    assert_eq!(met.ended(), (HandshakeFault::UnknownName, Some(AlertDescription::UnrecognisedName)));
    rig.certificates.set_challenge("One.Test", Some(shown.pair()));
    let (near, far) = sockets().await;
    let connector = TlsConnector::from(Arc::clone(&authority));
    let (server, client) = tokio::join!(
        secure(Transport::Tcp(far), &acceptor, &rig.sweep),
        connector.connect(ServerName::try_from("one.test").unwrap(), near),
    );
    assert_eq!(server.err(), Some(HandshakeFault::Challenge));
    let client = client.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert_eq!(client.get_ref().1.peer_certificates().unwrap(), shown.pair().chain());
    // Whoever speaks anything else sees the certificate, and its rules.
    let met = rig.meet(&acceptor, &offering(&[b"acme-tls/1", b"http/1.1"]), "one.test").await;
    assert_eq!(met.server.err(), Some(HandshakeFault::ClientCertificate));
    rig.certificates.set_challenge("one.test", None);
    assert!(rig.meet(&acceptor, &authority, "one.test").await.server.is_err());
}

#[tokio::test]
async fn a_certificate_is_changed_under_open_connections() {
    let rig = Rig::new();
    rig.put("one", &["one.test"], |building| building);
    let acceptor = rig.acceptor(&[]);
    let client = Arc::new(rig.client(BOTH));
    let mut met = rig.meet(&acceptor, &client, "one.test").await;
    let mut seen = Vec::new();
    for _ in 0..20 {
        rig.put("one", &["one.test"], |building| building);
        let next = rig.meet(&acceptor, &Arc::new(rig.client(BOTH)), "one.test").await;
        seen.push(next.client.unwrap().get_ref().1.peer_certificates().unwrap()[0].clone());
        let (io, stream) = (&met.server.as_ref().unwrap().io, met.client.as_mut().unwrap());
        stream.write_all(b"still here").await.unwrap();
        let heard = std::future::poll_fn(|cx| io.poll_read(cx, Room::Head)).await.unwrap();
        assert_eq!(heard, "still here");
    }
    seen.dedup();
    assert_eq!(seen.len(), 20);
}

#[tokio::test]
async fn sec_tls_06_what_never_becomes_a_hello_is_ended() {
    let rig = Rig::new();
    rig.put("one", &["one.test"], |building| building);
    let acceptor = rig.acceptor(&[]);
    // A hello of 60 KiB in fragments of one byte: it is ended long before it is whole.
    let (mut near, far) = sockets().await;
    let hostile = async {
        let mut sent = 0;
        let mut fragments = vec![22, 3, 1, 0, 4, 1, 0, 0xf0, 0];
        fragments.extend([22, 3, 1, 0, 1, 0].repeat(1000));
        while near.write_all(&fragments).await.is_ok() {
            sent += fragments.len();
            fragments = [22, 3, 1, 0, 1, 0].repeat(1000);
            tokio::task::yield_now().await;
        }
        sent
    };
    let (ended, sent) = tokio::join!(secure(Transport::Tcp(far), &acceptor, &rig.sweep), hostile);
    assert_eq!(ended.err(), Some(HandshakeFault::Long));
    assert!(sent < 8_000_000, "{sent}");
    for (said, fault) in [
        (&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], HandshakeFault::Garbage),
        (&[22, 3, 1, 0xff, 0xff, 1, 2, 3], HandshakeFault::Garbage),
        (&[22, 3, 1, 0, 5], HandshakeFault::Gone),
        (&[], HandshakeFault::Gone),
    ] {
        let (mut near, far) = sockets().await;
        near.write_all(said).await.unwrap();
        near.shutdown().await.unwrap();
        let ended = secure(Transport::Tcp(far), &acceptor, &rig.sweep).await.err();
        assert_eq!(ended, Some(fault), "{said:?}");
    }
}

#[tokio::test]
async fn sec_tls_06_hellos_in_drops_take_no_turns_from_others() {
    let rig = Rig::new();
    rig.put("one", &["one.test"], |building| building);
    let acceptor = rig.acceptor(&[]);
    let turns = acceptor.turns().available_permits();
    let (mut near, far) = sockets().await;
    near.set_nodelay(true).unwrap();
    let mut handshake = std::pin::pin!(secure(Transport::Tcp(far), &acceptor, &rig.sweep));
    for byte in [22, 3, 1, 0, 200, 1, 0, 0, 196] {
        near.write_all(&[byte]).await.unwrap();
        // Whether or not the byte has come by now: whoever waits for the next one has no turn.
        for _ in 0..20 {
            std::future::poll_fn(|cx| {
                assert!(handshake.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            assert_eq!(acceptor.turns().available_permits(), turns);
            tokio::task::yield_now().await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// However a hello is cut, and whichever way its certificate wants, it leads where it leads in one piece.
    #[test]
    fn a_hello_in_pieces_leads_where_a_whole_one_leads(sizes in prop::collection::vec(1..400_usize, 1..12), ruled: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new();
            rig.put("one", &["one.test"], |building| match ruled {
                true => building.versions(Versions::Only12).client(ClientRules::new(rig.authority.pem.as_str()).skip("/")),
                false => building,
            });
            let acceptor = rig.acceptor(&[b"http/1.1"]);
            let ((near, mut middle), (mut behind, far)) = (sockets().await, sockets().await);
            behind.set_nodelay(true).unwrap();
            let crumbs = async {
                let (mut up, mut down) = ([0; 400], [0; 8192]);
                let mut sizes = sizes.iter().cycle();
                let mut size = *sizes.next().unwrap();
                loop {
                    tokio::select! {
                        count = middle.read(&mut up[..size]) => match count {
                            Ok(count @ 1..) => {
                                behind.write_all(&up[..count]).await.unwrap();
                                size = *sizes.next().unwrap();
                            }
                            _ => return,
                        },
                        count = behind.read(&mut down) => match count {
                            Ok(count @ 1..) => middle.write_all(&down[..count]).await.unwrap(),
                            _ => return,
                        },
                    }
                    // The server reads what there is.
                    tokio::task::yield_now().await;
                }
            };
            let connector = TlsConnector::from(Arc::new(rig.client(BOTH)));
            let both = async {
                tokio::join!(
                    secure(Transport::Tcp(far), &acceptor, &rig.sweep),
                    connector.connect(ServerName::try_from("one.test").unwrap(), near),
                )
            };
            let (server, client) = tokio::select! {
                both = both => both,
                () = crumbs => panic!("it broke off"),
            };
            assert_eq!(server.unwrap().handshake.version, if ruled { "TLSv1.2" } else { "TLSv1.3" });
            let version = if ruled { ProtocolVersion::TLSv1_2 } else { ProtocolVersion::TLSv1_3 };
            assert_eq!(client.unwrap().get_ref().1.protocol_version(), Some(version));
        });
    }
}
