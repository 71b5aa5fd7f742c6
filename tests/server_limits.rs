//! Limits and clocks of connections, over real sockets in virtual time.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use support::{Raw, Record, echo, start, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, interval};
use tollgate::server::Limits;
use tollgate::upstream::{Endpoints, ForwardContext, NodeConfig, Target, UpstreamConfig, UpstreamKey, Upstreams};
use tollgate::{Body, BodyError, Next, Response};

/// Deadlines are met within two looks of the sweep, and a little more for the turns of the test itself.
const SLACK: Duration = Duration::from_secs(1);

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn within(started: Instant, wanted: u64) {
    let (took, wanted) = (started.elapsed(), Duration::from_secs(wanted));
    assert!(took >= wanted && took <= wanted + SLACK, "{took:?} instead of {wanted:?}");
}

/// Sends `piece` once a second until the server ends the connection; returns what it said.
async fn drip(client: &mut Raw, piece: &[u8]) -> String {
    let mut said = Vec::new();
    let mut room = [0; 1024];
    let mut second = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            read = client.stream.read(&mut room) => match read {
                Ok(count @ 1..) => said.extend_from_slice(&room[..count]),
                _ => return String::from_utf8(said).unwrap(),
            },
            // The server may have closed already; then the read tells.
            _ = second.tick() => drop(client.stream.write_all(piece).await),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sec_lim_01_and_02_sizes() {
    let (_server, address) = start(Limits::default(), echo(&Record::default()));
    for (head, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(8192 - 14)), 200),
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(8192 - 13)), 414),
        (format!("GET /{}", "a".repeat(20_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nx: {}\r\n\r\n", "a".repeat(8192 - 3)), 200),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nx: {}\r\n\r\n", "a".repeat(8192 - 2)), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "x: 1\r\n".repeat(99)), 200),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "x: 1\r\n".repeat(100)), 431),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{}", format!("x: {}\r\n", "a".repeat(8000)).repeat(5)), 431),
    ] {
        let mut client = Raw::connect(address).await;
        client.send(&head).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.closes()), (status, status != 200));
    }
}

#[tokio::test(start_paused = true)]
async fn sec_lim_06_a_head_has_ten_seconds_in_total() {
    let (_server, address) = start(Limits::default(), echo(&Record::default()));
    for piece in [&b"a"[..], b"x: 1\r\n", b""] {
        let mut client = Raw::connect(address).await;
        let started = Instant::now();
        client.send("GET / HTTP/1.1\r\n").await;
        let said = drip(&mut client, piece).await;
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
        within(started, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn sec_lim_07_a_body_may_neither_stop_nor_crawl() {
    for (piece, wanted) in [(&b""[..], 15), (b"x", 10), (&[b'x'; 1000], 10)] {
        let record = Record::default();
        let (_server, address) = start(Limits::default(), echo(&record));
        let mut client = Raw::connect(address).await;
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n").await;
        let started = Instant::now();
        let said = drip(&mut client, piece).await;
        assert!(said.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{said}");
        let took = started.elapsed();
        assert!(took.as_secs() >= wanted && took.as_secs() <= wanted + 2, "{took:?}");
        assert_eq!(record.lines(), ["POST / !"]);
    }
    // One that is slow, but not that slow, gets through.
    let (_server, address) = start(Limits::default(), echo(&Record::default()));
    let mut client = Raw::connect(address).await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n").await;
    assert!(drip(&mut client, &[b'x'; 2000]).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(start_paused = true)]
async fn sec_lim_07_a_service_that_does_not_read_is_not_the_clients_fault() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        tokio::time::sleep(Duration::from_secs(40)).await;
        Response::new(Body::from(request.into_body().buffer(10).await.unwrap()))
    });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n").await;
    client.send("hello").await;
    let mut said = vec![0; 15];
    client.stream.read_exact(&mut said).await.unwrap();
    assert_eq!(said, b"HTTP/1.1 200 OK");
}

fn endless() -> Next {
    Next::from_fn(|_| async {
        let piece = || Ok::<_, BodyError>(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])));
        Response::new(Body::new(StreamBody::new(futures_util::stream::repeat_with(piece))))
    })
}

#[tokio::test(start_paused = true)]
async fn sec_lim_08_a_client_that_takes_nothing_is_cut() {
    let (server, address) = start(Limits::default(), endless());
    let mut client = Raw::connect(address).await;
    client.send(GET).await;
    let started = Instant::now();
    let gone = async {
        while server.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    wait_until("it is served", || server.connections() == 1).await;
    gone.await;
    within(started, 30);
}

#[tokio::test(start_paused = true)]
async fn sec_lim_08_a_client_that_sips_is_cut() {
    let (server, address) = start(Limits::default(), endless());
    let mut client = Raw::connect(address).await;
    client.send(GET).await;
    let started = Instant::now();
    let mut second = interval(Duration::from_secs(1));
    let mut sip = [0; 100];
    while server.connections() > 0 || started.elapsed() < SLACK {
        second.tick().await;
        let _ = client.stream.read(&mut sip).await;
        assert!(started.elapsed() < Duration::from_secs(300), "it is still served");
    }
    assert!(started.elapsed() >= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn sec_up_09_a_client_that_pauses_does_not_make_the_origin_late() {
    const PIECES: usize = 8192;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _request = stream.read(&mut [0; 1024]).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PIECES * 4000);
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..PIECES {
            stream.write_all(&[b'x'; 4000]).await.unwrap();
            // Piece by piece, so that the gateway often has none.
            tokio::task::yield_now().await;
        }
    });
    let node = NodeConfig::new(Target::host("127.0.0.1", origin.port()));
    let mut config = UpstreamConfig::new(UpstreamKey::new("upstream", "1"), vec![node]);
    config.timeouts.read = Duration::from_secs(5);
    let upstream = Upstreams::new().compile(config, &Endpoints::new()).unwrap();
    let service = Next::from_fn(move |request| {
        let upstream = upstream.clone();
        async move { upstream.send(request, ForwardContext::default()).await.unwrap() }
    });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(client.rest().await.len(), PIECES * 4000);
}

