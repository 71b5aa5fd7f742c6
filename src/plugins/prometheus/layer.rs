//! The layer: what it takes down when a request comes, and counts when its answer has ended.
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::config::PrometheusConfig;
use super::labels::{Masks, Node, Sought};
use super::meter::{Outcome, Source};
use super::metrics::Metrics;
use crate::error::{Request, Response};
use crate::plugin::{Around, AroundLayer};
use crate::request::{RequestVars, RouteInfo, SharedFacts};
use crate::{Attempt, Body, BodyError, Exchange, Fault, Next};

/// Status of a request whose client went away before there was an answer.
const CLIENT_WENT_AWAY: u16 = 499;
/// Characters of an extra label's value that count.
const LONGEST_VALUE: usize = 128;

/// Counts requests. Made by [`Metrics::layer`].
pub struct Prometheus {
    metrics: Metrics,
    prefer_name: bool,
    masks: Masks,
}

/// Applies [`Prometheus`].
pub type PrometheusLayer = AroundLayer<Prometheus>;

impl Prometheus {
    pub(super) fn new(metrics: Metrics, config: &PrometheusConfig, masks: Masks) -> Self {
        Self { metrics, prefer_name: config.prefer_name, masks }
    }

    /// The values of the extra labels; no allocation where there are none.
    fn extra(&self, request: &Request) -> Box<[Box<str>]> {
        let plan = self.metrics.0.plan();
        if plan.extra.is_empty() {
            return Box::default();
        }
        let vars = RequestVars::of(request);
        let value =
            |text: Vec<u8>| String::from_utf8_lossy(&text).chars().take(LONGEST_VALUE).collect::<String>().into();
        plan.extra.iter().map(|extra| value(extra.value.render(&vars).text)).collect()
    }

    fn route<'a>(&self, route: &'a RouteInfo) -> &'a str {
        let name = route.name.as_deref().filter(|_| self.prefer_name);
        name.unwrap_or(&route.id)
    }

    fn service<'a>(&self, route: &'a RouteInfo) -> &'a str {
        let Some((id, name)) = &route.service else { return "" };
        name.as_deref().filter(|_| self.prefer_name).unwrap_or(id)
    }
}

impl fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

impl Around for Prometheus {
    fn handle(self: Arc<Self>, mut request: Request, next: Next) -> impl Future<Output = Response> + Send {
        let pending = Pending::begin(self, &mut request);
        // Called at once, so that the future holds no request.
        let answer = next.run(request);
        async move { pending.answered(answer.await) }
    }
}

/// A request that is under way. Dropping it counts it.
struct Pending {
    prometheus: Arc<Prometheus>,
    facts: Option<SharedFacts>,
    exchange: Exchange,
    /// Which layer of these around the request it is, from the outside.
    layer: u32,
    extra: Box<[Box<str>]>,
    begun: Instant,
    /// From the beginning to the head of the answer.
    head_after: Option<Duration>,
    code: u16,
    faulty: bool,
    received: u64,
    /// Bytes of a request body that is a stream.
    streamed: Option<Arc<AtomicU64>>,
    sent: u64,
}

impl Pending {
    fn begin(prometheus: Arc<Prometheus>, request: &mut Request) -> Self {
        let begun = Instant::now();
        let target = request.uri().path_and_query().map_or(1, |target| target.as_str().len());
        let line = request.method().as_str().len() + target + " HTTP/1.1\r\n".len() + 1;
        let extra = prometheus.extra(request);
        let mut pending = Self {
            facts: request.extensions().get::<SharedFacts>().cloned(),
            exchange: request.extensions_mut().get_or_insert_default::<Exchange>().clone(),
            layer: 0,
            extra,
            prometheus,
            begun,
            head_after: None,
            code: CLIENT_WENT_AWAY,
            faulty: true,
            received: head_bytes(line, request.headers()),
            streamed: None,
            sent: 0,
        };
        pending.layer = pending.exchange.measure();
        let body = request.body_mut();
        match body.as_bytes() {
            Some(bytes) => pending.received += bytes.len() as u64,
            None => {
                let seen = Arc::new(AtomicU64::new(0));
                pending.streamed = Some(Arc::clone(&seen));
                *body = Body::stream(Received { body: std::mem::take(body), seen });
            }
        }
        pending
    }

