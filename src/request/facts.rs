//! What was found out about a request before its chain began.
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;

use super::{Arrival, Environment, Given};
use crate::ConnectInfo;
use crate::router::PathParams;

/// Which route a request belongs to, as layers of routes and endpoints of this process are told by [`RouteMatch::of`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteMatch {
    /// The route's id.
    pub route: Arc<str>,
    /// The pattern that matched, as written.
    pub pattern: Arc<str>,
    /// The host pattern that matched, as written; `None` on routes of any host.
    pub host: Option<Arc<str>>,
    /// The captures of the path, percent-decoded when read.
    pub params: PathParams,
}

impl RouteMatch {
    /// The match of a request that is in a gateway and has a route.
    pub fn of<B>(request: &http::Request<B>) -> Option<&Self> {
        let told = SharedFacts::of(request).and_then(|facts| facts.matched.as_ref());
        told.or_else(|| request.extensions().get())
    }
}

/// A route's identity, as variables tell it.
#[derive(Debug)]
pub(crate) struct RouteInfo {
    pub(crate) id: Arc<str>,
    pub(crate) name: Option<Arc<str>>,
    /// Its service's id and name.
    pub(crate) service: Option<(Arc<str>, Option<Arc<str>>)>,
}

/// Everything that the end of a chain and the variables need to know.
pub(crate) struct Facts {
    pub(crate) connection: Option<ConnectInfo>,
    pub(crate) arrival: Arrival,
    /// The target as sent, where the canonical one differs.
    pub(crate) raw_target: Option<Uri>,
    /// The path as plugins see it, where it differs from the path that is forwarded (compatible mode).
    pub(crate) path: Option<Box<[u8]>>,
    /// The route; `None` when none matched.
    pub(crate) route: Option<Arc<RouteInfo>>,
    pub(crate) matched: Option<RouteMatch>,
    /// What the route's layers were given, when there are any.
    pub(crate) given: Option<Given>,
    /// The configuration that the request began with.
    pub(crate) environment: Arc<Environment>,
}

impl Facts {
    /// The client's address on arrival; a layer may have found out a better one since.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.arrival.client
    }
}

/// [`Facts`] as a request extension.
#[derive(Clone)]
pub(crate) struct SharedFacts(pub(crate) Arc<Facts>);

impl SharedFacts {
    /// The facts of a request that is in a gateway.
    pub(crate) fn of<B>(request: &http::Request<B>) -> Option<&Facts> {
        request.extensions().get::<Self>().map(|shared| &*shared.0)
    }
}
