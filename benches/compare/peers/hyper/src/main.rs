//! The plain hyper proxy of the comparison: what one writes by hand on hyper's server and hyper-util's pooled client,
//! with no routes, plugins or limits. One worker of tokio's multi-thread runtime.
//!
//! Usage: `compare-hyper LISTEN UPSTREAM`.
use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<Either<Incoming, Empty<Bytes>>>;

#[derive(Clone)]
struct Proxy {
    client: Client<HttpConnector, Incoming>,
    upstream: Authority,
    host: HeaderValue,
}

impl Proxy {
    fn new(upstream: &str) -> Result<Self, Failure> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, upstream: upstream.parse()?, host: HeaderValue::from_str(upstream)? })
    }

    async fn forward(self, mut request: Request<Incoming>) -> Result<Response<Incoming>, Failure> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.upstream);
        *request.uri_mut() = Uri::from_parts(parts)?;
        for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
            request.headers_mut().remove(name);
        }
        request.headers_mut().insert(HOST, self.host);
        let mut response = self.client.request(request).await?;
        for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Answer, Infallible> {
        Ok(self.forward(request).await.map_or_else(
            |_| {
                let mut response = Response::new(Either::Right(Empty::new()));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            },
            |response| response.map(Either::Left),
        ))
    }
}

async fn serve(listen: SocketAddr, proxy: Proxy) -> Result<(), Failure> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(listen), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    socket.listen(8192)?;
    let listener = tokio::net::TcpListener::from_std(socket.into())?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let proxy = proxy.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| proxy.clone().answer(request));
            // a client that goes away is no fault of the proxy
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: compare-hyper LISTEN UPSTREAM".into());
    };
    let (listen, proxy) = (listen.parse()?, Proxy::new(&upstream)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // the accept loop is a task too, so that all work is done by the one worker
    runtime.block_on(async { tokio::spawn(serve(listen, proxy)).await? })
}
