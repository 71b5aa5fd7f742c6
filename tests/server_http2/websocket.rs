//! WebSocket on a stream (RFC 8441).
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Request, Response, StatusCode, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, protocol::Role};
use tollgate::gateway::{Gateway, Route};
use tollgate::model::NodeSpec;
use tollgate::server::{Limits, Listener, Protocols, Server};
use tollgate::{Body, Next, UpgradeWish, UpgradedIo};

use super::raw;
use crate::support::{start_with, wait_until};

/// Grants the first upgrade; the other end of its tunnel.
fn granting(early: &'static [u8]) -> (Next, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let slot = Arc::new(Mutex::new(Some(ours)));
    let service = Next::from_fn(move |request: Request<Body>| {
        let ours = slot.lock().unwrap().take();
        async move {
            assert!(request.extensions().get::<UpgradeWish>().unwrap().is_websocket());
            assert_eq!((request.method().as_str(), request.version()), ("GET", Version::HTTP_2));
            assert_eq!(request.headers()["sec-websocket-key"].len(), 24);
            let mut response = tollgate::Response::default();
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("sec-websocket-accept", "x".parse().unwrap());
            response.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
            response.extensions_mut().insert(UpgradedIo::new(ours.unwrap(), Bytes::from_static(early)));
            response
        }
    });
    (service, theirs)
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let client = client.ready().await.unwrap();
    // The client's connection has to hear of it first.
    wait_until("the setting is known", || client.is_extended_connect_protocol_enabled()).await;
    client
}

/// Asks for a WebSocket; the answer and both halves of the stream as one.
async fn ask(client: &mut SendRequest<Bytes>, path: &str) -> (Response<()>, DuplexStream) {
    let request = Request::builder()
        .method("CONNECT")
        .uri(format!("http://h{path}"))
        .version(Version::HTTP_2)
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"));
    let (response, mut send) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let (head, mut receive) = response.await.unwrap().into_parts();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (mut read, mut write) = tokio::io::split(theirs);
    tokio::spawn(async move {
        while let Some(Ok(data)) = receive.data().await {
            let _ = receive.flow_control().release_capacity(data.len());
            write.write_all(&data).await.unwrap();
        }
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut room = vec![0; 16 * 1024];
        loop {
            let count = read.read(&mut room).await.unwrap();
            if send.send_data(Bytes::copy_from_slice(&room[..count]), count == 0).is_err() || count == 0 {
                return;
            }
        }
    });
    (Response::from_parts(head, ()), ours)
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_side_ends_for_itself() {
    let (service, mut origin) = granting(b"early ");
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut client = connect(address).await;
    let (response, mut tunnel) = ask(&mut client, "/").await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    let mut early = [0; 6];
    tunnel.read_exact(&mut early).await.unwrap();
    assert_eq!(&early, b"early ");
    let large: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    let (mut from, mut to) = tokio::io::split(&mut origin);
    let echo = async {
        let mut seen = vec![0; large.len()];
        from.read_exact(&mut seen).await.unwrap();
        to.write_all(&seen).await.unwrap();
    };
    let talk = async {
        let (mut read, mut write) = tokio::io::split(&mut tunnel);
        let mut back = vec![0; large.len()];
        let (sent, read) = tokio::join!(write.write_all(&large), read.read_exact(&mut back));
        sent.unwrap();
        read.unwrap();
        assert!(back == large);
    };
    tokio::join!(echo, talk);
    tunnel.shutdown().await.unwrap();
    assert_eq!(origin.read(&mut [0; 9]).await.unwrap(), 0);
    origin.write_all(b"goodbye").await.unwrap();
    drop(origin);
    let mut rest = String::new();
    tunnel.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "goodbye");
}