#[tokio::test(start_paused = true)]
async fn sec_lim_09_an_idle_connection_has_a_minute() {
    let (_server, address) = start(Limits::default(), echo(&Record::default()));
    let mut fresh = Raw::connect(address).await;
    let mut used = Raw::connect(address).await;
    let started = Instant::now();
    used.send(GET).await;
    assert_eq!(used.answer().await.status, 200);
    let (mut byte, mut other) = ([0; 1], [0; 1]);
    let (fresh, used) = tokio::join!(fresh.stream.read(&mut byte), used.stream.read(&mut other));
    assert_eq!((fresh.unwrap(), used.unwrap()), (0, 0));
    within(started, 60);
}

#[tokio::test(start_paused = true)]
async fn sec_lim_10_requests_and_age_of_a_connection() {
    let mut limits = Limits::default();
    limits.requests_per_connection = 3;
    let (_server, address) = start(limits, echo(&Record::default()));
    let mut client = Raw::connect(address).await;
    client.send(GET.repeat(4)).await;
    for last in [false, false, true] {
        assert_eq!(client.answer().await.closes(), last);
    }
    assert!(client.ends().await);

    let mut limits = Limits::default();
    limits.connection_age = Duration::from_secs(50);
    let (_server, address) = start(limits, echo(&Record::default()));
    let mut client = Raw::connect(address).await;
    for last in [false, false, true] {
        client.send(GET).await;
        assert_eq!(client.answer().await.closes(), last);
        tokio::time::sleep(Duration::from_secs(26)).await;
    }
}

#[tokio::test]
async fn sec_lim_11_the_newest_is_refused_and_the_longest_idle_makes_room() {
    let mut limits = Limits::default();
    limits.max_connections = 10;
    let pending = Next::from_fn(|request: Request<Body>| async move {
        if request.uri().path() == "/wait" {
            std::future::pending::<()>().await;
        }
        Response::default()
    });
    let (server, address) = start(limits.clone(), pending);
    let mut busy = Vec::new();
    for number in 1..=8 {
        let mut client = Raw::connect(address).await;
        client.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").await;
        busy.push(client);
        wait_until("it is counted", || server.connections() == number).await;
    }
    let mut idle = Raw::connect(address).await;
    idle.send(GET).await;
    assert_eq!(idle.answer().await.status, 200);
    // Nine of ten: room is made for the next by closing the idle one.
    let mut next = Raw::connect(address).await;
    assert!(idle.ends().await);
    next.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").await;
    wait_until("nine are left", || server.connections() == 9).await;
    let mut tenth = Raw::connect(address).await;
    tenth.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n").await;
    wait_until("ten are there", || server.connections() == 10).await;
    let mut refused = Raw::connect(address).await;
    assert!(refused.ends().await);
    assert_eq!(server.connections(), 10);

    limits.max_connections_per_ip = Some(1);
    let (_server, address) = start(limits, echo(&Record::default()));
    let mut first = Raw::connect(address).await;
    first.send(GET).await;
    assert_eq!(first.answer().await.status, 200);
    assert!(Raw::connect(address).await.ends().await);
}

#[tokio::test(start_paused = true)]
async fn sec_lim_13_a_request_has_five_minutes_until_its_answer() {
    for body in ["", "Content-Length: 3\r\n"] {
        let service = Next::from_fn(|request: Request<Body>| async move {
            let _read = request.into_body().buffer(10).await;
            std::future::pending::<Response>().await
        });
        let (_server, address) = start(Limits::default(), service);
        let mut client = Raw::connect(address).await;
        let started = Instant::now();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{body}\r\n")).await;
        if !body.is_empty() {
            client.send("abc").await;
        }
        let said = drip(&mut client, b"").await;
        assert!(said.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{said}");
        within(started, 300);
    }
}

#[tokio::test(start_paused = true)]
async fn sec_lim_13_a_request_is_late_though_nobody_reads_from_its_client() {
    let service = Next::from_fn(|request: Request<Body>| async move {
        let _unread = request;
        std::future::pending::<Response>().await
    });
    let unread = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{}", "body");
    let pipelined = GET.repeat(2000);
    for bytes in [unread, pipelined] {
        let (_server, address) = start(Limits::default(), service.clone());
        let mut client = Raw::connect(address).await;
        let started = Instant::now();
        client.send(bytes).await;
        let mut said = [0; 12];
        client.stream.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 504");
        within(started, 300);
    }
}

#[tokio::test(start_paused = true)]
async fn sec_lim_13_an_answer_under_way_may_take_longer() {
    let service = Next::from_fn(|_| async {
        let ticks = futures_util::stream::unfold(0, |number| async move {
            tokio::time::sleep(Duration::from_secs(600)).await;
            (number < 6).then_some((Ok::<_, BodyError>(Frame::data(Bytes::from_static(b"x"))), number + 1))
        });
        Response::new(Body::new(StreamBody::new(ticks)))
    });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    let started = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
    let mut said = String::new();
    client.stream.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("0\r\n\r\n"));
    assert!(started.elapsed() > Duration::from_secs(6 * 600));
}
