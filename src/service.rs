//! Wiring: how tower services and layers become one callable chain.
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::Body as HttpBody;
use tower::{Layer, Service};

use crate::body::BoxError;
use crate::error::{Error, IntoResponse, Request, Response};
use crate::{Body, error};

/// A boxed future of a response.
pub type BoxFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The rest of a chain: a tower `Service` that is called by reference and never fails.
///
/// A clone is one reference count. A hop clones the one service behind it, awaits that clone's `poll_ready` and calls
/// it, so that concurrency limits and load shedding of unmodified tower layers count.
#[derive(Clone)]
pub struct Next(Arc<dyn Erased>);

trait Erased: Send + Sync {
    fn call(&self, request: Request) -> BoxFuture;
}

impl Next {
    /// Erases a service: the end of a chain, or a layer over the rest of it.
    ///
    /// An error of the service becomes an answer: 503 for tower's `Overloaded`, 504 for its `Elapsed`, else 500.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Hop(service)))
    }

    /// The end of a chain out of a plain async function.
    pub fn from_fn<F, Fut>(function: F) -> Self
    where
        F: Fn(Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response> + Send + 'static,
    {
        Self(Arc::new(FromFn(function)))
    }

    /// A hop out of a plain function that already makes the boxed future, such as a switch between two chains.
    pub fn from_call<F>(function: F) -> Self
    where
        F: Fn(Request) -> BoxFuture + Send + Sync + 'static,
    {
        Self(Arc::new(FromCall(function)))
    }

    /// Sends a request down the chain.
    pub fn run(&self, request: Request) -> BoxFuture {
        self.0.call(request)
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

impl Service<Request> for Next {
    type Response = Response;
    type Error = Infallible;
    type Future = NextFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> NextFuture {
        NextFuture(self.0.call(request))
    }
}

/// Future of [`Next`].
pub struct NextFuture(BoxFuture);

impl Future for NextFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for NextFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NextFuture")
    }
}

struct Hop<S>(S);

impl<S, B> Erased for Hop<S>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request) -> BoxFuture {
        let mut service = self.0.clone();
        Box::pin(async move {
            if let Err(error) = std::future::poll_fn(|cx| service.poll_ready(cx).map_err(Into::into)).await {
                return failed(error);
            }
            match service.call(request).await {
                Ok(response) => response.map(Body::new),
                Err(error) => failed(error.into()),
            }
        })
    }
}

struct FromFn<F>(F);

impl<F, Fut> Erased for FromFn<F>
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response> + Send + 'static,
{
    fn call(&self, request: Request) -> BoxFuture {
        Box::pin((self.0)(request))
    }
}

struct FromCall<F>(F);

impl<F> Erased for FromCall<F>
where
    F: Fn(Request) -> BoxFuture + Send + Sync + 'static,
{
    fn call(&self, request: Request) -> BoxFuture {
        (self.0)(request)
    }
}

/// The answer for an error that a foreign layer raised.
fn failed(error: BoxError) -> Response {
    let unavailable = |status, reason, retry_after| Error::Upstream { status, reason, retry_after };
    let error = if error.is::<tower::load_shed::error::Overloaded>() {
        unavailable(http::StatusCode::SERVICE_UNAVAILABLE, "overloaded", Some(1))
    } else if error.is::<tower::timeout::error::Elapsed>() {
        unavailable(http::StatusCode::GATEWAY_TIMEOUT, "layer_timeout", None)
    } else {
        error::Error::Internal("layer_failed")
    };
    error.into_response()
}

/// A layer with its types erased: what a plugin builds and a route keeps.
#[derive(Clone)]
pub struct PluginLayer(Arc<dyn Fn(Next) -> Next + Send + Sync>);

impl PluginLayer {
    /// Erases any layer over [`Next`] whose service is `Clone + Send + Sync`: our plugins, tower's and tower-http's.
    pub fn new<L, B>(layer: L) -> Self
    where
        L: Layer<Next> + Send + Sync + 'static,
        L::Service: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send,
        <L::Service as Service<Request>>::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(move |next| Next::new(layer.layer(next))))
    }

    /// A layer out of a plain function over the rest of the chain.
    pub fn from_fn(wrap: impl Fn(Next) -> Next + Send + Sync + 'static) -> Self {
        Self(Arc::new(wrap))
    }

    /// Puts the layer around the rest of a chain.
    pub fn wrap(&self, next: Next) -> Next {
        (self.0)(next)
    }
}

impl fmt::Debug for PluginLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PluginLayer")
    }
}

/// Builds a chain: `layers` from the outermost inwards, around `end`.
pub fn wire<'a>(layers: impl DoubleEndedIterator<Item = &'a PluginLayer>, end: Next) -> Next {
    layers.rev().fold(end, |next, layer| layer.wrap(next))
}

pin_project_lite::pin_project! {
    /// Future of a layer that either answers at once or calls what is behind it.
    #[derive(Debug)]
    pub struct RejectOr<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Reject { response: Option<Response> },
        Forward { #[pin] future: F },
    }
}

impl<F> RejectOr<F> {
    /// Answers without calling the inner service.
    pub fn reject(rejection: impl IntoResponse) -> Self {
        Self { state: State::Reject { response: Some(rejection.into_response()) } }
    }

    /// Waits for the inner service.
    pub fn forward(future: F) -> Self {
        Self { state: State::Forward { future } }
    }
}

impl<F, B, E> Future for RejectOr<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Forward { future } => {
                Poll::Ready(ready!(future.poll(cx)).map(|response| response.map(Body::new)))
            }
            StateProj::Reject { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower::ServiceBuilder;

    use super::*;

    fn end() -> Next {
        Next::from_fn(|_| async { Response::new(Body::from("end")) })
    }

    #[tokio::test]
    async fn layers_wrap_from_the_outside_in() {
        let mark = |name: &'static str| {
            PluginLayer::new(tower::util::MapResponseLayer::new(move |mut response: Response| {
                response.headers_mut().append("x-seen", http::HeaderValue::from_static(name));
                response
            }))
        };
        let layers = [mark("outer"), mark("inner")];
        let response = wire(layers.iter(), end()).run(Request::default()).await;
        let seen: Vec<_> = response.headers().get_all("x-seen").iter().collect();
        assert_eq!(seen, ["inner", "outer"]);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_of_foreign_layers_become_answers() {
        let slow = Next::from_fn(|_| async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            Response::default()
        });
        let timed = PluginLayer::new(ServiceBuilder::new().timeout(Duration::from_secs(1)).into_inner());
        assert_eq!(timed.wrap(slow.clone()).run(Request::default()).await.status(), 504);
        let limited = PluginLayer::new(ServiceBuilder::new().load_shed().concurrency_limit(1).into_inner()).wrap(slow);
        let (first, second) = tokio::join!(limited.run(Request::default()), limited.run(Request::default()));
        assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 503));
    }
}
