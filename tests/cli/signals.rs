//! The ways to end.
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::peers::End;
use super::peers::client::Client;
use super::process::{Folder, Gateway, leading_to};

/// An origin that answers its one request when it is told to.
struct Slow {
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    address: std::net::SocketAddr,
}

async fn slow() -> Slow {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = Slow { asked: Arc::default(), answer: Arc::default(), address: listener.local_addr().unwrap() };
    let (asked, answer) = (Arc::clone(&slow.asked), Arc::clone(&slow.answer));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        asked.notify_one();
        answer.notified().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow").await.unwrap();
        // Whoever asks closes.
        let _ = stream.read(&mut [0; 1]).await;
    });
    slow
}

#[tokio::test]
async fn drn_01_sigterm_finishes_what_runs_closes_what_is_idle_and_exits_0() {
    for signal in ["TERM", "INT"] {
        let origin = slow().await;
        let folder = Folder::new();
        let file = folder.write("a.yaml", &leading_to(origin.address));
        let mut gateway = Gateway::start(&["--config", &file]).await;
        let mut idle = Client::connect(gateway.address()).await;
        let mut client = Client::connect(gateway.address()).await;
        client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
        origin.asked.notified().await;
        gateway.signal(signal);
        gateway.hear(&format!("SIG{signal}: finishing what runs")).await;
        assert_eq!(idle.end().await, End::Closed);
        origin.answer.notify_one();
        let answer = client.answer().await;
        assert_eq!((answer.status(), &*answer.text(), answer.field("connection")), (200, "slow", Some("close")));
        assert_eq!(client.end().await, End::Closed);
        assert_eq!(gateway.ended().await.code(), Some(0));
    }
}

#[tokio::test]
async fn drn_01_what_still_runs_at_the_end_of_the_drain_is_cut() {
    let origin = slow().await;
    let folder = Folder::new();
    let file = folder.write("a.yaml", &leading_to(origin.address));
    let mut gateway = Gateway::start(&["--config", &file, "--drain-seconds", "0"]).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
    origin.asked.notified().await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn nobody_is_let_in_after_sigterm() {
    let origin = slow().await;
    let folder = Folder::new();
    let file = folder.write("a.yaml", &leading_to(origin.address));
    let mut gateway = Gateway::start(&["--config", &file]).await;
    let mut client = Client::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
    origin.asked.notified().await;
    gateway.signal("TERM");
    gateway.hear("finishing what runs").await;
    super::peers::within(|| "the listener to close".to_owned(), async {
        while tokio::net::TcpStream::connect(gateway.address()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    origin.answer.notify_one();
    assert_eq!(client.answer().await.text(), "slow");
    assert_eq!(gateway.ended().await.code(), Some(0));
}
