//! A connection in HTTP/2, by hyper.
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::ReadBuf;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tower::Service;

use super::wire::request_too_long;
use crate::error::{Error, IntoResponse, Request, Response};
use crate::http1::is_host;
use crate::net::{Gather, IoStream};
use crate::server::registry::Client;
use crate::{Body, BodyError, grpc, into_problem};

/// Bytes of one stream's window, and of what is buffered for it (H2-08, H2-11).
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of the connection's window (H2-08).
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Serves the connection; `early` was read of it already.
pub(super) async fn run<S>(client: Arc<Client>, service: S, early: Bytes)
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    let limits = Arc::clone(client.limits());
    let streams = Arc::new(Streams { client: Arc::clone(&client), open: AtomicUsize::new(0) });
    let handler = Handler { service: Arc::new(Mutex::new(service)), streams: Arc::clone(&streams) };
    client.io().disarm();
    let tasks = Tasks::default();
    let connection = Builder::new(tasks)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_header_list_size(limits.header_list_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .serve_connection(TokioIo::new(Rewound { early, io: IoStream(Arc::clone(client.io())) }), handler);
    let mut connection = pin!(connection);
    let mut drained = pin!(client.drained());
    let aged = Instant::now() + limits.connection_age;
    let (mut ending, mut gather) = (false, Gather::default());
    loop {
        // Looked at once in an idle time: a connection without a stream for one to two of them ends.
        let look = (Instant::now() + limits.idle_timeout).min(aged);
        tokio::select! {
            // How a connection ends is of no use to anybody here.
            _ = poll_fn(|cx| gather.poll(cx, |cx| connection.as_mut().poll(cx))) => return,
            () = &mut drained, if !ending => ending = true,
            () = tokio::time::sleep_until(look), if !ending => {
                ending = Instant::now() >= aged || streams.open.load(Relaxed) == 0;
            }
        }
        if ending {
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Owns the tasks of the streams: they end with the connection.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(Ended { future });
    }
}

pin_project_lite::pin_project! {
    /// A future without its output. A block that awaits one would be twice its size, and copied as such.
    struct Ended<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Ended<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx).map(drop)
    }
}

/// The streams that are open.
struct Streams {
    client: Arc<Client>,
    open: AtomicUsize,
}

/// Counts one stream until its response body is over.
struct Stream(Arc<Streams>);

impl Stream {
    fn open(streams: &Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Relaxed);
        streams.client.set_busy();
        Self(Arc::clone(streams))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Relaxed) == 1 {
            self.0.client.set_idle();
        }
    }
}

struct Handler<S> {
    /// Streams call in turn; the lock is held for the call, not for its future.
    service: Arc<Mutex<S>>,
    streams: Arc<Streams>,
}

impl<S> hyper::service::Service<http::Request<hyper::body::Incoming>> for Handler<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = http::Response<Counted>;
    type Error = Infallible;
    type Future = Answering<S, S::Future>;

    fn call(&self, request: http::Request<hyper::body::Incoming>) -> Self::Future {
        let stream = Stream::open(&self.streams);
        let limit = stream.0.client.limits().request_timeout;
        let is_call = grpc::is_call(&request);
        let state = match canonical(request.map(Body::from)) {
            Ok(request) => Calling::Waits { request: Some(request) },
            Err(error) => Calling::Refused { error: Some(error) },
        };
        let clock = tokio::time::sleep(limit);
        Answering { service: Arc::clone(&self.service), stream: Some(stream), is_call, state, clock }
    }
}

