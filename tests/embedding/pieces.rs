//! The server's pieces in a host: TLS with certificates that change, PROXY headers, the drain; before any service of tower, or
//! before the gateway in the host's own accept loop.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate::gateway::Gateway;
use tollgate::model::{ReadOptions, read};
use tollgate::server::{Drain, Limits, Listener, Protocols, ProxyProtocol, Server, StrictAcceptor};
use tollgate::tls::{Certificate, Certificates, Pair, ServerTls};
use tollgate::{Body, ConnectInfo};

use super::peers::origin::Origin;
use super::peers::within;

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n";
const HEADER: &[u8] = b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 443\r\n";

/// A certificate for `gw.test`, and what it is believed by.
fn certificate() -> (Arc<Certificate>, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(vec!["gw.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pair = Pair::from_pem(&made.pem(), &key.serialize_pem()).unwrap();
    (Certificate::builder("gw").name("gw.test").pair(pair).build().unwrap(), made.der().clone())
}

/// Passes a connection on as a balancer does, and speaks TLS behind the header.
async fn connect(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(HEADER).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("gw.test").unwrap(), stream).await
}

/// Asks, and returns the answer: its head, and a body that ends with `end`.
async fn ask(stream: &mut TlsStream<TcpStream>, end: &str) -> String {
    stream.write_all(GET).await.unwrap();
    let mut said = Vec::new();
    within(|| format!("an answer that ends with {end}"), async {
        while !said.ends_with(end.as_bytes()) {
            said.push(stream.read_u8().await.unwrap());
        }
    })
    .await;
    String::from_utf8(said).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(|| what.to_owned(), async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn ends(stream: &mut TlsStream<TcpStream>) {
    let read = within(|| "the end".to_owned(), stream.read(&mut [0; 1])).await;
    // By a message of TLS: anything else is an error of rustls.
    assert_eq!(read.unwrap(), 0);
}

fn gateway(origin: SocketAddr) -> Gateway {
    let document = json!({"routes": [{"id": "all", "uri": "/*", "upstream": {"nodes": {origin.to_string(): 1}}}]});
    let gateway = Gateway::builder().build().unwrap();
    gateway.apply(read(&document, &ReadOptions::default()).snapshot).unwrap();
    gateway
}

#[tokio::test]
async fn in_a_hosts_own_accept_loop_connections_are_as_on_our_listeners() {
    let origin = Origin::saying("net").await;
    let gateway = gateway(origin.address());
    let certificates = Certificates::new();
    let (first, root) = certificate();
    certificates.put(first);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener::new(address)
        .with_protocols(Protocols::Both)
        .with_tls(ServerTls::new(certificates.clone()))
        .with_proxy_protocol(ProxyProtocol::default().with_timeout(Duration::from_secs(3600)));
    // The number of connections is the host's business.
    let mut limits = Limits::default();
    (limits.max_connections, limits.max_connections_per_ip) = (1, Some(1));
    let acceptor = StrictAcceptor::for_listener(&listener, limits).unwrap();
    let accepting = tokio::spawn({
        let acceptor = acceptor.clone();
        async move {
            while let Ok((stream, _)) = socket.accept().await {
                let gateway = gateway.clone();
                tokio::spawn(acceptor.serve_with(stream, move |client| gateway.connection(client)));
            }
        }
    });

    let mut kept = connect(address, &root, b"http/1.1").await.unwrap();
    assert!(ask(&mut kept, "net").await.starts_with("HTTP/1.1 200"));
    let request = origin.request();
    assert_eq!(request.field("x-forwarded-for"), Some("192.0.2.9"));
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));

    // HTTP/2 by ALPN: the server's settings come first.
    let mut h2 = connect(address, &root, b"h2").await.unwrap();
    h2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 4];
    h2.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4);
    drop(h2);

    // Another certificate: the next handshake shows it, and nobody's connection ends.
    let (second, other_root) = certificate();
    certificates.put(second);
    assert!(connect(address, &root, b"http/1.1").await.is_err());
    let mut new = connect(address, &other_root, b"http/1.1").await.unwrap();
    for stream in [&mut kept, &mut new] {
        assert!(ask(stream, "net").await.starts_with("HTTP/1.1 200"));
    }

    // Without a header it is nobody's.
    let mut bare = TcpStream::connect(address).await.unwrap();
    bare.write_all(GET).await.unwrap();
    let mut said = Vec::new();
    within(|| "its end".to_owned(), bare.read_to_end(&mut said)).await.unwrap_or_default();
    assert!(said.is_empty());

    // The end: idle connections close, and one that still arrives is not waited for.
    let mut silent = TcpStream::connect(address).await.unwrap();
    until("three are there", || acceptor.connections() == 3).await;
    acceptor.begin_drain();
    ends(&mut kept).await;
    ends(&mut new).await;
    within(|| "the end of one that arrives".to_owned(), silent.read(&mut [0; 1])).await.unwrap_or_default();
    until("all have ended", || acceptor.connections() == 0).await;
    accepting.abort();
}

