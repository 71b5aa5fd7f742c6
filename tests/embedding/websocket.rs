//! WebSockets through each host to a real WebSocket origin.
use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::host::{ALL, Host};
use super::peers::client::Client;
use super::peers::origin::Origin;
use super::peers::within;

/// Sends every message back; `bye` is answered with a close frame. Tells when a connection has ended.
async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ended, ends) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let ended = ended.clone();
            tokio::spawn(async move {
                let mut socket = accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message == Message::text("bye") {
                        let frame = CloseFrame { code: CloseCode::Away, reason: "going".into() };
                        let _ = socket.close(Some(frame)).await;
                    } else if message.is_text() || message.is_binary() {
                        let _ = socket.send(message).await;
                    }
                }
                let _ = ended.send(());
            });
        }
    });
    (address, ends)
}

async fn connect(host: SocketAddr, path: &str) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(host).await.unwrap();
    client_async(format!("ws://gw.test{path}"), stream).await.map(|(socket, _)| socket)
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Message {
    within(|| "a message".to_owned(), socket.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn messages_pass_both_ways_and_closing_is_told() {
    for kind in ALL {
        let (origin, mut ends) = echo().await;
        let host = Host::leading_to(kind, origin).await;
        let mut socket = connect(host.address, "/socket").await.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        let large = Message::binary((0..1_000_000_u32).map(|number| number as u8).collect::<Vec<_>>());
        for message in [Message::text("hello"), large, Message::text("")] {
            socket.send(message.clone()).await.unwrap();
            assert!(next(&mut socket).await == message, "{kind:?}");
        }
        socket.send(Message::Ping("are you there".into())).await.unwrap();
        assert_eq!(next(&mut socket).await, Message::Pong("are you there".into()), "{kind:?}");
        socket.send(Message::text("bye")).await.unwrap();
        let Message::Close(Some(frame)) = next(&mut socket).await else { panic!("{kind:?}: no close frame") };
        assert_eq!((frame.code, &*frame.reason), (CloseCode::Away, "going"), "{kind:?}");
        assert!(within(|| format!("{kind:?}: the end"), socket.next()).await.is_none());
        within(|| format!("{kind:?}: the end at the origin"), ends.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_tunnel_at_the_origin() {
    for kind in ALL {
        let (origin, mut ends) = echo().await;
        let host = Host::leading_to(kind, origin).await;
        let mut socket = connect(host.address, "/socket").await.unwrap();
        socket.send(Message::text("x")).await.unwrap();
        next(&mut socket).await;
        drop(socket);
        within(|| format!("{kind:?}: the end at the origin"), ends.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn an_upgrade_is_passed_on_only_where_the_route_allows_it() {
    for kind in ALL {
        let origin = Origin::saying("plain").await;
        let host = Host::leading_to(kind, origin.address()).await;
        let mut client = Client::connect(host.address).await;
        let wish = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        client.send(format!("GET /plain HTTP/1.1\r\nhost: gw.test\r\n{wish}\r\n")).await;
        assert_eq!(client.answer().await.text(), "plain", "{kind:?}");
        assert_eq!(origin.request().field("upgrade"), None, "{kind:?}");
        // Where it is allowed and the origin declines, its answer is an ordinary one.
        client.send(format!("GET /socket HTTP/1.1\r\nhost: gw.test\r\n{wish}\r\n")).await;
        assert_eq!(client.answer().await.text(), "plain", "{kind:?}");
        assert_eq!(origin.requests()[1].field("upgrade"), Some("websocket"), "{kind:?}");
    }
}
