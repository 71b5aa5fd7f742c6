//! Plugins that decide at once: [`Gate`].
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::Body as HttpBody;
use tower::{Layer, Service};

use crate::body::BoxError;
use crate::error::Response;
use crate::{Body, Next, PluginLayer, RejectOr};

/// A plugin that needs nothing but the request, and no time: it lets the request pass, changed or not, or answers it.
///
/// Most plugins are of this form. It costs a chain no allocation, and the decision can be tested without a runtime.
///
/// ```
/// use http::{Request, StatusCode};
/// use tollgate::plugin::{Gate, GateLayer};
/// use tollgate::{Response, reject};
///
/// /// Lets nobody write.
/// struct ReadOnly;
///
/// impl Gate for ReadOnly {
///     fn check<B>(&self, request: &mut Request<B>) -> Result<(), Response> {
///         match request.method().is_safe() {
///             true => Ok(()),
///             false => Err(reject(StatusCode::FORBIDDEN, "read-only", "Only reading is allowed")),
///         }
///     }
/// }
///
/// let layer = GateLayer::of(ReadOnly); // for `Route::layer`, an axum router, a `ServiceBuilder`, …
/// # let _ = layer;
/// ```
pub trait Gate: Send + Sync + 'static {
    /// Judges a request.
    ///
    /// # Errors
    /// The answer, if the request is not to go on.
    fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response>;
}

/// Puts a [`Gate`] before a service. A clone shares the gate.
pub struct GateLayer<G>(Arc<G>);

impl<G: Gate> GateLayer<G> {
    /// The layer of a gate.
    pub fn of(gate: G) -> Self {
        Self(Arc::new(gate))
    }

    /// The gate.
    pub fn gate(&self) -> &G {
        &self.0
    }
}

impl<G> Clone for GateLayer<G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<G> fmt::Debug for GateLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GateLayer<{}>", std::any::type_name::<G>())
    }
}

impl<S, G> Layer<S> for GateLayer<G> {
    type Service = Gated<S, G>;

    fn layer(&self, inner: S) -> Gated<S, G> {
        Gated { inner, gate: Arc::clone(&self.0) }
    }
}

impl<G: Gate> From<GateLayer<G>> for PluginLayer {
    fn from(layer: GateLayer<G>) -> Self {
        // A hop is the decision and a call: there is nothing to clone and no future of its own to be boxed.
        Self::from_fn(move |next: Next| {
            let gate = Arc::clone(&layer.0);
            Next::from_call(move |mut request| match gate.check(&mut request) {
                Ok(()) => next.run(request),
                Err(response) => Box::pin(std::future::ready(response)),
            })
        })
    }
}

/// Service made by [`GateLayer`].
pub struct Gated<S, G> {
    inner: S,
    gate: Arc<G>,
}

impl<S: Clone, G> Clone for Gated<S, G> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), gate: Arc::clone(&self.gate) }
    }
}

impl<S: fmt::Debug, G> fmt::Debug for Gated<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gated").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, G, B, R> Service<http::Request<B>> for Gated<S, G>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    G: Gate,
    R: HttpBody + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = RejectOr<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        match self.gate.check(&mut request) {
            Ok(()) => RejectOr::forward(self.inner.call(request)),
            Err(response) => RejectOr::reject(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::ServiceExt as _;

    use super::*;

    struct Odd;

    impl Gate for Odd {
        fn check<B>(&self, request: &mut http::Request<B>) -> Result<(), Response> {
            request.headers_mut().insert("x-seen", http::HeaderValue::from_static("1"));
            if request.uri().path().len().is_multiple_of(2) {
                Ok(())
            } else {
                Err(crate::reject(http::StatusCode::FORBIDDEN, "odd", "odd"))
            }
        }
    }

    #[tokio::test]
    async fn a_gate_stands_in_a_chain_and_in_a_foreign_stack() {
        let layer = GateLayer::of(Odd);
        let end = Next::from_fn(|request| async move {
            assert!(request.headers().contains_key("x-seen"));
            Response::new(Body::from("end"))
        });
        let chain = PluginLayer::from(layer.clone()).wrap(end);
        let ask = |path: &str| http::Request::builder().uri(path).body(Body::empty()).unwrap();
        assert_eq!(chain.run(ask("/a")).await.status(), 200);
        assert_eq!(chain.run(ask("/")).await.status(), 403);
        let foreign = tower::service_fn(|_: http::Request<String>| async {
            Ok::<_, Infallible>(http::Response::new("foreign".to_owned()))
        });
        let service = layer.layer(foreign);
        let response = service.oneshot(http::Request::builder().uri("/a").body(String::new()).unwrap()).await.unwrap();
        assert_eq!(response.into_body().buffer(9).await.unwrap(), "foreign");
    }
}
