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

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use support::{Raw, Record, echo, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tollgate::server::{
    BindError, Drain, Limits, ListenAddress, Listener, Protocols, ProxyProtocol, Server, SocketOptions,
};

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

/// Clients that connect, ask once, and begin again: none is refused, none goes without its answer.
struct Crowd {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    clients: Vec<std::thread::JoinHandle<()>>,
}

impl Crowd {
    fn of(address: SocketAddr) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = |_| {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                while !stop.load(Relaxed) {
                    let mut stream = StdStream::connect(address).expect("refused");
                    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).expect("reset");
                    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                    asked.fetch_add(1, Relaxed);
                }
            })
        };
        let clients = (0..2).map(client).collect();
        Self { stop, asked, clients }
    }

    async fn goes_on(&self) {
        let seen = self.asked.load(Relaxed);
        wait_until("some are served", || self.asked.load(Relaxed) > seen + 3).await;
    }

    fn end(self) {
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.join().expect("a connection was refused or lost");
        }
    }
}

/// The one address of the listener that was asked for by this one.
fn bound(server: &Server, asked: SocketAddr) -> Vec<SocketAddr> {
    let of = |one: tollgate::server::ListenerStatus| {
        if one.listener.address == asked.into() { one.addresses } else { vec![] }
    };
    server.listeners().into_iter().flat_map(of).collect()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_drn_03_a_port_moves_to_all_addresses_and_back_and_nobody_is_refused() {
    let server = Arc::new(server());
    let address = server.listen(Listener::new(local(0))).unwrap();
    let port = address.port();
    let mut kept = client(address).await;
    let crowd = Crowd::of(address);
    for round in 0..6 {
        let to = if round % 2 == 0 { everywhere(port) } else { local(port) };
        let applied = server.apply(vec![Listener::new(to)]);
        assert_eq!((applied.opened, applied.closed.len(), applied.failed.len()), (vec![to.into()], 1, 0));
        crowd.goes_on().await;
    }
    crowd.end();
    served(&mut kept).await;
}

#[tokio::test]
async fn what_cannot_be_had_leaves_in_place_what_it_should_replace() {
    let server = server();
    // All addresses are not to be had, since somebody has another one.
    let theirs = StdListener::bind("127.0.0.2:0").unwrap();
    let port = theirs.local_addr().unwrap().port();
    server.listen(Listener::new(local(port))).unwrap();
    let mut before = client(local(port)).await;
    let applied = server.apply(vec![Listener::new(everywhere(port))]);
    assert_eq!((applied.kept.len(), applied.failed.len(), applied.is_change()), (1, 1, false), "{applied:?}");
    served(&mut before).await;
    served(&mut client(local(port)).await).await;
    drop(theirs);
    let applied = server.retry().unwrap();
    assert_eq!((applied.opened, applied.closed), (vec![everywhere(port).into()], vec![local(port).into()]));
    served(&mut client(([127, 0, 0, 2], port).into()).await).await;
    served(&mut before).await;
    assert_eq!(bound(&server, everywhere(port)), [everywhere(port)]);
}

#[tokio::test]
async fn what_the_system_took_in_is_served_though_the_socket_is_closed() {
    let server = server();
    let address = server.listen(Listener::new(local(0))).unwrap();
    // One thread: nobody accepts meanwhile.
    let waiting: Vec<_> = (0..5).map(|_| StdStream::connect(address).unwrap()).collect();
    assert!(server.stop_listening(address));
    assert!(is_refused(address).await);
    for stream in waiting {
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
    }
}

#[tokio::test]
async fn connections_of_a_removed_listener_end_where_it_says_so() {
    let server = server();
    let mut listener = Listener::new(local(0));
    listener.drain_when_removed = true;
    let leaving = server.listen(listener).unwrap();
    let staying = server.listen(Listener::new(local(0))).unwrap();
    let (mut leaves, mut stays) = (client(leaving).await, client(staying).await);
    server.apply(vec![Listener::new(staying)]);
    assert!(leaves.ends().await);
    served(&mut stays).await;
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
async fn a_socket_of_somebody_else_is_listened_on_and_stays_open() {
    let server = server();
    let theirs = StdListener::bind("127.0.0.1:0").unwrap();
    let second = StdListener::bind("127.0.0.1:0").unwrap();
    let addresses = [theirs.local_addr().unwrap(), second.local_addr().unwrap()];
    server.adopt("web", theirs);
    server.adopt("web", second);
    let web = || vec![Listener::at(ListenAddress::Inherited("web".to_owned()))];
    let applied = server.apply(web());
    assert_eq!(applied.opened, [ListenAddress::Inherited("web".to_owned())]);
    for address in addresses {
        served(&mut client(address).await).await;
    }
    // Nobody accepts, and nobody is refused.
    assert_eq!(server.apply(Vec::new()).closed.len(), 1);
    let mut patient = Raw::connect(addresses[0]).await;
    patient.send(GET).await;
    server.apply(web());
    assert_eq!(patient.answer().await.status, 200);
    let applied = server.apply(vec![Listener::at(ListenAddress::Inherited("other".to_owned()))]);
    assert!(matches!(applied.failed[..], [BindError::NotInherited(_)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_drn_03_two_processes_share_a_port_that_says_so() {
    let (old, new) = (server(), server());
    let shared = || {
        let mut options = SocketOptions::default();
        options.reuse_port = true;
        options
    };
    let address = old.listen(Listener::new(local(0)).with_socket(shared())).unwrap();
    assert!(matches!(new.listen(Listener::new(address)), Err(BindError::InUse(_))), "without the option");
    let crowd = Crowd::of(address);
    crowd.goes_on().await;
    new.listen(Listener::new(address).with_socket(shared())).unwrap();
    crowd.goes_on().await;
    old.drain(Duration::from_secs(20)).await;
    crowd.goes_on().await;
    crowd.end();
}

#[tokio::test(start_paused = true)]
async fn sec_drn_01_readiness_goes_first_and_connections_are_taken_for_the_grace_period() {
    let server = Arc::new(server());
    let address = server.listen(Listener::new(local(0))).unwrap();
    let handle = server.drain_handle();
    assert!(!handle.has_begun());
    let drain = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.drain_with(Drain::within(Duration::from_secs(30)).with_grace(Duration::from_secs(3600))).await }
    });
    handle.begun().await;
    let mut late = client(address).await;
    served(&mut late).await;
    assert!(!drain.is_finished());
    assert!(server.apply(vec![Listener::new(address)]).failed.is_empty());
    tokio::time::advance(Duration::from_secs(3601)).await;
    assert!(late.ends().await);
    drain.await.unwrap();
    assert!(is_refused(address).await);
    assert!(!server.apply(vec![Listener::new(address)]).is_change(), "it is over");
}

#[tokio::test]
async fn sec_drn_01_a_drain_can_be_cut() {
    let server = Arc::new(server());
    let address = server.listen(Listener::new(local(0))).unwrap();
    let mut busy = Raw::connect(address).await;
    busy.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab").await;
    wait_until("it is served", || server.connections() == 1).await;
    let handle = server.drain_handle();
    let drain = tokio::spawn({
        let server = Arc::clone(&server);
        async move {
            server.drain_with(Drain::within(Duration::from_secs(3600)).with_grace(Duration::from_secs(3600))).await
        }
    });
    handle.begun().await;
    handle.cut();
    drain.await.unwrap();
    assert_eq!(server.connections(), 0);
    assert!(busy.ends().await);
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
