//! Plugins that wait, or change answers: [`Around`].
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::Body as HttpBody;
use tower::{Layer, Service};

use crate::body::BoxError;
use crate::error::{Request, Response};
use crate::{Body, BoxFuture, Next, NextFuture, PluginLayer};

/// A plugin as asynchronous code around the rest of the chain: it may wait, do I/O, read bodies and change the answer.
///
/// It costs a chain one allocation, for the future. What needs none of that is better a [`Gate`](super::Gate).
///
/// ```
/// use std::sync::Arc;
/// use http::HeaderValue;
/// use tollgate::plugin::{Around, AroundLayer};
/// use tollgate::{Next, Request, Response};
///
/// /// Names the server.
/// struct Named(HeaderValue);
///
/// impl Around for Named {
///     async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
///         let mut response = next.run(request).await;
///         response.headers_mut().insert("x-served-by", self.0.clone());
///         response
///     }
/// }
///
/// let layer = AroundLayer::of(Named(HeaderValue::from_static("edge-1")));
/// # let _ = layer;
/// ```
pub trait Around: Send + Sync + 'static {
    /// Answers a request, most often by `next.run(request).await`.
    fn handle(self: Arc<Self>, request: Request, next: Next) -> impl Future<Output = Response> + Send;
}

/// What a chain calls of a plugin that waits or changes answers: [`Around`] code with its future in a box. A plugin that
/// often decides at once implements this in place of `Around`, and hands out the future of the rest of the chain as it is:
/// then its hop costs no allocation.
pub trait Hop: Send + Sync + 'static {
    /// Answers a request, most often by `next.run(request)`.
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture;
}

impl<A: Around> Hop for A {
    fn run(self: &Arc<Self>, request: Request, next: &Next) -> BoxFuture {
        Box::pin(Arc::clone(self).handle(request, next.clone()))
    }
}

/// Puts [`Around`] code, or any [`Hop`], around a service. A clone shares it.
pub struct AroundLayer<A>(Arc<A>);

impl<A: Hop> AroundLayer<A> {
    /// The layer of the code.
    pub fn of(around: A) -> Self {
        Self(Arc::new(around))
    }

    /// The code.
    pub fn around(&self) -> &Arc<A> {
        &self.0
    }
}

impl<A> Clone for AroundLayer<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A> fmt::Debug for AroundLayer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AroundLayer<{}>", std::any::type_name::<A>())
    }
}

impl<A: Hop> From<AroundLayer<A>> for PluginLayer {
    fn from(layer: AroundLayer<A>) -> Self {
        Self::from_fn(move |next| around(&layer.0, next))
    }
}

/// The hop of a chain.
fn around<A: Hop>(around: &Arc<A>, next: Next) -> Next {
    let around = Arc::clone(around);
    Next::from_call(move |request| around.run(request, &next))
}

impl<S, A, B> Layer<S> for AroundLayer<A>
where
    A: Hop,
    S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Service = Surrounded;

    fn layer(&self, inner: S) -> Surrounded {
        Surrounded(around(&self.0, Next::new(inner)))
    }
}

/// Service made by [`AroundLayer`]. An error of the inner service has become an answer, see [`Next::new`].
#[derive(Clone, Debug)]
pub struct Surrounded(Next);

impl<B> Service<http::Request<B>> for Surrounded
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

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    struct Twice;

    impl Around for Twice {
        async fn handle(self: Arc<Self>, request: Request, next: Next) -> Response {
            let again = http::Request::builder().uri(request.uri().clone()).body(Body::empty()).unwrap_or_default();
            drop(next.run(request).await);
            next.run(again).await
        }
    }

    #[tokio::test]
    async fn code_stands_around_a_chain_and_a_foreign_service() {
        let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let end = Next::from_fn(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            async { Response::new(Body::from("end")) }
        });
        let layer = AroundLayer::of(Twice);
        assert_eq!(PluginLayer::from(layer.clone()).wrap(end.clone()).run(Request::default()).await.status(), 200);
        let foreign = layer.layer(end);
        assert_eq!(foreign.oneshot(http::Request::new(String::from("x"))).await.unwrap().status(), 200);
        assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 4);
    }
}
