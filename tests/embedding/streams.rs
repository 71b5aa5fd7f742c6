//! Bodies in both directions: as they come, no faster than they are taken, and ended on one side when the other goes.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::host::{ALL, Host, Kind};
use super::peers::client::Client;
use super::peers::origin::{Origin, Step};
use super::peers::within;

#[tokio::test]
async fn both_bodies_stream_at_once() {
    for kind in ALL {
        let origin = Origin::scripted(|_| {
            vec![
                Step::until("\r\n\r\n"),
                Step::until("3\r\none\r\n"),
                Step::send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nONE\r\n"),
                Step::until("3\r\ntwo\r\n"),
                Step::send("3\r\nTWO\r\n"),
                Step::until("0\r\n\r\n"),
                Step::send("0\r\n\r\n"),
            ]
        })
        .await;
        let host = Host::leading_to(kind, origin.address()).await;
        let mut client = Client::connect(host.address).await;
        client.send("POST / HTTP/1.1\r\nhost: gw.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
        client.until("ONE\r\n").await;
        client.send("3\r\ntwo\r\n").await;
        client.until("TWO\r\n").await;
        client.send("0\r\n\r\n").await;
        client.until("0\r\n\r\n").await;
        assert_eq!(origin.request().body, b"onetwo", "{kind:?}");
    }
}

#[tokio::test]
async fn h1_17_trailers_of_the_response_reach_a_client_that_asks_and_those_of_the_request_end_here() {
    for kind in ALL {
        let origin = Origin::answering(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: theirs\r\n\r\n",
        )
        .await;
        let host = Host::leading_to(kind, origin.address()).await;
        let mut client = Client::connect(host.address).await;
        let request = "POST / HTTP/1.1\r\nhost: gw.test\r\nte: trailers\r\nconnection: te\r\n";
        client.send(format!("{request}transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: ours\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), &*answer.text()), (200, "ok"), "{kind:?}");
        // hyper sends only trailers that a `Trailer` field announces, which is a field of the hop before.
        let expected = if kind == Kind::Own { vec![("x-sum".to_owned(), "theirs".to_owned())] } else { Vec::new() };
        assert_eq!(answer.trailers, expected, "{kind:?}");
        assert_eq!(origin.request().trailers, [], "{kind:?}");
    }
}

/// More than all buffers on the way can hold.
const LARGE: usize = 96 << 20;
/// What sockets may hold on the way; the gateway's own buffers are small.
const HELD: usize = 48 << 20;

/// Writes `LARGE` bytes. Tells how many were taken when a write stood still, and waits for nothing.
async fn flood(stream: &mut TcpStream, stalled: oneshot::Sender<usize>) {
    let (piece, written) = (vec![b'x'; 1 << 16], AtomicUsize::new(0));
    let mut stalled = Some(stalled);
    while written.load(SeqCst) < LARGE {
        let write = stream.write_all(&piece);
        tokio::pin!(write);
        // Nothing here is that slow but a reader who does not read.
        if stalled.is_some() && tokio::time::timeout(Duration::from_secs(1), &mut write).await.is_err() {
            stalled.take().unwrap().send(written.load(SeqCst)).unwrap();
            write.await.unwrap();
        } else if stalled.is_none() {
            write.await.unwrap();
        }
        written.fetch_add(piece.len(), SeqCst);
    }
}

async fn drain(stream: &mut TcpStream, mut left: usize) {
    let mut room = vec![0; 1 << 16];
    while left > 0 {
        let count = within(|| format!("{left} more bytes"), stream.read(&mut room)).await.unwrap();
        assert!(count > 0, "{left} bytes are missing");
        left -= count;
    }
}

/// Reads a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(within(|| "a head".to_owned(), stream.read_u8()).await.unwrap());
    }
    String::from_utf8(seen).unwrap()
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_origin_back() {
    for kind in ALL {
        let (listener, address) = bind().await;
        let (stalled, at) = oneshot::channel();
        let origin = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            head(&mut stream).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            flood(&mut stream, stalled).await;
        });
        let host = Host::leading_to(kind, address).await;
        let mut client = TcpStream::connect(host.address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await.unwrap();
        let taken = within(|| "the origin to be held back".to_owned(), at).await.unwrap();
        assert!(taken < HELD, "{kind:?}: {taken} bytes were taken");
        assert!(head(&mut client).await.starts_with("HTTP/1.1 200 "), "{kind:?}");
        drain(&mut client, LARGE).await;
        origin.await.unwrap();
    }
}

#[tokio::test]
async fn an_origin_that_does_not_read_holds_its_client_back() {
    for kind in ALL {
        let (listener, address) = bind().await;
        let (go, gone) = oneshot::channel::<()>();
        let origin = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            head(&mut stream).await;
            gone.await.unwrap();
            drain(&mut stream, LARGE).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        });
        let host = Host::leading_to(kind, address).await;
        let mut client = TcpStream::connect(host.address).await.unwrap();
        let request = format!("PUT / HTTP/1.1\r\nhost: gw.test\r\ncontent-length: {LARGE}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let (stalled, at) = oneshot::channel();
        let sending = tokio::spawn(async move {
            flood(&mut client, stalled).await;
            client
        });
        let taken = within(|| "the client to be held back".to_owned(), at).await.unwrap();
        assert!(taken < HELD, "{kind:?}: {taken} bytes were taken");
        go.send(()).unwrap();
        let mut client = within(|| "the upload to end".to_owned(), sending).await.unwrap();
        assert!(head(&mut client).await.starts_with("HTTP/1.1 200 "), "{kind:?}");
        origin.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request_upstream() {
    for kind in ALL {
        // Before the answer, and within it.
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegin"] {
            let origin = Origin::scripted(move |_| vec![Step::Request, Step::send(answer)]).await;
            let host = Host::leading_to(kind, origin.address()).await;
            let mut client = Client::connect(host.address).await;
            client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
            origin.wait(|seen| seen.first().is_some_and(|one| one.bytes.ends_with(b"\r\n\r\n"))).await;
            if !answer.is_empty() {
                client.until("begin").await;
            }
            client.reset();
            origin.end_of(0).await;
            assert_eq!(origin.requests().len(), 1, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_response_cut_short_upstream_is_cut_short_downstream() {
    for kind in ALL {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegin",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n",
        ] {
            let (ended, end) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
            let (listener, address) = bind().await;
            let told = (Arc::clone(&ended), Arc::clone(&end));
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                head(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                told.1.notified().await;
                drop(stream);
                told.0.notify_one();
            });
            let host = Host::leading_to(kind, address).await;
            let mut client = Client::connect(host.address).await;
            client.send("GET / HTTP/1.1\r\nhost: gw.test\r\n\r\n").await;
            client.until("begin").await;
            end.notify_one();
            ended.notified().await;
            let rest = client.rest().await;
            let rest = String::from_utf8_lossy(&rest);
            assert!(!rest.contains("0\r\n\r\n") && rest.len() <= 2, "{kind:?}: a clean end: {rest:?}");
        }
    }
}