#[tokio::test]
async fn sec_upg_05_a_drain_says_goodbye() {
    let (service, origin) = granting(b"");
    let (server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut client = connect(address).await;
    let (_, tunnel) = ask(&mut client, "/").await;
    let mut origin = WebSocketStream::from_raw_socket(origin, Role::Server, None).await;
    let mut socket = WebSocketStream::from_raw_socket(tunnel, Role::Client, None).await;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(origin.next().await.unwrap().unwrap(), Message::text("hello"));
    let (_, told, heard) = tokio::join!(server.drain(Duration::from_secs(5)), socket.next(), origin.next());
    for goodbye in [told, heard] {
        let Some(Ok(Message::Close(Some(close)))) = goodbye else { panic!("{goodbye:?}") };
        assert_eq!(u16::from(close.code), 1001);
    }
}

/// Opens a WebSocket on the first stream.
async fn open(raw: &mut raw::Raw) {
    let head =
        [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/"), (":authority", "h")];
    let block: Vec<u8> = head.iter().flat_map(|(name, value)| raw::field(name, value)).collect();
    raw.send(raw::frame(raw::HEADERS, raw::END_HEADERS, 1, &block)).await;
    assert_eq!(raw.status(1).await, Some(200));
}

/// It sends, so that the tunnel is not silent.
#[tokio::test(start_paused = true)]
async fn sec_h2_11_a_client_that_does_not_take_what_a_tunnel_brings_is_cut() {
    for drips in [false, true] {
        let (service, mut origin) = granting(b"");
        let (server, address) = start_with(Limits::default(), service, Protocols::H2);
        let mut raw = raw::Raw::with_settings(address, &[(4, 0)]).await;
        open(&mut raw).await;
        let started = tokio::time::Instant::now();
        origin.write_all(&[0; 40_000]).await.unwrap();
        let reset = loop {
            let next = tokio::time::timeout(Duration::from_secs(5), raw.until(|frame| frame.kind == raw::RST_STREAM));
            if let Ok(reset) = next.await {
                break reset.unwrap();
            }
            assert!(started.elapsed().as_secs() < 60, "it lives on; drips: {drips}");
            raw.send(raw::frame(raw::DATA, 0, 1, b"x")).await;
            if drips {
                raw.send(raw::frame(raw::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await;
            }
        };
        assert_eq!((reset.stream, reset.code()), (1, raw::CANCEL));
        assert!((28..37).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
        // It was the only one.
        assert_eq!(raw.goodbye().await, Some(raw::ENHANCE_YOUR_CALM));
        while raw.next().await.is_some() {}
        drop(raw);
        wait_until("it is over", || server.connections() == 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sec_upg_05_a_silent_tunnel_is_reset_and_its_connection_serves_on() {
    let (service, origin) = granting(b"");
    let (_server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut raw = raw::Raw::connect(address).await;
    let started = tokio::time::Instant::now();
    open(&mut raw).await;
    let reset = raw.until(|frame| frame.kind == raw::RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.code()), (1, raw::CANCEL));
    assert!((60..63).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    drop(origin);
}

#[tokio::test]
async fn a_client_that_resets_the_stream_ends_the_tunnel() {
    let (service, mut origin) = granting(b"");
    let (server, address) = start_with(Limits::default(), service, Protocols::H2);
    let mut client = connect(address).await;
    let request = Request::builder()
        .method("CONNECT")
        .uri("http://h/")
        .extension(Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (response, mut send) = client.send_request(request, false).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    send.send_reset(h2::Reason::CANCEL);
    assert_eq!(origin.read(&mut [0; 9]).await.unwrap(), 0);
    assert_eq!(server.connections(), 1);
}

/// The whole way: a route that enables WebSocket, one that does not, and an origin that speaks it.
#[tokio::test]
async fn sec_h2_07_a_websocket_goes_only_where_the_route_enables_it() {
    let origin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = origin.local_addr().unwrap().port();
    let node = NodeSpec::host("127.0.0.1", port);
    let accepted = Arc::new(Mutex::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = origin.accept().await.unwrap();
            *count.lock().unwrap() += 1;
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() {
                        socket.send(message).await.unwrap();
                    }
                }
            });
        }
    });
    let gateway = Gateway::builder()
        .route(Route::new("/ws").websocket(true).to_nodes([node.clone()]))
        .route(Route::new("/plain").to_nodes([node.clone()]))
        .build()
        .unwrap();
    let server = Server::builder().serve(move |info| gateway.connection(info));
    let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(Protocols::H2);
    let address = server.listen(listener).unwrap();
    let mut client = connect(address).await;
    let (refused, _) = ask(&mut client, "/plain").await;
    assert_eq!(refused.status(), 405);
    assert_eq!(*accepted.lock().unwrap(), 0);
    let (granted, tunnel) = ask(&mut client, "/ws").await;
    assert_eq!(granted.status(), 200);
    let mut socket = WebSocketStream::from_raw_socket(tunnel, Role::Client, None).await;
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    socket.close(None).await.unwrap();
    // Without the version that there is, nobody is asked.
    let request = Request::builder().method("CONNECT").uri("http://h/ws").extension(Protocol::from_static("websocket"));
    let (response, _send) = client.send_request(request.body(()).unwrap(), false).unwrap();
    assert_eq!(response.await.unwrap().status(), 400);
    assert_eq!(*accepted.lock().unwrap(), 1);
}
