//! The gateway as a tower service.
use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{StatusCode, Version};
use http_body::Body as HttpBody;
use tokio::time::Sleep;
use tower::Service;

use super::Gateway;
use super::answer::{Answer, Form, ready, start};
use super::census::Followed;
use super::find::Found;
use super::forward::direct;
use super::handle::Inner;
#[cfg(feature = "hyper-server")]
use super::judge::upgrade_wish;
use crate::body::BoxError;
use crate::error::{Error, IntoResponse, Request, Response};
use crate::held::Counted;
use crate::service::BoxFuture;
use crate::{Body, ConnectInfo, Next, grpc};

/// The gateway for the requests of one connection: what [`Gateway::connection`] gives.
#[derive(Clone)]
pub struct Connection {
    inner: Arc<Inner>,
    info: ConnectInfo,
}

impl Connection {
    pub(super) fn new(inner: Arc<Inner>, info: ConnectInfo) -> Self {
        Self { inner, info }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.info.peer)
    }
}

/// Future of a [`Gateway`]'s answer.
pub struct ResponseFuture(BoxFuture);

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl<B> Service<http::Request<B>> for Gateway
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let info = ConnectInfo::of(request.extensions());
        ResponseFuture(self.0.enter(adopt(request), info, Origin::Host))
    }
}

impl<B> Service<http::Request<B>> for Connection
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let origin = match self.info.own_codec {
            true if request.version() < Version::HTTP_2 => Origin::Codec,
            true => Origin::Streams,
            false => Origin::Host,
        };
        ResponseFuture(self.inner.enter(adopt(request), Some(self.info.clone()), origin))
    }
}

/// Who read the request off the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Our HTTP/1 codec: the head is judged, hop-by-hop fields are off, the connection keeps the clocks.
    Codec,
    /// Our own HTTP/2: the same, but for the trailers of bodies.
    Streams,
    /// hyper in a host's server: the clocks are kept here, too.
    Host,
}

/// Request extension between the outermost layers and the gateway inside them.
#[derive(Clone)]
struct Entry {
    info: Option<ConnectInfo>,
    origin: Origin,
}

impl Inner {
    fn enter(self: &Arc<Self>, mut request: Request, info: Option<ConnectInfo>, origin: Origin) -> BoxFuture {
        start(|| match self.outer.get() {
            None => self.serve(request, info, origin),
            Some(outer) => {
                if let Some(info) = &info {
                    request.extensions_mut().insert(info.clone());
                }
                request.extensions_mut().insert(Entry { info, origin });
                let form = Form::of(grpc::is_call(&request), false);
                Box::pin(Answer::new(outer.run(request), form))
            }
        })
    }

    /// The end of the outermost layers. They hold the gateway weakly: it owns them.
    pub(super) fn behind_layers(self: &Arc<Self>) -> Next {
        let gateway = Arc::downgrade(self);
        Next::from_call(move |mut request| match gateway.upgrade() {
            None => ready(Error::Internal("gateway_gone").into_response()),
            Some(gateway) => {
                let entry = request.extensions_mut().remove::<Entry>();
                let entry = entry.unwrap_or(Entry { info: None, origin: Origin::Host });
                gateway.serve(request, entry.info, entry.origin)
            }
        })
    }

    /// Finds the route at once, so that the future holds no more than what is still to be done needs.
    fn serve(self: &Arc<Self>, mut request: Request, info: Option<ConnectInfo>, origin: Origin) -> BoxFuture {
        #[cfg(feature = "hyper-server")]
        let upgrade = match origin {
            Origin::Codec | Origin::Streams => None,
            Origin::Host => request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>().zip(upgrade_wish(&request)),
        };
        let live = self.live.load();
        let form = Form::of(grpc::is_call(&request), live.rules.problem);
        let found = self.find_route(&live, &mut request, info.as_ref(), origin);
        let deadline = live.rules.request_timeout;
        let part = live.running.enter();
        drop(live);
        let hosted = match origin {
            // The connection's own deadline covers it, and its own tunnel.
            Origin::Codec | Origin::Streams => None,
            Origin::Host => Some(Duty {
                deadline,
                #[cfg(feature = "hyper-server")]
                upgrade,
            }),
        };
        match found {
            Ok(Found::Direct(route, arrival)) => {
                finish(|| direct(route, request, info, arrival, Arc::clone(&self.via)), form, hosted, part)
            }
            Ok(Found::Chain(chain)) => finish(|| chain.run(request), form, hosted, part),
            Err(error) => finish(|| std::future::ready(error.into_response()), form, hosted, part),
        }
    }
}

/// What is the gateway's to do when the connection is another server's.
struct Duty {
    /// For the whole answer, up to its head.
    deadline: Duration,
    #[cfg(feature = "hyper-server")]
    upgrade: Option<(hyper::upgrade::OnUpgrade, crate::UpgradeWish)>,
}

pin_project_lite::pin_project! {
    /// An answer with that duty. Written out, since a block that awaits the answer would be twice its size.
    struct Hosted<F> {
        #[pin]
        answer: F,
        // Begun with the first wait: whoever calls need not be inside of a runtime, and what is there at once needs none.
        #[pin]
        clock: Option<Sleep>,
        duty: Duty,
    }
}

impl<F: Future<Output = Response>> Future for Hosted<F> {
    type Output = Response;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let mut me = self.project();
        #[cfg_attr(not(feature = "hyper-server"), expect(unused_mut, reason = "changed for upgrades only"))]
        let mut response = match me.answer.poll(cx) {
            Poll::Ready(response) => response,
            Poll::Pending => {
                if me.clock.is_none() {
                    me.clock.set(Some(tokio::time::sleep(me.duty.deadline)));
                }
                match me.clock.as_pin_mut().map(|clock| clock.poll(cx)) {
                    Some(Poll::Ready(())) => timed_out().into_response(),
                    Some(Poll::Pending) | None => return Poll::Pending,
                }
            }
        };
        #[cfg(feature = "hyper-server")]
        if let Some((upgrade, wish)) = me.duty.upgrade.take() {
            super::upgrade::join(upgrade, &wish, &mut response);
        }
        Poll::Ready(response)
    }
}

/// Boxes an answer; it is made in here, since handing it over would be a copy of two kilobytes.
fn finish<F>(answer: impl FnOnce() -> F, form: Form, hosted: Option<Duty>, part: Counted) -> BoxFuture
where
    F: Future<Output = Response> + Send + 'static,
{
    match hosted {
        // The connection catches panics, too, and keeps its own form of answers to them.
        None if form == Form::AsMade => Box::pin(Followed::new(answer(), part)),
        None => Box::pin(Answer::new(Followed::new(answer(), part), form)),
        Some(duty) => Box::pin(Answer::new(Hosted { answer: Followed::new(answer(), part), clock: None, duty }, form)),
    }
}

/// The request with the one type of body; one that has it is taken as it is.
fn adopt<B>(request: http::Request<B>) -> Request
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut slot = Some(request);
    let any: &mut dyn Any = &mut slot;
    if let Some(own) = any.downcast_mut::<Option<Request>>() {
        return own.take().unwrap_or_default();
    }
    slot.map(|request| request.map(Body::new)).unwrap_or_default()
}

fn timed_out() -> Error {
    Error::Upstream { status: StatusCode::GATEWAY_TIMEOUT, reason: "request_deadline", retry_after: None }
}