impl Streams {
    /// An answer of the gateway itself.
    fn own(&self, error: Error, is_call: bool) -> Response {
        let response = error.into_response();
        match self.client.options().problem_details {
            _ if is_call => grpc::into_call_status(response),
            true => into_problem(response),
            false => response,
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer to one stream. A panic of the service ends this stream alone (PAN-01). Written out, since nested blocks
    /// would hold and copy the request several times.
    struct Answering<S, F> {
        service: Arc<Mutex<S>>,
        stream: Option<Stream>,
        // It is a gRPC call.
        is_call: bool,
        #[pin]
        state: Calling<F>,
        #[pin]
        clock: Sleep,
    }
}

pin_project_lite::pin_project! {
    #[project = CallingNow]
    enum Calling<F> {
        /// The request is not one to be served.
        Refused { error: Option<Error> },
        /// The service is not ready yet.
        Waits { request: Option<Request> },
        Runs { #[pin] call: F },
    }
}

impl<S> Future for Answering<S, S::Future>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Output = Result<http::Response<Counted>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut me = self.project();
        let panicked = || Error::Internal("panic");
        let ended = loop {
            match me.state.as_mut().project() {
                CallingNow::Refused { error } => break error.take().map(Err),
                CallingNow::Waits { request } => {
                    let mut service = me.service.lock().unwrap_or_else(PoisonError::into_inner);
                    let call = match catch_unwind(AssertUnwindSafe(|| service.poll_ready(cx))) {
                        Ok(Poll::Pending) => break None,
                        Ok(Poll::Ready(Ok(()))) => request
                            .take()
                            .and_then(|request| catch_unwind(AssertUnwindSafe(|| service.call(request))).ok()),
                        Err(_) => None,
                    };
                    drop(service);
                    let Some(call) = call else { break Some(Err(panicked())) };
                    me.state.set(Calling::Runs { call });
                }
                CallingNow::Runs { call } => match catch_unwind(AssertUnwindSafe(|| call.poll(cx))) {
                    Ok(Poll::Pending) => break None,
                    Ok(Poll::Ready(Ok(response))) => break Some(Ok(response)),
                    Err(_) => break Some(Err(panicked())),
                },
            }
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                ready!(me.clock.poll(cx));
                Err(request_too_long())
            }
        };
        let Some(stream) = me.stream.take() else { return Poll::Pending };
        let response = ended.unwrap_or_else(|error| stream.0.own(error, *me.is_call));
        Poll::Ready(Ok(response.map(|body| Counted { body, _stream: stream })))
    }
}

/// Brings a request into the form that HTTP/1 requests have here: the authority is in `Host` (H2-02, H2-03, H2-07).
fn canonical(mut request: Request) -> Result<Request, Error> {
    if *request.method() == Method::CONNECT || *request.method() == Method::TRACE {
        return Err(Error::MethodRefused(StatusCode::METHOD_NOT_ALLOWED));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) | (None, None, _) => return Err(Error::BadRequest("not exactly one host")),
        (Some(authority), Some(host), None) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            return Err(Error::BadRequest("host differs from the authority"));
        }
        (Some(authority), ..) => {
            HeaderValue::from_str(authority.as_str()).map_err(|_| Error::BadRequest("authority"))?
        }
        (None, Some(host), None) => host.clone(),
    };
    if !is_host(host.as_bytes()) {
        return Err(Error::BadRequest("authority"));
    }
    request.headers_mut().insert(HOST, host);
    join_cookies(&mut request);
    Ok(request)
}

/// Joins the pieces of `Cookie` (H2-06; RFC 9113 §8.2.3).
fn join_cookies(request: &mut Request) {
    use http::header::COOKIE;
    let pieces: Vec<_> = request.headers().get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() > 1
        && let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(pieces.join(&b"; "[..])))
    {
        request.headers_mut().insert(COOKIE, joined);
    }
}

/// A response body that keeps its stream counted.
struct Counted {
    body: Body,
    _stream: Stream,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = &mut self.body;
        // A panic in the body resets this stream alone.
        catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)))
            .unwrap_or_else(|_| Poll::Ready(Some(Err(BodyError::Other("body panicked".into())))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket of which some bytes were read already.
struct Rewound {
    early: Bytes,
    io: IoStream,
}

impl tokio::io::AsyncRead for Rewound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let count = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
