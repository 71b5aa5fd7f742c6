//! A limiter as a hop of a chain, and as a layer of any tower stack.
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::Body as HttpBody;
use tower::{Layer, Service};

use crate::body::BoxError;
use crate::error::{Request, Response};
use crate::{Body, BoxFuture, Next, NextFuture, PluginLayer};

/// The decision of a limiter and what follows from it. A limiter that lets a request pass and has nothing to do afterwards
/// hands out the future of the rest of the chain, so that its hop costs no allocation.
pub trait Limiter: Send + Sync + 'static {
    /// Answers a request, most often by `next.run(request)`.
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture;
}

/// Puts a limiter before a service. A clone shares the limiter and its counters.
pub struct LimiterLayer<L>(Arc<L>);

impl<L: Limiter> LimiterLayer<L> {
    /// The layer of a limiter.
    pub fn of(limiter: L) -> Self {
        Self(Arc::new(limiter))
    }

    /// The limiter.
    pub fn limiter(&self) -> &Arc<L> {
        &self.0
    }

    fn before(&self, next: Next) -> Next {
        let limiter = Arc::clone(&self.0);
        Next::from_call(move |request| limiter.run(request, &next))
    }
}

impl<L> Clone for LimiterLayer<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> fmt::Debug for LimiterLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LimiterLayer<{}>", std::any::type_name::<L>())
    }
}

impl<L: Limiter> From<LimiterLayer<L>> for PluginLayer {
    fn from(layer: LimiterLayer<L>) -> Self {
        Self::from_fn(move |next| layer.before(next))
    }
}

impl<S, L, B> Layer<S> for LimiterLayer<L>
where
    L: Limiter,
    S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Service = Limited;

    fn layer(&self, inner: S) -> Limited {
        Limited(self.before(Next::new(inner)))
    }
}

/// Service made by [`LimiterLayer`]. An error of the inner service has become an answer, see [`Next::new`].
#[derive(Clone, Debug)]
pub struct Limited(Next);

impl<B> Service<http::Request<B>> for Limited
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = NextFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> NextFuture {
        self.0.call(request.map(Body::new))
    }
}
