//! The tower layer that makes an event of each exchange.
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use http::header::{HOST, REFERER, USER_AGENT};
use http_body::{Frame, SizeHint};
use tower::{Layer, Service};

use super::format::Event;
use super::{AccessLogWriter, Format, Redact};
use crate::error::{Request, Response};
use crate::{Body, BodyError, ConnectInfo, Exchange};

/// Status of an event whose client went away before there was an answer.
const CLIENT_WENT_AWAY: u16 = 499;

/// Applies [`AccessLog`].
#[derive(Clone)]
pub struct AccessLogLayer {
    shared: Arc<Shared>,
    client: Option<ConnectInfo>,
}

#[derive(Clone)]
struct Shared {
    writer: AccessLogWriter,
    format: Format,
    redact: Redact,
}

impl AccessLogLayer {
    /// Lines of this format to this writer.
    pub fn new(format: Format, writer: AccessLogWriter) -> Self {
        Self { shared: Arc::new(Shared { writer, format, redact: Redact::default() }), client: None }
    }

    /// Sets which query parameters have their values replaced. Default: [`Redact::default`].
    #[must_use]
    pub fn redact(mut self, redact: Redact) -> Self {
        Arc::make_mut(&mut self.shared).redact = redact;
        self
    }

    /// For the requests of one connection. Without it, a [`ConnectInfo`] in a request's extensions tells the client.
    #[must_use]
    pub fn connection(&self, client: ConnectInfo) -> Self {
        Self { shared: Arc::clone(&self.shared), client: Some(client) }
    }
}

impl fmt::Debug for AccessLogLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLogLayer").field("format", &self.shared.format).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLog<S>;

    fn layer(&self, inner: S) -> AccessLog<S> {
        AccessLog { inner, layer: self.clone() }
    }
}

/// Service made by [`AccessLogLayer`].
#[derive(Clone, Debug)]
pub struct AccessLog<S> {
    inner: S,
    layer: AccessLogLayer,
}

impl<S> Service<Request> for AccessLog<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = AccessLogFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let exchange = request.extensions_mut().get_or_insert_default::<Exchange>().clone();
        let field = |name| request.headers().get(name).cloned();
        let event = Event {
            peer: self.layer.client.clone().or_else(|| request.extensions().get().cloned()),
            time: SystemTime::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: field(HOST),
            referer: field(REFERER),
            user_agent: field(USER_AGENT),
            status: CLIENT_WENT_AWAY,
            bytes: 0,
            duration: std::time::Duration::ZERO,
            exchange,
        };
        let pending = Pending { event, started: Instant::now(), shared: Arc::clone(&self.layer.shared) };
        AccessLogFuture { inner: self.inner.call(request), pending: Some(Box::new(pending)) }
    }
}

/// An event that is not written yet; dropping it writes it.
struct Pending {
    event: Event,
    started: Instant,
    shared: Arc<Shared>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.event.duration = self.started.elapsed();
        self.shared.writer.send(self.event.line(self.shared.format, &self.shared.redact));
    }
}

pin_project_lite::pin_project! {
    /// Future of [`AccessLog`].
    pub struct AccessLogFuture<F> {
        #[pin]
        inner: F,
        pending: Option<Box<Pending>>,
    }
}

impl<F> fmt::Debug for AccessLogFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessLogFuture")
    }
}

impl<F, E> Future for AccessLogFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let me = self.project();
        let polled = ready!(me.inner.poll(cx));
        let Some(mut pending) = me.pending.take() else { return Poll::Ready(polled) };
        let response = match polled {
            Ok(response) => response,
            Err(error) => {
                pending.event.status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
                return Poll::Ready(Err(error));
            }
        };
        let (head, body) = response.into_parts();
        pending.event.status = head.status.as_u16();
        let body = match body.as_bytes() {
            Some(bytes) => {
                // It is whole: the event can be written now and the body stays what it is.
                pending.event.bytes = bytes.len() as u64;
                body
            }
            None => Body::stream(Logged { body, pending }),
        };
        Poll::Ready(Ok(Response::from_parts(head, body)))
    }
}

/// A response body that counts its bytes; its end, or its drop, ends the event.
struct Logged {
    body: Body,
    pending: Box<Pending>,
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            self.pending.event.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
