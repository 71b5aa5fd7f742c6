//! TLS of listeners from outside: what stands still, and the table of certificates in a server of the host's.
#![cfg(test)]
#![cfg(all(feature = "server", feature = "tls"))]
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, TlsConnector};
use tollgate::server::{Limits, Listener, Server};
use tollgate::tls::{Certificate, Certificates, ClientRules, HandshakeFault, Pair, ServerTls};
use tollgate::{Body, Next};

/// A pair for these names, what it is believed by, and that as PEM.
fn pair(names: &[&str]) -> (Pair, CertificateDer<'static>, String) {
    let key = KeyPair::generate().unwrap();
    let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let pem = certificate.pem();
    (Pair::from_pem(&pem, &key.serialize_pem()).unwrap(), certificate.der().clone(), pem)
}

fn client(roots: &[&CertificateDer<'static>]) -> TlsConnector {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add((*root).clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(builder.with_root_certificates(store).with_no_client_auth()))
}

fn name(name: &'static str) -> ServerName<'static> {
    ServerName::try_from(name).unwrap()
}

#[tokio::test]
async fn sec_lim_05_a_handshake_that_stands_still_is_closed() {
    let certificates = Certificates::new();
    let (pair, root, _) = pair(&["one.test"]);
    certificates.put(Certificate::builder("one").name("one.test").pair(pair).build().unwrap());
    let mut limits = Limits::default();
    limits.handshake_timeout = Duration::from_millis(300);
    let server = Server::builder().limits(limits);
    let server = server.serve(|_| Next::from_fn(|_| async { http::Response::new(Body::from("served")) }));
    let tls = ServerTls::new(certificates.clone());
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_tls(tls)).unwrap();
    for said in [&b""[..], &[22, 3, 1], &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc]] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(said).await.unwrap();
        let mut heard = Vec::new();
        tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut heard)).await.unwrap().unwrap();
        assert!(heard.is_empty(), "{heard:?}");
    }
    assert_eq!(certificates.handshakes().failed(HandshakeFault::Slow), 3);
    // Once it is over, the connection has clocks of its own.
    let socket = TcpStream::connect(address).await.unwrap();
    let mut stream = client(&[&root]).connect(name("one.test"), socket).await.unwrap();
    tokio::time::timeout(Duration::from_millis(900), stream.read_u8()).await.unwrap_err();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    assert!(heard.ends_with("served"), "{heard}");
}

#[tokio::test]
async fn a_hosts_own_server_has_the_table_and_shows_nothing_against_its_rules() {
    let certificates = Certificates::new();
    let ((open, root, _), (strict, strict_root, ca)) = (pair(&["open.test"]), pair(&["strict.test"]));
    certificates.put(Certificate::builder("open").name("open.test").pair(open).build().unwrap());
    let building = Certificate::builder("strict").name("strict.test").pair(strict);
    certificates.put(building.client(ClientRules::new(ca)).build().unwrap());
    let tls = ServerTls::new(certificates.clone());
    let host = tls.acceptor(&[b"http/1.1"]).unwrap();
    let acceptor = TlsAcceptor::from(host.config());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = client(&[&root, &strict_root]);
    let connect = async |asked| connector.connect(name(asked), TcpStream::connect(address).await.unwrap()).await;
    let (near, far) =
        tokio::join!(connect("open.test"), async { acceptor.accept(listener.accept().await.unwrap().0).await });
    assert_eq!((near.is_ok(), far.unwrap().get_ref().1.server_name()), (true, Some("open.test")));
    let (near, far) =
        tokio::join!(connect("strict.test"), async { acceptor.accept(listener.accept().await.unwrap().0).await });
    assert!(near.is_err() && far.is_err());
    // With the hello at hand, the rules are followed: a client without a certificate is turned away for that.
    let (_near, far) = tokio::join!(connect("strict.test"), async {
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), listener.accept().await.unwrap().0);
        let hello = hello.await.unwrap();
        let config = host.config_for(&hello.client_hello()).unwrap();
        assert!(!Arc::ptr_eq(&config, &host.config()));
        hello.into_stream(config).await
    });
    let error = far.unwrap_err().into_inner().unwrap().downcast::<rustls::Error>().unwrap();
    assert_eq!(*error, rustls::Error::NoCertificatesPresented);
}

#[tokio::test]
async fn sec_lim_11_a_connection_with_tls_counts_once_for_its_client() {
    let certificates = Certificates::new();
    let (pair, root, _) = pair(&["one.test"]);
    certificates.put(Certificate::builder("one").name("one.test").pair(pair).build().unwrap());
    let mut limits = Limits::default();
    limits.max_connections_per_ip = Some(1);
    let server = Server::builder().limits(limits);
    let server = server.serve(|_| Next::from_fn(|_| async { http::Response::new(Body::from("served")) }));
    let tls = ServerTls::new(certificates);
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_tls(tls)).unwrap();
    let connector = client(&[&root]);
    let connect = async || connector.connect(name("one.test"), TcpStream::connect(address).await.unwrap()).await;
    for _ in 0..3 {
        let mut first = connect().await.expect("it has none yet");
        assert!(connect().await.is_err(), "it has one");
        first.write_all(b"GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut heard = String::new();
        first.read_to_string(&mut heard).await.unwrap();
        assert!(heard.ends_with("served"), "{heard}");
        let gone = async {
            while server.connections() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    }
    assert_eq!(server.listeners()[0].refused, 3);
}