    /// Takes the answer's head down; its body is counted as it goes through.
    fn answered(mut self, response: Response) -> Response {
        let status = response.status();
        self.code = status.as_u16();
        self.faulty = response.extensions().get::<Fault>().is_some();
        let line = "HTTP/1.1 200 \r\n".len() + status.canonical_reason().map_or(0, str::len);
        self.sent = head_bytes(line, response.headers());
        if let Some(bytes) = response.body().as_bytes() {
            // It is whole: the request ends here and the body stays what it is.
            self.sent += bytes.len() as u64;
            return response;
        }
        self.head_after = Some(self.begun.elapsed());
        response.map(|body| Body::stream(Sent { body, pending: Box::new(self) }))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.exchange.measured_by() != self.layer {
            // A layer inside counts the request: a consumer's own block, which the outer one gives way to.
            return;
        }
        let now = Instant::now();
        let request = now.saturating_duration_since(self.begun);
        let last = self.exchange.attempts().last();
        let upstream = last.map(|_| {
            let to_head: Duration = self.exchange.attempts().map(|attempt| attempt.took).sum();
            to_head + self.head_after.map_or(Duration::ZERO, |head_after| request.saturating_sub(head_after))
        });
        let streamed = self.streamed.as_ref().map_or(0, |seen| seen.load(Relaxed));
        let outcome = Outcome {
            code: self.code,
            source: if self.faulty || last.is_none() { Source::Gateway } else { Source::Upstream },
            request,
            upstream,
            ingress: self.received + streamed,
            egress: self.sent,
        };
        let facts = self.facts.as_ref().map(|SharedFacts(facts)| &**facts);
        let route = facts.and_then(|facts| facts.route.as_deref());
        let matched = facts.and_then(|facts| facts.matched.as_ref());
        let consumer = self.exchange.consumer();
        let sought = Sought {
            // An outermost layer comes before the route is known.
            route: route
                .map_or_else(|| self.exchange.route().map_or("", |id| id), |route| self.prometheus.route(route)),
            uri: matched.map_or("", |matched| &matched.pattern),
            host: matched.and_then(|matched| matched.host.as_deref()).unwrap_or(""),
            service: route.map_or("", |route| self.prometheus.service(route)),
            consumer: consumer.as_deref().unwrap_or(""),
            node: last.map_or(Node::None, node),
            extra: &self.extra,
            masks: self.prometheus.masks,
        };
        self.prometheus.metrics.0.record(sought.wanted(), &outcome, now);
    }
}

fn node(attempt: &Attempt) -> Node<'_> {
    match attempt.address {
        Some(address) => Node::Address(address.ip()),
        None if attempt.endpoint.starts_with("service ") => Node::Named(&attempt.endpoint),
        None => Node::Named(attempt.endpoint.rsplit_once(':').map_or(&attempt.endpoint, |(host, _)| host)),
    }
}

/// The bytes of a head whose first line has so many.
fn head_bytes(line: usize, headers: &HeaderMap) -> u64 {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    (line + fields.sum::<usize>() + "\r\n".len()) as u64
}

/// A request body that counts its bytes.
struct Received {
    body: Body,
    seen: Arc<AtomicU64>,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.seen.fetch_add(data_bytes(frame.as_ref()), Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A response body that counts its bytes; its end, or its drop, ends the request.
struct Sent {
    body: Body,
    pending: Box<Pending>,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.pending.sent += data_bytes(frame.as_ref());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn data_bytes(frame: Option<&Result<Frame<Bytes>, BodyError>>) -> u64 {
    let data = frame.and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
    data.map_or(0, |data| data.len() as u64)
}
