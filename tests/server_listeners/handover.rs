//! Sockets that go from one listener to another, or that others have as well.
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use socket2::SockRef;
use tollgate::server::{BindError, ListenAddress, Listener, ListenerStatus, Server, SocketOptions};

use super::support::{Raw, wait_until};
use super::{GET, client, everywhere, is_refused, local, served, server};

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
                    let mut stream = TcpStream::connect(address).expect("refused");
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
    let of = |one: ListenerStatus| {
        if one.listener.address == asked.into() { one.addresses } else { vec![] }
    };
    server.listeners().into_iter().flat_map(of).collect()
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
    let theirs = TcpListener::bind("127.0.0.2:0").unwrap();
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
async fn a_socket_of_somebody_else_is_listened_on_and_stays_open() {
    let server = server();
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
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

/// A listener whose port others may have as well.
fn shared() -> SocketOptions {
    let mut options = SocketOptions::default();
    options.reuse_port = true;
    options
}

/// Sockets of IPv4 that listen on this port, in the whole system.
fn sockets(port: u16) -> usize {
    const LISTENS: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next().and_then(|local| local.rsplit_once(':'));
        let state = columns.nth(1);
        local.is_some_and(|(_, at)| u16::from_str_radix(at, 16) == Ok(port)) && state == Some(LISTENS)
    };
    table.lines().filter(is_one).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_drn_03_a_removed_listener_leaves_its_port_to_another_process_in_its_own_time() {
    let (old, new) = (server(), server());
    let address = new.listen(Listener::new(local(0)).with_socket(shared())).unwrap();
    let crowd = Crowd::of(address);
    for by_set in [true, false, true, false] {
        old.listen(Listener::new(address).with_socket(shared())).unwrap();
        crowd.goes_on().await;
        if by_set {
            assert_eq!(old.apply(Vec::new()).closed.len(), 1);
        } else {
            assert!(old.stop_listening(address));
        }
        assert_eq!(sockets(address.port()), 2, "what is under way to it comes in first");
        wait_until("it is closed", || sockets(address.port()) == 1).await;
        crowd.goes_on().await;
    }
    crowd.end();
}

#[tokio::test]
async fn a_socket_of_somebody_else_is_never_made_one_that_others_share_or_that_turns_clients_away() {
    let server = Arc::new(server());
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = theirs.local_addr().unwrap();
    server.adopt("web", theirs.try_clone().unwrap());
    let web = || Listener::at(ListenAddress::Inherited("web".to_owned()));
    server.apply(vec![web()]);
    // More than its own address cannot be had beside it, and what there is stays.
    let applied = server.apply(vec![Listener::new(everywhere(address.port()))]);
    assert!(matches!(applied.failed[..], [BindError::InUse(_)]), "{applied:?}");
    assert_eq!((applied.kept.len(), applied.is_change()), (1, false));
    assert!(!SockRef::from(&theirs).reuse_port().unwrap(), "it would be so for whoever has it");
    // Its own address is the same socket by another name, and theirs still.
    let applied = server.apply(vec![Listener::new(address).with_socket(shared())]);
    assert_eq!((applied.changed, applied.opened.len()), (vec![address.into()], 0));
    assert!(!SockRef::from(&theirs).reuse_port().unwrap());
    let applied = server.apply(vec![Listener::new(everywhere(address.port()))]);
    assert!(matches!(applied.failed[..], [BindError::InUse(_)]), "{applied:?}");
    client(address).await;
    // Each of many finds somebody, also by options that a socket of ours would take.
    server.apply(vec![web().with_socket(shared())]);
    assert!(!SockRef::from(&theirs).reuse_port().unwrap());
    for _ in 0..8 {
        client(address).await;
    }
    // Nor does it turn anybody away when it is listened on no longer, or when the server ends.
    server.apply(Vec::new());
    let mut patient = Raw::connect(address).await;
    server.apply(vec![web().with_socket(shared())]);
    served(&mut patient).await;
    drop(patient);
    server.drain(Duration::from_secs(20)).await;
    let waiting = TcpStream::connect_timeout(&address, Duration::from_millis(900)).unwrap();
    assert_eq!(theirs.accept().unwrap().1, waiting.local_addr().unwrap());
}

#[tokio::test]
async fn an_address_of_ipv4_in_the_form_of_ipv6_is_the_same_place() {
    let server = server();
    let address = server.listen(Listener::new(local(0))).unwrap();
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", address.port()).parse().unwrap();
    for to in [mapped, address, mapped] {
        let applied = server.apply(vec![Listener::new(to)]);
        assert_eq!((applied.opened, applied.failed.len()), (vec![to.into()], 0));
        served(&mut client(address).await).await;
    }
}

#[tokio::test]
async fn what_becomes_of_a_set_is_the_same_in_any_order() {
    for order in [[0, 1], [1, 0]] {
        let server = server();
        let old = server.listen(Listener::new(everywhere(0))).unwrap();
        // The first is none of this machine's, so that what it was to follow stays.
        let wanted = [SocketAddr::from(([192, 0, 2, 1], old.port())), local(old.port())];
        let applied = server.apply(order.map(|at| Listener::new(wanted[at])).into());
        assert_eq!(applied.opened, [ListenAddress::from(wanted[1])], "{applied:?}");
        assert!(matches!(applied.failed[..], [BindError::NoSuchAddress(_)]), "{applied:?}");
        assert_eq!((applied.kept, applied.closed.len()), (vec![old.into()], 0));
        served(&mut client(local(old.port())).await).await;
        // Tried again, it is no different.
        let again = server.retry().unwrap();
        assert_eq!((again.failed.len(), again.is_change()), (1, false), "{again:?}");
        assert!(!is_refused(local(old.port())).await);
    }
}
