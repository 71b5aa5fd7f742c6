//! A server whose service records what reached it, and a client that sends raw bytes.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests, each used by some"
)]
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tollgate::server::{Limits, Listener, Protocols, Server};
use tollgate::{Body, Next, Response};

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What reached the service: `METHOD target body`, or `METHOD target !` when the body broke.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Answers with `METHOD target body`.
pub(crate) fn echo(record: &Record) -> Next {
    let record = record.clone();
    Next::from_fn(move |request: Request<Body>| {
        let record = record.clone();
        async move {
            let (head, body) = request.into_parts();
            let start = format!("{} {} ", head.method, head.uri);
            match body.buffer(1 << 30).await {
                Ok(body) => {
                    let line = start + &*String::from_utf8_lossy(&body);
                    record.push(line.clone());
                    Response::new(Body::from(line))
                }
                Err(error) => {
                    record.push(start + "!");
                    let mut response = Response::new(Body::from(format!("service saw: {error}")));
                    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
                    response
                }
            }
        }
    })
}

/// A server on a free port.
pub(crate) fn start(limits: Limits, service: Next) -> (Server, SocketAddr) {
    start_with(limits, service, Protocols::H1)
}

pub(crate) fn start_with(limits: Limits, service: Next, protocols: Protocols) -> (Server, SocketAddr) {
    let server = Server::builder().limits(limits).serve(move |_| service.clone());
    let address = server.listen(Listener::new(([127, 0, 0, 1], 0).into()).with_protocols(protocols)).unwrap();
    (server, address)
}

/// One response as read by [`Raw`].
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

/// A client that sends raw bytes.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    seen: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), seen: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn more(&mut self) -> bool {
        let mut room = vec![0; 64 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut room)).await.expect("the server is silent");
        let count = read.unwrap_or(0);
        self.seen.extend_from_slice(&room[..count]);
        count > 0
    }

    /// All bytes up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.seen)
    }

    pub(crate) async fn rest_text(&mut self) -> String {
        String::from_utf8(self.rest().await).unwrap()
    }

    /// Whether the server ends the connection without another byte.
    pub(crate) async fn ends(&mut self) -> bool {
        self.rest().await.is_empty()
    }

    /// Reads until `end` is there, and returns all up to its end.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.seen.windows(end.len()).position(|window| window == end.as_bytes()) {
                let text = self.seen.drain(..at + end.len()).collect();
                return String::from_utf8(text).unwrap();
            }
            assert!(
                self.more().await,
                "the connection ended before {end:?}: {:?}",
                String::from_utf8_lossy(&self.seen)
            );
        }
    }

    /// The next answer, interim ones included; its body by length or chunks.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.until("\r\n\r\n").await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = Vec::new();
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            loop {
                let line = self.until("\r\n").await;
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                if size == 0 {
                    assert_eq!(self.until("\r\n").await, "\r\n");
                    break;
                }
                body.extend(self.take(size).await);
                assert_eq!(self.take(2).await, b"\r\n");
            }
        } else if let Some(line) = head.lines().find(|line| line.starts_with("content-length: ")) {
            body = self.take(line["content-length: ".len()..].parse().unwrap()).await;
        }
        Answer { status, head, body: body.into() }
    }

    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.seen.len() < count {
            assert!(self.more().await, "the connection ended early");
        }
        self.seen.drain(..count).collect()
    }
}

/// Waits for a condition without a clock of its own.
pub(crate) async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}
