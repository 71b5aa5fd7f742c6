//! One HTTP/2 connection to one server.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use super::counted::Counted;
use super::counters::Counters;
use super::options::{Options, Server};
use super::rpc::Call;
use crate::net::{Io, IoStream, Sweep, Transport};

/// Bytes of one answer that may be under way: pages of a full read are some MiB.
const STREAM_WINDOW: u32 = 4 << 20;
/// Bytes of all answers. A watch whose reader is slow takes its stream's part, and no more.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// How often a connection is asked for a sign of life while a watch or a request is on it. etcd closes those that ask
/// more than once in 5 s (`--grpc-keepalive-min-time`), or that ask while nothing is under way (gRPC's
/// `PermitWithoutStream`).
const PING_EVERY: Duration = Duration::from_secs(15);
/// The connection is over when none comes within this.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection. It closes when this is dropped, whatever is under way on it.
#[derive(Debug)]
pub(super) struct Link {
    channel: Channel,
    origin: http::Uri,
    task: AbortHandle,
    /// Place of the server among all.
    pub(super) server: usize,
}

impl Link {
    /// Connects. There is no limit on its time in here.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(super) async fn open(
        options: &Options,
        server: usize,
        sweep: &Sweep,
        counters: &Arc<Counters>,
    ) -> Result<Self, String> {
        let Some(to) = options.servers.get(server) else { return Err("there is no such server".to_owned()) };
        let stream = TcpStream::connect((&*to.host, to.port)).await.map_err(|error| error.to_string())?;
        let io = secured(options, to, Transport::Tcp(stream), sweep).await?;
        let stream = TokioIo::new(Counted::new(IoStream(io), counters));
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false)
            .handshake(stream)
            .await
            .map_err(|error| error.to_string())?;
        // An error here is an error of each call as well, and is told there.
        let task = tokio::spawn(async { drop(connection.await) }).abort_handle();
        Ok(Self { channel: Channel(sender), origin: to.origin.clone(), task, server })
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.channel.0.is_closed()
    }

    /// Ends it, whatever is under way on it.
    pub(super) fn close(&self) {
        self.task.abort();
    }

    /// Speaks gRPC on it; answers are at most `limit` bytes long.
    pub(super) fn grpc(&self, limit: usize) -> Grpc<Channel> {
        Grpc::with_origin(self.channel.clone(), self.origin.clone()).max_decoding_message_size(limit)
    }

    /// One request and its answer.
    ///
    /// # Errors
    /// What the server, or hyper, says.
    pub(super) async fn call<C: Call>(&self, request: Request<C>, limit: usize) -> Result<C::Answer, Status> {
        let mut grpc = self.grpc(limit);
        let answer = grpc.unary(request, PathAndQuery::from_static(C::PATH), ProstCodec::default()).await?;
        Ok(answer.into_inner())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn secured(options: &Options, to: &Server, transport: Transport, sweep: &Sweep) -> Result<Arc<Io>, String> {
    #[cfg(feature = "tls")]
    if let Some(tls) = options.tls.as_ref().filter(|_| to.tls) {
        let secured = tls.secure(transport, &to.host, sweep).await.map_err(|error| error.to_string())?;
        return Ok(secured.io);
    }
    // Without the feature, settings with `https` are refused before there is a connection.
    let _ = (options, to);
    Ok(Io::new(transport, sweep))
}

/// hyper's side of a connection as the tower service that tonic speaks gRPC over.
#[derive(Clone, Debug)]
pub(super) struct Channel(SendRequest<Body>);

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<UnsyncBoxBody<Bytes, Status>>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(cx).map_err(broken)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.send_request(request);
        Box::pin(async move { Ok(answer.await.map_err(broken)?.map(|body| body.map_err(broken).boxed_unsync())) })
    }
}

/// Whatever happens to a connection, the server on it is of no use now.
fn broken(error: hyper::Error) -> Status {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    Status::unavailable(text)
}
