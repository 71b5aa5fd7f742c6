//! An upstream as a tower service, for hosts that use it without the gateway.
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::EXPECT;
use tower::Service;

use super::{Error, ForwardContext, Upstream};
use crate::{ConnectInfo, Request, Response, UpgradeWish};

/// A balanced, retrying tower `Service` over the endpoints of one [`Upstream`].
///
/// It takes the fields of the hop off each request and sends the rest as it is. The client's address comes from a
/// [`ConnectInfo`] extension. An [`UpgradeWish`] extension is passed on only after
/// [`with_upgrades`](Self::with_upgrades).
///
/// It is always ready: admission is part of the call, so that a waiting request does not keep others from being refused.
#[derive(Clone, Debug)]
pub struct UpstreamService {
    upstream: Arc<Upstream>,
    upgrades: bool,
}

impl UpstreamService {
    /// The service over `upstream`.
    pub fn new(upstream: Arc<Upstream>) -> Self {
        Self { upstream, upgrades: false }
    }

    /// Lets clients upgrade their connection to whatever protocol they ask for. Default: none.
    #[must_use]
    pub fn with_upgrades(mut self) -> Self {
        self.upgrades = true;
        self
    }
}

impl Service<Request> for UpstreamService {
    type Response = Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        #[cfg(feature = "client")]
        crate::hop::strip_hop_by_hop(request.headers_mut());
        request.headers_mut().remove(EXPECT);
        let wish = request.extensions_mut().remove::<UpgradeWish>().filter(|_| self.upgrades);
        let client: Option<IpAddr> = request.extensions().get::<ConnectInfo>().map(ConnectInfo::ip);
        let upstream = Arc::clone(&self.upstream);
        Box::pin(async move {
            let upgrade = wish.as_ref().map(|wish| &wish.0);
            upstream.send(request, ForwardContext { client, upgrade, ..ForwardContext::default() }).await
        })
    }
}
