//! Listening, draining, ending.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use support::{Raw, Record, echo, start, wait_until};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tollgate::server::{BindError, Limits, Listener, Server, StrictAcceptor};
use tollgate::{Body, Next, Response};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

#[tokio::test]
async fn sec_drn_01_a_drain_finishes_what_runs_and_takes_nothing_new() {
    let go = Arc::new(Notify::new());
    let service = {
        let go = Arc::clone(&go);
        Next::from_fn(move |request: Request<Body>| {
            let go = Arc::clone(&go);
            async move {
                if request.uri().path() == "/slow" {
                    go.notified().await;
                }
                Response::new(Body::from("done"))
            }
        })
    };
    let (server, address) = start(Limits::default(), service);
    let mut idle = Raw::connect(address).await;
    idle.send(GET).await;
    assert!(!idle.answer().await.closes());
    let mut busy = Raw::connect(address).await;
    busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    wait_until("both are served", || server.connections() == 2).await;

    let server = Arc::new(server);
    let drain = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.drain(Duration::from_secs(30)).await }
    });
    assert!(idle.ends().await);
    wait_until("nobody listens", || server.addresses().is_empty()).await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!drain.is_finished());
    go.notify_one();
    let answer = busy.answer().await;
    assert_eq!((answer.text(), answer.closes()), ("done", true));
    drop(busy);
    drain.await.unwrap();
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn sec_drn_01_a_request_that_has_arrived_is_served_as_the_last() {
    let record = Record::default();
    let (server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    client.send(GET).await;
    assert!(!client.answer().await.closes());
    // One task at a time runs here: the drain begins before the connection sees the request.
    assert_eq!(client.stream.try_write(GET.as_bytes()).unwrap(), GET.len());
    let (answer, ()) = tokio::join!(client.answer(), server.drain(Duration::from_secs(30)));
    assert_eq!((answer.status, answer.closes()), (200, true));
    assert_eq!(record.take().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn sec_drn_01_what_is_left_at_the_deadline_is_cut() {
    let (server, address) = start(Limits::default(), Next::from_fn(|_| std::future::pending()));
    let mut client = Raw::connect(address).await;
    client.send(GET).await;
    wait_until("it is served", || server.connections() == 1).await;
    let started = tokio::time::Instant::now();
    server.drain(Duration::from_secs(7)).await;
    assert_eq!(started.elapsed().as_secs(), 7);
    assert!(client.ends().await);
}

#[tokio::test]
async fn sec_drn_02_dropping_a_server_ends_all_of_it() {
    for _ in 0..20 {
        let (server, address) = start(Limits::default(), echo(&Record::default()));
        let mut client = Raw::connect(address).await;
        client.send(GET).await;
        assert_eq!(client.answer().await.status, 200);
        drop(server);
        assert!(client.ends().await);
        wait_until("nobody listens", || std::net::TcpStream::connect(address).is_err()).await;
    }
}

#[tokio::test]
async fn listeners_come_and_go() {
    let (server, first) = start(Limits::default(), echo(&Record::default()));
    let second = server.listen(Listener::new(([127, 0, 0, 1], 0).into())).unwrap();
    assert_eq!(server.addresses(), [first, second]);
    let mut kept = Raw::connect(first).await;
    kept.send(GET).await;
    assert_eq!(kept.answer().await.status, 200);
    assert!(server.stop_listening(first));
    assert!(!server.stop_listening(first));
    wait_until("nobody listens", || std::net::TcpStream::connect(first).is_err()).await;
    for mut client in [kept, Raw::connect(second).await] {
        client.send(GET).await;
        assert_eq!(client.answer().await.status, 200);
    }
    // A freed address can be had again at once.
    assert_eq!(server.listen(Listener::new(first)).unwrap(), first);
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named_in_one_line() {
    let (server, address) = start(Limits::default(), echo(&Record::default()));
    let error = server.listen(Listener::new(address)).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("in use") && !text.contains('\n'), "{text}");
    let elsewhere = "192.0.2.1:80".parse().unwrap();
    assert!(matches!(server.listen(Listener::new(elsewhere)), Err(BindError::NoSuchAddress(_))));
}

#[tokio::test]
async fn each_connection_gets_a_service_that_knows_it() {
    let server = Server::builder().serve(|info| {
        Next::from_fn(move |_| async move { Response::new(Body::from(format!("{} {:?}", info.peer, info.local))) })
    });
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into())).unwrap();
    let mut client = Raw::connect(address).await;
    let own = client.stream.local_addr().unwrap();
    client.send(GET).await;
    assert_eq!(client.answer().await.text(), format!("{own} {:?}", Some(address)));
}

#[tokio::test]
async fn a_host_puts_the_strict_acceptor_before_its_own_service() {
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "from axum" }));
    let acceptor = StrictAcceptor::new(Limits::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn({
        let acceptor = acceptor.clone();
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(acceptor.serve(stream, Next::new(router.clone())));
            }
        }
    });
    let mut client = Raw::connect(address).await;
    client.send(GET).await;
    assert_eq!(client.answer().await.text(), "from axum");
    let mut smuggler = Raw::connect(address).await;
    smuggler
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .await;
    assert_eq!(smuggler.answer().await.status, 400);
    drop(smuggler);
    acceptor.begin_drain();
    assert!(client.ends().await);
    wait_until("all have ended", || acceptor.connections() == 0).await;
    task.abort();

    let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
    let acceptor = StrictAcceptor::new(Limits::default());
    let served = tokio::spawn(acceptor.serve_unix(ours, echo(&Record::default())));
    let (mut reader, mut writer) = theirs.into_split();
    let request = b"GET /unix HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut writer, request).await.unwrap();
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut said).await.unwrap();
    assert!(said.ends_with("\r\n\r\nGET /unix "), "{said}");
    served.await.unwrap();
}
