//! An origin that does exactly what a test tells it, and a client for one upstream.
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tollgate::upstream::{
    Endpoints, Error, ForwardContext, NodeConfig, Target, Upstream, UpstreamConfig, UpstreamKey, Upstreams,
};
use tollgate::{Body, BodyError, Request, Response};

/// Nothing in these tests takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One accepted connection.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    /// How many were accepted before.
    pub(crate) index: usize,
    seen: Arc<Mutex<Vec<String>>>,
    buffer: Vec<u8>,
}

impl Conn {
    /// Reads one whole request, head and body as they are on the wire; `None` at the end of the stream.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let head = self.head().await?;
        let lower = head.to_ascii_lowercase();
        let body = if let Some(length) = field(&lower, "content-length") {
            self.take(length.parse().unwrap()).await?
        } else if lower.contains("transfer-encoding: chunked") {
            self.take_chunks().await?
        } else {
            Vec::new()
        };
        let whole = head + &*String::from_utf8_lossy(&body);
        self.seen.lock().unwrap().push(whole.clone());
        Some(whole)
    }

    /// Reads a head and leaves the body.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            self.fill().await?;
        }
    }

    /// Reads so many bytes.
    pub(crate) async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    pub(crate) async fn take_chunks(&mut self) -> Option<Vec<u8>> {
        let mut raw = Vec::new();
        loop {
            let mut line = self.line().await?;
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            raw.append(&mut line);
            if size == 0 {
                loop {
                    let line = self.line().await?;
                    raw.extend_from_slice(&line);
                    if line == b"\r\n" {
                        return Some(raw);
                    }
                }
            }
            raw.extend(self.take(size + 2).await?);
        }
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                return Some(self.buffer.drain(..end + 2).collect());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (count > 0).then_some(())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have closed already; then the test sees that.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Waits until the other side has closed.
    pub(crate) async fn closed(&mut self) {
        while self.fill().await.is_some() {}
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// The value of a field in a head in lower case.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A scripted origin.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Origin {
    /// Runs `script` for each connection.
    pub(crate) async fn start<F, Fut>(script: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    /// As [`start`](Self::start), on a listener of the test's own.
    pub(crate) fn on<F, Fut>(listener: TcpListener, script: F) -> Self
    where
        F: Fn(Conn) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count) = (Arc::clone(&seen), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                stream.set_nodelay(true).unwrap();
                let index = count.fetch_add(1, SeqCst);
                tokio::spawn(script(Conn { stream, index, seen: Arc::clone(&log), buffer: Vec::new() }));
            }
        });
        Self { address, seen, connections, task }
    }

    /// Answers each request on a connection with `answer`.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut conn| async move {
            while conn.request().await.is_some() {
                conn.send(answer).await;
            }
        })
        .await
    }

    /// Answers each request with the value of its `x-id`.
    pub(crate) async fn naming() -> Self {
        Self::start(|mut conn| async move {
            while let Some(request) = conn.request().await {
                let id = field(&request, "x-id").unwrap_or_default().to_owned();
                conn.send(ok(&id)).await;
            }
        })
        .await
    }

    /// The requests that came, as they were on the wire.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Connections accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

/// A plain answer.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An address that refuses connections.
pub(crate) async fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

pub(crate) fn node(address: SocketAddr) -> NodeConfig {
    NodeConfig::new(Target::host(address.ip().to_string(), address.port()))
}

pub(crate) fn config(addresses: &[SocketAddr]) -> UpstreamConfig {
    UpstreamConfig::new(UpstreamKey::new("upstream", "test"), addresses.iter().map(|address| node(*address)).collect())
}

/// One upstream with the registry that it lives in.
pub(crate) struct Client {
    pub(crate) upstreams: Upstreams,
    pub(crate) upstream: Arc<Upstream>,
}

impl Client {
    pub(crate) fn new(config: UpstreamConfig) -> Self {
        let upstreams = Upstreams::new();
        let upstream = upstreams.compile(config, &Endpoints::new()).unwrap();
        Self { upstreams, upstream }
    }

    pub(crate) fn of(origin: &Origin) -> Self {
        Self::new(config(&[origin.address]))
    }

    pub(crate) async fn send(&self, request: Request) -> Result<Response, Error> {
        self.forward(request, ForwardContext::default()).await
    }

    pub(crate) async fn forward(&self, request: Request, cx: ForwardContext<'_>) -> Result<Response, Error> {
        tokio::time::timeout(PATIENCE, self.upstream.send(request, cx)).await.expect("an end")
    }

    /// Status and body of the answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), Error> {
        let response = self.send(request("GET", path, Body::empty())).await?;
        let status = response.status().as_u16();
        Ok((status, text(response).await.unwrap()))
    }

    /// Waits until the pool has so many idle connections.
    pub(crate) async fn idle(&self, count: usize) {
        until(|| self.upstream.endpoints().map(|endpoint| endpoint.idle_connections).sum::<usize>() == count).await;
    }
}

pub(crate) fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
    http::Request::builder().method(method).uri(path).header("host", "client.test").body(body.into()).unwrap()
}

pub(crate) async fn text(response: Response) -> Result<String, BodyError> {
    let whole = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("an end")?;
    Ok(String::from_utf8(whole.to_bytes().to_vec()).unwrap())
}

/// Waits until `condition` holds.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the condition to come true");
}

/// A gate that one side opens and the other waits for.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Notify>);

impl Gate {
    pub(crate) fn open(&self) {
        self.0.notify_one();
    }

    pub(crate) async fn pass(&self) {
        tokio::time::timeout(PATIENCE, self.0.notified()).await.expect("the gate to open");
    }
}
