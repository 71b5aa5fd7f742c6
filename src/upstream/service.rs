//! Endpoints inside the process: tower services by name.
use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use http_body::Body as HttpBody;
use tower::{Layer as _, Service};
use tower_http::map_response_body::MapResponseBodyLayer;

use crate::{Body, BoxError, Next, Request, Response};

/// The tower services that nodes may name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Arc<HashMap<String, Arc<ServiceEndpoint>>>);

impl Endpoints {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service under `name`, in place of one of that name. Any body that it answers with will do.
    ///
    /// It may fail in [`Next`]'s ways; a panic becomes a 500 for that request alone (security.md PAN-01).
    #[must_use]
    pub fn with<S, B>(mut self, name: impl Into<String>, service: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let name = name.into();
        let next = Next::new(MapResponseBodyLayer::new(Body::new::<B>).layer(service));
        let endpoint = ServiceEndpoint { name: format!("service {name}").into(), next };
        Arc::make_mut(&mut self.0).insert(name, Arc::new(endpoint));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<ServiceEndpoint>> {
        self.0.get(name)
    }
}

/// One such service.
pub(crate) struct ServiceEndpoint {
    /// `service name`.
    pub(crate) name: Arc<str>,
    next: Next,
}

/// The service panicked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicked;

impl ServiceEndpoint {
    /// Calls the service.
    pub(crate) async fn call(&self, request: Request) -> Result<Response, Panicked> {
        // The state behind an unwind is never looked at again: the future is dropped with this call.
        let future = catch_unwind(AssertUnwindSafe(|| self.next.run(request)));
        let mut future = future.map_err(|_| Panicked)?;
        poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        })
        .await
    }
}

impl fmt::Debug for ServiceEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
