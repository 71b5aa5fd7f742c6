//! Listeners that come, change and go while their server serves.
#![cfg(feature = "server")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]
mod support;

#[path = "server_listeners/ends.rs"]
mod ends;
#[path = "server_listeners/handover.rs"]
mod handover;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::fs::PermissionsExt as _;

use support::{Raw, Record, echo, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tollgate::server::{BindError, Limits, ListenAddress, Listener, Protocols, ProxyProtocol, Server, SocketOptions};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn server() -> Server {
    limited(Limits::default())
}

fn limited(limits: Limits) -> Server {
    let service = echo(&Record::default());
    Server::builder().limits(limits).serve(move |_| service.clone())
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn everywhere(port: u16) -> SocketAddr {
    ([0, 0, 0, 0], port).into()
}

/// Connects and keeps the connection.
async fn client(address: SocketAddr) -> Raw {
    let mut client = Raw::connect(address).await;
    served(&mut client).await;
    client
}

async fn served(client: &mut Raw) {
    client.send(GET).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.closes()), (200, false));
}

async fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err()
}

#[tokio::test]
async fn a_set_is_applied_as_a_difference() {
    let server = server();
    let applied = server.apply(vec![Listener::new(local(0)), Listener::new(local(0))]);
    assert_eq!((applied.opened.len(), applied.is_change()), (2, true));
    let [first, second] = server.addresses()[..] else { panic!() };
    let (mut on_first, mut on_second) = (client(first).await, client(second).await);

    // The same set, whichever way the ports are told.
    assert!(!server.apply(vec![Listener::new(local(0)), Listener::new(local(0))]).is_change());
    assert!(server.apply(vec![Listener::new(first), Listener::new(second)]).closed.is_empty());
    assert_eq!(server.addresses().len(), 2);

    let applied = server.apply(vec![Listener::new(first)]);
    assert_eq!(applied.closed, [ListenAddress::from(second)]);
    assert_eq!(server.addresses(), [first]);
    assert!(is_refused(second).await);
    // Its connection goes on, and the other listener's knows nothing of it.
    served(&mut on_second).await;
    served(&mut on_first).await;
}

#[tokio::test]
async fn options_change_on_the_very_same_socket() {
    let server = server();
    let address = server.listen(Listener::new(local(0))).unwrap();
    let mut before = client(address).await;
    let applied = server.apply(vec![Listener::new(address).with_proxy_protocol(ProxyProtocol::default())]);
    assert_eq!(applied.changed, [ListenAddress::from(address)]);
    assert!(applied.opened.is_empty() && applied.closed.is_empty());
    served(&mut before).await;
    let mut after = Raw::connect(address).await;
    after.send(format!("PROXY TCP4 192.0.2.9 192.0.2.1 5 80\r\n{GET}")).await;
    assert_eq!(after.answer().await.status, 200);
    let mut without = Raw::connect(address).await;
    without.send(GET).await;
    assert!(without.ends().await, "a header is due now");

    let socket = {
        let mut options = SocketOptions::default();
        options.backlog = 16;
        options
    };
    assert_eq!(server.apply(vec![Listener::new(address).with_socket(socket)]).changed.len(), 1);
    served(&mut client(address).await).await;
    served(&mut after).await;
}

#[tokio::test]
async fn an_address_in_use_refuses_that_change_alone_and_is_tried_again() {
    let server = server();
    let theirs = StdListener::bind("127.0.0.1:0").unwrap();
    let taken = theirs.local_addr().unwrap();
    let applied = server.apply(vec![Listener::new(taken), Listener::new(local(0))]);
    assert_eq!(applied.opened.len(), 1);
    let [error] = &applied.failed[..] else { panic!("{applied:?}") };
    assert!(matches!(error, BindError::InUse(_)));
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {taken}: the address is in use; stop what holds it or choose another")
    );
    let status = server.listeners();
    assert_eq!(status.iter().filter(|one| one.error.is_some() && one.since.is_none()).count(), 1);
    let mut beside = client(server.addresses()[0]).await;

    assert_eq!(server.retry().unwrap().failed.len(), 1);
    drop(theirs);
    assert_eq!(server.retry().unwrap().opened, [ListenAddress::from(taken)]);
    assert!(server.retry().is_none(), "nothing is missing");
    served(&mut client(taken).await).await;
    served(&mut beside).await;
}

#[tokio::test]
async fn of_two_alike_one_is_refused() {
    let server = server();
    let path = tempfile::tempdir().unwrap().path().join("s");
    let unix = || Listener::unix("/nonexistent/s");
    let applied = server.apply(vec![unix(), unix()]);
    assert!(applied.failed.iter().any(|error| matches!(error, BindError::Twice(_))), "{applied:?}");
    assert!(
        applied.failed.iter().any(|error| error.to_string().contains("unix:/nonexistent/s")),
        "{path:?} {applied:?}"
    );
}

#[tokio::test]
async fn sec_lim_11_a_listener_has_a_limit_of_its_own() {
    let server = server();
    let mut listener = Listener::new(local(0));
    listener.max_connections = Some(1);
    let narrow = server.listen(listener).unwrap();
    let wide = server.listen(Listener::new(local(0))).unwrap();
    let mut first = client(narrow).await;
    assert!(Raw::connect(narrow).await.ends().await);
    served(&mut client(wide).await).await;
    served(&mut first).await;
    let status = server.listeners().into_iter().find(|one| one.addresses == [narrow]).unwrap();
    assert_eq!((status.accepted, status.refused, status.connections), (2, 1, 1));
    drop(first);
    wait_until("there is room", || server.connections() <= 1).await;
}

#[tokio::test]
async fn unix_sockets_have_a_mode_and_may_be_abstract() {
    let server = server();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    server.open(Listener::unix(&path)).unwrap();
    assert_eq!(mode(&path), 0o600);
    let mut connected = UnixStream::connect(&path).await.unwrap();
    let wider = {
        let mut options = SocketOptions::default();
        options.mode = 0o666;
        options
    };
    let name = format!("unix:@tollgate-test-{}", std::process::id());
    let named: ListenAddress = name.parse().unwrap();
    let applied = server.apply(vec![Listener::unix(&path).with_socket(wider), Listener::at(named.clone())]);
    assert_eq!((applied.changed.len(), applied.opened), (1, vec![named.clone()]));
    assert_eq!(mode(&path), 0o666);
    let bare = format!("\0{}", &name["unix:@".len()..]);
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    socket.connect(&socket2::SockAddr::unix(bare).unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut abstractly = UnixStream::from_std(socket.into()).unwrap();
    for stream in [&mut connected, &mut abstractly] {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
    }
    let applied = server.apply(Vec::new());
    assert_eq!(applied.closed.len(), 2);
    assert!(!path.exists());
}

#[tokio::test]
async fn one_protocol_gives_way_to_another() {
    if !cfg!(feature = "http2") {
        return;
    }
    let server = server();
    let address = server.listen(Listener::new(local(0))).unwrap();
    let mut before = client(address).await;
    let applied = server.apply(vec![Listener::new(address).with_protocols(Protocols::H2)]);
    assert_eq!(applied.changed.len(), 1);
    let mut after = Raw::connect(address).await;
    after.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0").await;
    // SETTINGS.
    assert_eq!(after.take(4).await[3], 4);
    served(&mut before).await;
}
