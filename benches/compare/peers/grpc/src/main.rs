//! The HTTP/2 origin of the comparison: clear text with prior knowledge, one thread. To a gRPC call it answers the message
//! that came, with the trailer `grpc-status: 0`; to anything else 1 KiB.
//!
//! Usage: `compare-grpc ADDRESS`.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

static FILLER: [u8; 1024] = [b'x'; 1024];

/// A message, and a gRPC status behind it.
struct Answer {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match self.message.take() {
            Some(message) => Some(Frame::data(message)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Answer>, hyper::Error> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let grpc = kind.filter(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let message = request.into_body().collect().await?.to_bytes();
    let Some(kind) = grpc else {
        return Ok(Response::new(Answer { message: Some(Bytes::from_static(&FILLER)), trailers: None }));
    };
    let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
    let mut response = Response::new(Answer { message: Some(message), trailers: Some(trailers) });
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args().nth(1).ok_or("usage: compare-grpc ADDRESS")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                server.max_concurrent_streams(1000);
                let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    })
}
