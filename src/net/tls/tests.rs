//! Clients of this module against servers of rustls.
use std::future::poll_fn;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::{Io, IoStream, Probe, Room, Sweep, Transport};
use super::connect::Secured;
use super::{Hello, connect};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// A server for the name `localhost`, and a client that believes it.
struct Pair {
    server: ServerConfig,
    client: Arc<ClientConfig>,
    sweep: Sweep,
}

impl Pair {
    fn new(versions: &[&'static SupportedProtocolVersion]) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
        Self { server, client, sweep: Sweep::new() }
    }

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    async fn handshakes(&self, name: &'static str) -> (io::Result<Secured>, io::Result<TlsStream<TcpStream>>) {
        let (near, far) = Self::sockets().await;
        let hello = Hello {
            config: Arc::clone(&self.client),
            name: ServerName::try_from(name).unwrap(),
            protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let acceptor = TlsAcceptor::from(Arc::new(self.server.clone()));
        tokio::join!(connect(Transport::Tcp(near), hello, &self.sweep), acceptor.accept(far))
    }

    async fn open(&self) -> (Arc<Io>, TlsStream<TcpStream>) {
        let (near, far) = self.handshakes("localhost").await;
        (near.unwrap().io, far.unwrap())
    }
}

async fn read(io: &Io) -> io::Result<Bytes> {
    poll_fn(|cx| io.poll_read(cx, Room::Body)).await
}

async fn write(io: &Io, head: &[u8], body: &[u8]) {
    assert_eq!(poll_fn(|cx| io.poll_write(cx, head, body)).await.unwrap(), head.len() + body.len());
    poll_fn(|cx| io.poll_flush(cx)).await.unwrap();
}

/// That nothing seems to have come, though what was sent has had every chance to.
async fn assert_quiet(io: &Io) {
    for _ in 0..20 {
        assert!(poll_fn(|cx| Poll::Ready(io.poll_probe(cx))).await.is_pending());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn large_messages_pass_both_ways_at_once() {
    for version in BOTH {
        let pair = Pair::new(&[version]);
        let (io, server) = pair.open().await;
        let (mut from_client, mut to_client) = tokio::io::split(server);
        let sent: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        let (mut heard, mut echoed) = (Vec::new(), Vec::new());
        let (up, down) = (sent.clone(), sent.clone());
        let mut stream = IoStream(Arc::clone(&io));
        let upload = async {
            stream.write_all(&up).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let download = async {
            loop {
                let piece = read(&io).await.unwrap();
                if piece.is_empty() {
                    return;
                }
                echoed.extend_from_slice(&piece);
            }
        };
        let serve = async {
            to_client.write_all(&down).await.unwrap();
            to_client.shutdown().await.unwrap();
        };
        // Separate halves of one connection, but one task: nobody waits for its lock.
        tokio::join!(upload, download, serve, async { from_client.read_to_end(&mut heard).await.unwrap() });
        assert!(heard == sent && echoed == sent, "{version:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_comes_in_crumbs_is_a_handshake() {
    for version in BOTH {
        let pair = Pair::new(&[version]);
        for size in [1, 7, 300] {
            let ((near, mut middle), (mut behind, far)) = (Pair::sockets().await, Pair::sockets().await);
            middle.set_nodelay(true).unwrap();
            let crumbs = async {
                let (mut down, mut up) = ([0; 300], [0; 4096]);
                loop {
                    tokio::select! {
                        count = behind.read(&mut down[..size]) => match count {
                            Ok(1..) => middle.write_all(&down[..count.unwrap()]).await.unwrap(),
                            _ => return,
                        },
                        count = middle.read(&mut up) => match count {
                            Ok(1..) => behind.write_all(&up[..count.unwrap()]).await.unwrap(),
                            _ => return,
                        },
                    }
                    // The client reads what there is.
                    tokio::task::yield_now().await;
                }
            };
            let name = ServerName::try_from("localhost").unwrap();
            let hello = Hello { config: Arc::clone(&pair.client), name, protocols: Vec::new() };
            let acceptor = TlsAcceptor::from(Arc::new(pair.server.clone()));
            let talk = async {
                let (io, server) =
                    tokio::join!(connect(Transport::Tcp(near), hello, &pair.sweep), acceptor.accept(far));
                let (io, mut server) = (io.unwrap().io, server.unwrap());
                server.write_all(b"after all").await.unwrap();
                server.flush().await.unwrap();
                let mut heard = Vec::new();
                while heard.len() < 9 {
                    heard.extend_from_slice(&read(&io).await.unwrap());
                }
                assert_eq!(heard, b"after all");
            };
            tokio::select! {
                () = talk => {}
                () = crumbs => panic!("{version:?}, {size} bytes at a time: it broke off"),
            }
        }
    }
}

#[tokio::test]
async fn head_and_body_become_one_message_and_small_buffers_get_all_of_it() {
    let (io, mut server) = Pair::new(BOTH).open().await;
    write(&io, b"head ", b"body").await;
    let mut heard = [0; 64];
    let count = server.read(&mut heard).await.unwrap();
    assert_eq!(&heard[..count], b"head body");
    server.write_all(b"a longer answer").await.unwrap();
    let mut stream = IoStream(io);
    let mut said = Vec::new();
    while said.len() < 15 {
        let mut few = [0; 4];
        let count = stream.read(&mut few).await.unwrap();
        said.extend_from_slice(&few[..count]);
    }
    assert_eq!(said, b"a longer answer");
}

#[tokio::test]
async fn an_end_counts_only_if_the_peer_announced_it() {
    let pair = Pair::new(BOTH);
    let (io, mut server) = pair.open().await;
    server.write_all(b"all").await.unwrap();
    server.shutdown().await.unwrap();
    drop(server);
    assert_eq!(read(&io).await.unwrap(), "all");
    assert!(read(&io).await.unwrap().is_empty() && read(&io).await.unwrap().is_empty());

    let (io, mut server) = pair.open().await;
    server.write_all(b"half").await.unwrap();
    // Below TLS, as somebody on the way does it.
    drop(server.into_inner().0);
    assert_eq!(read(&io).await.unwrap(), "half");
    assert_eq!(read(&io).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(poll_fn(|cx| io.poll_probe(cx)).await, Probe::Closed);
}

#[tokio::test]
async fn our_end_is_announced_unless_it_is_a_reset() {
    let pair = Pair::new(BOTH);
    let (io, mut server) = pair.open().await;
    io.shutdown_write();
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    server.write_all(b"still here").await.unwrap();
    assert_eq!(read(&io).await.unwrap(), "still here");

    let (io, mut server) = pair.open().await;
    drop(io);
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);

    let (io, mut server) = pair.open().await;
    io.reset_on_close();
    drop(io);
    server.read(&mut [0; 8]).await.unwrap_err();
}

#[tokio::test]
async fn sec_up_05_tickets_and_new_keys_are_no_stray_bytes_but_data_is() {
    let (io, mut server) = Pair::new(&[&TLS13]).open().await;
    // The tickets are behind the handshake.
    assert_quiet(&io).await;
    server.get_mut().1.refresh_traffic_keys().unwrap();
    server.flush().await.unwrap();
    assert_quiet(&io).await;
    write(&io, b"ping", b"").await;
    let mut heard = [0; 4];
    server.read_exact(&mut heard).await.unwrap();
    server.write_all(b"pong").await.unwrap();
    assert_eq!(poll_fn(|cx| io.poll_probe(cx)).await, Probe::Data);
}

#[tokio::test]
async fn sec_up_05_a_part_of_a_message_is_not_taken_for_silence() {
    let pair = Pair::new(BOTH);
    let (near, far) = Pair::sockets().await;
    let config = Arc::new(pair.server.clone());
    let server = tokio::task::spawn_blocking(move || {
        let mut far = far.into_std().unwrap();
        far.set_nonblocking(false).unwrap();
        let mut server = rustls::ServerConnection::new(config).unwrap();
        while server.is_handshaking() || server.wants_write() {
            server.complete_io(&mut far).unwrap();
        }
        server.writer().write_all(b"stray").unwrap();
        let mut record = Vec::new();
        server.write_tls(&mut record).unwrap();
        far.write_all(&record[..10]).unwrap();
        far
    });
    let name = ServerName::try_from("localhost").unwrap();
    let hello = Hello { config: Arc::clone(&pair.client), name, protocols: Vec::new() };
    let io = connect(Transport::Tcp(near), hello, &pair.sweep).await.unwrap().io;
    assert_eq!(poll_fn(|cx| io.poll_probe(cx)).await, Probe::Closed);
    drop(server.await.unwrap());
}

#[tokio::test]
async fn sessions_are_resumed() {
    for version in BOTH {
        let pair = Pair::new(&[version]);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (io, mut server) = pair.open().await;
            kinds.push(server.get_ref().1.handshake_kind().unwrap());
            server.write_all(b"x").await.unwrap();
            assert_eq!(read(&io).await.unwrap(), "x");
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{version:?}");
    }
}

#[tokio::test]
async fn sec_tls_03_the_name_must_be_the_certificates() {
    let (near, far) = Pair::new(BOTH).handshakes("127.0.0.1").await;
    let error = near.unwrap_err();
    let error = error.get_ref().unwrap().downcast_ref::<rustls::Error>().unwrap();
    let rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }) = error else {
        panic!("{error:?}")
    };
    // The peer is told.
    let said = far.unwrap_err().to_string();
    assert!(said.contains("alert"), "{said}");
}

#[tokio::test]
async fn sec_tls_07_the_server_chooses_the_protocol_or_none() {
    let mut pair = Pair::new(BOTH);
    assert_eq!(pair.handshakes("localhost").await.0.unwrap().protocol, None);
    pair.server.alpn_protocols = vec![b"http/1.1".to_vec()];
    assert_eq!(pair.handshakes("localhost").await.0.unwrap().protocol.unwrap(), b"http/1.1");
    pair.server.alpn_protocols = vec![b"spdy/1".to_vec()];
    pair.handshakes("localhost").await.0.unwrap_err();
}

#[tokio::test]
async fn what_does_not_speak_tls_is_an_error() {
    let pair = Pair::new(BOTH);
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let (near, mut far) = Pair::sockets().await;
        let hello = Hello {
            config: Arc::clone(&pair.client),
            name: ServerName::try_from("localhost").unwrap(),
            protocols: Vec::new(),
        };
        let plain = async {
            let _ = far.read(&mut [0; 1024]).await.unwrap();
            far.write_all(answer.as_bytes()).await.unwrap();
            far.shutdown().await.unwrap();
        };
        let (ended, ()) = tokio::join!(connect(Transport::Tcp(near), hello, &pair.sweep), plain);
        let kind = if answer.is_empty() { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
        assert_eq!(ended.unwrap_err().kind(), kind);
    }
}
