//! The access log from the wire to the file.
#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]
mod support;

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use support::{Raw, wait_until};
use tollgate::server::access_log::{AccessLogLayer, AccessLogSink, AccessLogWriter, FileSink, Format};
use tollgate::server::{Listener, Server};
use tollgate::{Body, BodyError, Exchange, Next, Response};
use tower::Layer as _;

fn service() -> Next {
    Next::from_fn(|request: Request<Body>| async move {
        request.extensions().get::<Exchange>().unwrap().set_route("r1".into());
        let mut response = Response::new(Body::from("hello"));
        match request.uri().path() {
            "/stream" => {
                let frames =
                    ["ab", "cd"].map(|text| Ok::<_, BodyError>(Frame::data(Bytes::from_static(text.as_bytes()))));
                *response.body_mut() = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
            }
            "/never" => std::future::pending().await,
            _ => {}
        }
        response
    })
}

fn start(format: Format, writer: AccessLogWriter) -> (Server, std::net::SocketAddr) {
    let layer = AccessLogLayer::new(format, writer);
    let server = Server::builder().serve(move |info| layer.connection(info).layer(service()));
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into())).unwrap();
    (server, address)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn sec_secr_02_lines_tell_what_happened_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let writer = AccessLogWriter::spawn(FileSink::open(&path).unwrap()).unwrap();
    let (_server, address) = start(Format::Json, writer);
    let mut client = Raw::connect(address).await;
    client
        .send(
            "GET /whole?key=CANARY HTTP/1.1\r\nHost: gw.test\r\nUser-Agent: \u{7f}".replace('\u{7f}', "a\tb")
                + "\r\nAuthorization: CANARY\r\nCookie: CANARY\r\nReferer: http://r/?token=CANARY\r\n\r\n",
        )
        .await;
    client.answer().await;
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n").await;
    client.answer().await;
    client.send("GET /never HTTP/1.1\r\nHost: h\r\n\r\n").await;
    wait_until("two lines are there", || lines(&path).len() == 2).await;
    drop(client);
    wait_until("three lines are there", || lines(&path).len() == 3).await;
    let text = lines(&path);
    assert!(!text.join("").contains("CANARY"), "{text:?}");
    let values: Vec<serde_json::Value> = text.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told =
        |index: usize| (values[index]["uri"].as_str().unwrap(), &values[index]["status"], &values[index]["bytes"]);
    assert_eq!(told(0), ("/whole?key=[redacted]", &200.into(), &5.into()));
    assert_eq!(told(1), ("/stream", &200.into(), &4.into()));
    assert_eq!(told(2), ("/never", &499.into(), &0.into()));
    assert_eq!((&values[0]["client"], &values[0]["route"]), (&"127.0.0.1".into(), &"r1".into()));
    assert_eq!(values[2]["route"], "r1", "also without an answer");
    assert_eq!(values[0]["user_agent"], "a\tb");
}

#[tokio::test]
async fn a_moved_file_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("access.log"), directory.path().join("access.log.1"));
    let writer = AccessLogWriter::spawn(FileSink::open(&path).unwrap()).unwrap();
    let (_server, address) = start(Format::Combined, writer.clone());
    let mut client = Raw::connect(address).await;
    for number in 1..=2 {
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
        client.answer().await;
        wait_until("the line is there", || lines(&path).len() == 1).await;
        if number == 1 {
            std::fs::rename(&path, &moved).unwrap();
            writer.reopen();
            wait_until("the file is there again", || path.exists()).await;
        }
    }
    assert!(lines(&moved)[0].contains("\"GET /1 HTTP/1.1\" 200 5 \"-\" \"-\""));
    assert!(lines(&path)[0].starts_with("127.0.0.1 - - ["));
}

/// A medium that stands still until it is let go.
struct Stuck {
    go: Receiver<()>,
    written: SyncSender<usize>,
}

impl AccessLogSink for Stuck {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<()> {
        self.go.recv().map_err(io::Error::other)?;
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.written.send(count).map_err(io::Error::other)
    }
}

#[tokio::test]
async fn a_slow_medium_holds_nobody_back_and_losses_are_counted() {
    let (go, wait) = sync_channel(100_000);
    let (written, counts) = sync_channel(100_000);
    let writer = AccessLogWriter::spawn(Stuck { go: wait, written }).unwrap();
    let (server, address) = start(Format::Combined, writer.clone());
    let mut client = Raw::connect(address).await;
    let request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for _ in 0..200 {
        client.send(request.repeat(50)).await;
        for _ in 0..50 {
            assert_eq!(client.answer().await.status, 200);
        }
    }
    // 10,000 answers, a queue of 8,192.
    assert!(writer.lost() > 0);
    for _ in 0..100_000 {
        go.send(()).unwrap();
    }
    drop((server, client));
    let lost = usize::try_from(writer.lost()).unwrap();
    drop(writer);
    // Ends when the thread does, which is when the last handle is gone.
    let counted = tokio::task::spawn_blocking(move || counts.iter().sum::<usize>()).await.unwrap();
    assert_eq!(counted + lost, 10_000);
}
