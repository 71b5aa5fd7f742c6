//! Listeners that end, and servers.
use std::net::{TcpListener, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate::server::{BindError, Drain, ListenAddress, Listener, ProxyProtocol};

use super::support::{PATIENCE, Raw, wait_until};
use super::{GET, client, is_refused, local, served, server};

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
async fn nothing_opens_once_a_server_drains() {
    let server = server();
    let address = server.listen(Listener::new(local(0))).unwrap();
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let missing = theirs.local_addr().unwrap();
    server.apply(vec![Listener::new(address), Listener::new(missing)]);
    server.drain(Duration::from_secs(20)).await;
    drop(theirs);
    assert!(matches!(server.listen(Listener::new(address)), Err(BindError::Draining(_))));
    assert!(matches!(server.open(Listener::unix("/nonexistent/s")), Err(BindError::Draining(_))));
    let applied = server.apply(vec![Listener::new(address)]);
    assert!(!applied.is_change() && applied.failed.is_empty(), "{applied:?}");
    assert!(server.retry().is_none(), "it is wanted no longer");
    assert!(server.listeners().is_empty());
    assert!(is_refused(address).await && is_refused(missing).await);
}

#[tokio::test]
async fn whoever_waits_for_the_end_of_a_server_hears_of_one_that_is_dropped() {
    let server = server();
    let handle = server.drain_handle();
    let waiting = tokio::spawn({
        let handle = handle.clone();
        async move { handle.begun().await }
    });
    tokio::task::yield_now().await;
    assert!(!handle.has_begun() && !waiting.is_finished());
    drop(server);
    assert!(handle.has_begun());
    tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_could_not_be_had_is_tried_no_more_once_it_is_closed() {
    let server = server();
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let missing = theirs.local_addr().unwrap();
    assert_eq!(server.apply(vec![Listener::new(missing)]).failed.len(), 1);
    assert!(server.close(&missing.into()), "it was wanted");
    assert!(!server.close(&missing.into()));
    drop(theirs);
    assert!(server.retry().is_none() && server.listeners().is_empty());
    assert!(is_refused(missing).await);

    // One that is there, and whose change is not to be had.
    let path = tempfile::tempdir().unwrap().path().join("s");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    server.open(Listener::unix(&path)).unwrap();
    let optional = ProxyProtocol::default().with_optional(true);
    let applied = server.apply(vec![Listener::unix(&path).with_proxy_protocol(optional)]);
    assert!(matches!(applied.failed[..], [BindError::NotOptional(_)]), "{applied:?}");
    assert_eq!(applied.kept, [ListenAddress::Unix(path.clone())]);
    assert!(server.stop_listening_unix(&path));
    assert!(server.retry().is_none() && server.listeners().is_empty());
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_opened_by_itself_is_missing_no_longer() {
    let server = server();
    let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = theirs.local_addr().unwrap();
    assert_eq!(server.apply(vec![Listener::new(address)]).failed.len(), 1);
    drop(theirs);
    assert_eq!(server.listen(Listener::new(address)).unwrap(), address);
    assert!(server.retry().is_none(), "it is wanted once");
    assert_eq!(server.listeners().len(), 1);
    served(&mut client(address).await).await;
}
