//! Over TLS: how connections end, and that they live on where they should.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate::server::{Limits, Listener, Protocols, Server};
use tollgate::tls::{Certificate, Certificates, Pair, ServerTls};
use tollgate::{Body, Next, Response};

use super::drains::{a_request_on_its_way_is_answered, an_idle_connection_is_told, held, the_highest_stream_is_named};
use super::raw::*;
use crate::support::{Record, echo, wait_until};

/// A server, and what connects to it.
fn start(limits: Limits, service: Next) -> (Server, SocketAddr, TlsConnector) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["h.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let certificates = Certificates::new();
    let pair = Pair::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap();
    certificates.put(Certificate::builder("one").name("h.test").pair(pair).build().unwrap());
    let server = Server::builder().limits(limits).serve(move |_| service.clone());
    let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::H2);
    let address = server.listen(listener.with_tls(ServerTls::new(certificates))).unwrap();
    (server, address, connector(certificate.der().clone()))
}

fn connector(root: CertificateDer<'static>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(address: SocketAddr, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let stream = connector.connect(ServerName::try_from("h.test").unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

async fn raw(address: SocketAddr, connector: &TlsConnector, settings: &[(u16, u32)]) -> Raw {
    Raw::over(Box::new(connect(address, connector).await), settings).await
}

#[tokio::test]
async fn sec_h2_13_an_idle_connection_over_tls_is_told_and_ends() {
    let (server, address, connector) = start(Limits::default(), echo(&Record::default()));
    an_idle_connection_is_told(server, raw(address, &connector, &[]).await).await;
}

#[tokio::test]
async fn sec_h2_13_a_request_on_its_way_over_tls_is_answered() {
    let (server, address, connector) = start(Limits::default(), echo(&Record::default()));
    a_request_on_its_way_is_answered(server, raw(address, &connector, &[]).await).await;
}

#[tokio::test]
async fn sec_h2_13_over_tls_the_highest_stream_is_named_and_answered() {
    let go = Arc::new(Notify::new());
    let (server, address, connector) = start(Limits::default(), held(&go));
    the_highest_stream_is_named(server, raw(address, &connector, &[]).await, &go).await;
}

#[tokio::test]
async fn sec_h2_13_a_client_of_a_library_over_tls_has_its_answer_and_ends_in_peace() {
    let go = Arc::new(Notify::new());
    let (server, address, connector) = start(Limits::default(), held(&go));
    let stream = TokioIo::new(connect(address, &connector).await);
    let (mut client, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let handle = server.drain_handle();
    let request = Request::get("https://h.test/").body(Full::<bytes::Bytes>::default()).unwrap();
    let asked = tokio::spawn(client.send_request(request));
    wait_until("it is served", || Arc::strong_count(&go) > 2).await;
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(30)).await });
    wait_until("it drains", || handle.has_begun()).await;
    go.notify_one();
    let answer = asked.await.unwrap().unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.to_bytes(), "done");
    drop(client);
    connection.await.unwrap().unwrap();
    drain.await.unwrap();
}

/// Asks for so many answers, one after the other, and reads none of them.
async fn ask_unread(raw: &mut Raw, count: u32, pause: Duration, mut goes_on: impl FnMut() -> bool) -> u32 {
    for at in 0..count {
        raw.send(get(at * 2 + 1)).await;
        tokio::time::sleep(pause).await;
        if !goes_on() {
            return at + 1;
        }
    }
    count
}

/// Under TLS the last bytes may wait for the socket inside the session, and go without anything that is written after them.
#[tokio::test(start_paused = true)]
async fn sec_lim_08_who_has_read_late_and_all_is_served_on() {
    const BYTES: usize = 60_000;
    let mut limits = Limits::default();
    limits.connection_age = Duration::from_secs(100_000);
    let (server, address, connector) =
        start(limits, Next::from_fn(|_| async { Response::new(Body::from(vec![0; BYTES])) }));
    let connect = async || {
        // Windows are no limit; the socket is.
        let mut raw = raw(address, &connector, &[(4, 0x7fff_ffff)]).await;
        raw.send(frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes())).await;
        raw
    };
    // The answer that the socket has no room for is known by the end of the connection.
    let count = ask_unread(&mut connect().await, 1000, Duration::from_secs(35), || server.connections() > 0).await;
    assert!(count < 1000);
    wait_until("nobody is there", || server.connections() == 0).await;
    let mut raw = connect().await;
    ask_unread(&mut raw, count, Duration::from_millis(1), || true).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut received = 0;
    while received < BYTES * count as usize {
        received += raw.until(|frame| frame.kind == DATA).await.unwrap().payload.len();
    }
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(server.connections(), 1);
    assert!(raw.serves(count * 2 + 1).await);
}
