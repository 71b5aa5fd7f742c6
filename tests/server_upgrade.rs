//! Upgrades and tunnels (security.md §6), over real sockets.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use support::{Raw, Record, echo, start, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tollgate::server::Limits;
use tollgate::{Body, Next, Response, UpgradeWish, UpgradedIo};

const WISH: &str = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A service that grants each upgrade, and the other end of its tunnel.
fn granting(early: &'static str) -> (Next, DuplexStream) {
    granting_for(early, None)
}

/// The same, with an idle time-out of its own.
fn granting_for(early: &'static str, idle: Option<Duration>) -> (Next, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let slot = Arc::new(Mutex::new(Some(ours)));
    let service = Next::from_fn(move |request: Request<Body>| {
        let ours = slot.lock().unwrap().take();
        async move {
            assert!(request.extensions().get::<UpgradeWish>().unwrap().is_websocket());
            let mut response = Response::default();
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let upgraded = UpgradedIo::new(ours.unwrap(), Bytes::from_static(early.as_bytes()));
            response.extensions_mut().insert(match idle {
                Some(idle) => upgraded.with_idle_timeout(idle),
                None => upgraded,
            });
            response
        }
    });
    (service, theirs)
}

async fn read(from: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    tokio::time::timeout(support::PATIENCE, from.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn bytes_go_both_ways_and_the_early_ones_first() {
    let (service, mut origin) = granting("early from the origin");
    let (server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send(format!("{WISH}early from the client")).await;
    let head = client.until("\r\n\r\n").await;
    assert_eq!(head, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    assert_eq!(client.take(21).await, b"early from the origin");
    assert_eq!(read(&mut origin, 21).await, b"early from the client");
    let large: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    client.send(&large).await;
    assert_eq!(read(&mut origin, large.len()).await, large);
    origin.write_all(&large).await.unwrap();
    assert_eq!(client.take(large.len()).await, large);
    assert_eq!(server.connections(), 1);
    // One side ends, the other may go on.
    client.stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    origin.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    origin.write_all(b"goodbye").await.unwrap();
    drop(origin);
    assert_eq!(client.rest().await, b"goodbye");
    wait_until("the tunnel is gone", || server.connections() == 0).await;
}

#[tokio::test]
async fn a_websocket_client_talks_through_a_tunnel() {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::tungstenite::{Message, handshake::derive_accept_key, protocol::Role};
    let service = Next::from_fn(|request: Request<Body>| async move {
        let key = request.headers()["sec-websocket-key"].as_bytes().to_vec();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut socket = tokio_tungstenite::WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    socket.send(message).await.unwrap();
                }
            }
        });
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("sec-websocket-accept", derive_accept_key(&key).parse().unwrap());
        response.extensions_mut().insert(UpgradedIo::new(ours, Bytes::new()));
        response
    });
    let (server, address) = start(Limits::default(), service);
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/")).await.unwrap();
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    let (_, goodbye) = tokio::join!(server.drain(Duration::from_secs(5)), socket.next());
    let Some(Ok(Message::Close(Some(close)))) = goodbye else { panic!("{goodbye:?}") };
    assert_eq!(u16::from(close.code), 1001);
}

#[tokio::test]
async fn sec_upg_02_what_is_behind_a_refused_wish_is_the_next_request() {
    let record = Record::default();
    let (_server, address) = start(Limits::default(), echo(&record));
    let mut client = Raw::connect(address).await;
    client.send(format!("{WISH}GET /second HTTP/1.1\r\nHost: h\r\n\r\n")).await;
    assert_eq!(client.answer().await.text(), "GET / ");
    assert_eq!(client.answer().await.text(), "GET /second ");
    assert_eq!(record.lines(), ["GET / ", "GET /second "]);
}

#[tokio::test]
async fn sec_upg_04_a_101_that_was_not_asked_for_is_no_answer() {
    let service = Next::from_fn(|_| async {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.extensions_mut().insert(UpgradedIo::new(tokio::io::duplex(1).0, Bytes::new()));
        response
    });
    let (_server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 500);
}

#[tokio::test(start_paused = true)]
async fn sec_upg_05_a_silent_tunnel_ends_and_a_lively_one_goes_on() {
    let (service, mut origin) = granting("");
    let (server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send(WISH).await;
    client.until("\r\n\r\n").await;
    let started = tokio::time::Instant::now();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(server.connections(), 1);
        origin.write_all(b"x").await.unwrap();
        client.stream.read_exact(&mut [0]).await.unwrap();
    }
    assert_eq!(client.stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(started.elapsed().as_secs(), 310);
}

#[tokio::test(start_paused = true)]
async fn sec_upg_05_a_route_or_upstream_says_how_long_a_tunnel_may_be_silent() {
    for seconds in [5, 600] {
        let (service, mut origin) = granting_for("", Some(Duration::from_secs(seconds)));
        let (_server, address) = start(Limits::default(), service);
        let mut client = Raw::connect(address).await;
        client.send(WISH).await;
        client.until("\r\n\r\n").await;
        let started = tokio::time::Instant::now();
        assert_eq!(client.stream.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(origin.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(started.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn sec_upg_05_a_tunnel_has_an_age() {
    let mut limits = Limits::default();
    limits.tunnel_age = Duration::from_secs(20);
    let (service, _origin) = granting("");
    let (_server, address) = start(limits, service);
    let mut client = Raw::connect(address).await;
    client.send(WISH).await;
    client.until("\r\n\r\n").await;
    let started = tokio::time::Instant::now();
    assert_eq!(client.stream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(started.elapsed().as_secs(), 20);
}

#[tokio::test]
async fn sec_upg_05_a_drain_says_1001_to_both_sides_between_two_frames() {
    let (service, mut origin) = granting("");
    let (server, address) = start(Limits::default(), service);
    let mut client = Raw::connect(address).await;
    client.send(WISH).await;
    client.until("\r\n\r\n").await;
    // Half a frame is under way in each direction; the goodbye waits for the other half.
    client.send([0x81, 0x82, 1, 2, 3]).await;
    origin.write_all(&[0x81, 0x02, b'a']).await.unwrap();
    assert_eq!(read(&mut origin, 5).await.len(), 5);
    assert_eq!(client.take(3).await.len(), 3);
    let drain = tokio::spawn(async move { server.drain(Duration::from_secs(5)).await });
    client.send([4, b'x', b'y']).await;
    origin.write_all(b"b").await.unwrap();
    assert_eq!(client.take(5).await, [b'b', 0x88, 0x02, 0x03, 0xe9]);
    let goodbye = read(&mut origin, 11).await;
    assert_eq!(goodbye[3..5], [0x88, 0x82]);
    assert_eq!([goodbye[9] ^ goodbye[5], goodbye[10] ^ goodbye[6]], [0x03, 0xe9]);
    drop((client, origin));
    drain.await.unwrap();
}