#[tokio::test]
async fn what_a_listener_cannot_speak_a_hosts_accept_loop_cannot_either() {
    let optional = Listener::unix("/nonexistent/s").with_proxy_protocol(ProxyProtocol::default().with_optional(true));
    let error = StrictAcceptor::for_listener(&optional, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("cannot be optional"), "{error}");
}

#[tokio::test]
async fn any_service_of_tower_has_all_of_our_listeners() {
    let certificates = Certificates::new();
    let (first, root) = certificate();
    certificates.put(first);
    let server = Arc::new(Server::builder().limits(Limits::default()).serve(|client: ConnectInfo| {
        let told =
            format!("{} by {}", client.peer, client.proxy().map_or("-".to_owned(), |proxy| proxy.ip().to_string()));
        tower::ServiceBuilder::new()
            .map_response(|mut response: Response<Body>| {
                response.headers_mut().insert("x-layer", http::HeaderValue::from_static("a host's own"));
                response
            })
            .service(tower::service_fn(move |_: Request<Body>| {
                std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(told.clone()))))
            }))
    }));
    let local = || Listener::new(([127, 0, 0, 1], 0).into()).with_proxy_protocol(ProxyProtocol::default());
    let tls = ServerTls::new(certificates.clone());
    let applied = server.apply(vec![local().with_tls(tls.clone()), local()]);
    assert_eq!((applied.opened.len(), applied.failed.len()), (2, 0));
    let [secure, clear] = server.addresses()[..] else { panic!("{applied:?}") };

    let mut kept = connect(secure, &root, b"http/1.1").await.unwrap();
    let told = "192.0.2.9:1000 by 127.0.0.1";
    assert!(ask(&mut kept, told).await.contains("\r\nx-layer: a host's own\r\n"));
    let mut stream = TcpStream::connect(clear).await.unwrap();
    stream.write_all(&[HEADER, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"].concat()).await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with(told), "{said}");

    // Certificates and the other listener go and come; the connection knows nothing of it.
    let (second, other_root) = certificate();
    certificates.put(second);
    let of_tls = Listener::new(secure).with_proxy_protocol(ProxyProtocol::default()).with_tls(tls);
    assert_eq!(server.apply(vec![of_tls]).closed.len(), 1);
    ask(&mut kept, told).await;
    ask(&mut connect(secure, &other_root, b"http/1.1").await.unwrap(), told).await;

    // Whoever probes for readiness has a handle; connections are taken until the grace is over, or cut short.
    let ready = server.drain_handle();
    assert!(!ready.has_begun());
    let drain = tokio::spawn({
        let server = Arc::clone(&server);
        async move {
            server.drain_with(Drain::within(Duration::from_secs(20)).with_grace(Duration::from_secs(3600))).await;
        }
    });
    ready.begun().await;
    ask(&mut connect(secure, &other_root, b"http/1.1").await.unwrap(), told).await;
    ready.cut();
    within(|| "the drain".to_owned(), drain).await.unwrap();
    assert_eq!(server.connections(), 0);
}
