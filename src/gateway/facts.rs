//! What is known of a request beside the request itself.
use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;

use super::arrival::Arrival;
use super::rewrite::Given;
use super::route::Route;
use super::target::Target;
use crate::ConnectInfo;
use crate::router::PathParams;

/// Which route a request belongs to: a request extension on routes with layers and for in-process endpoints.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteMatch {
    /// The route's id.
    pub route: Arc<str>,
    /// The pattern that matched, as written.
    pub pattern: Arc<str>,
    /// The captures of the path, percent-decoded when read.
    pub params: PathParams,
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
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) matched: Option<RouteMatch>,
    /// What the route's layers were given, when there are any.
    pub(crate) given: Option<Given>,
}

impl Facts {
    pub(super) fn new(
        connection: Option<ConnectInfo>,
        arrival: Arrival,
        target: Target,
        route: Option<Arc<Route>>,
        matched: Option<RouteMatch>,
    ) -> Self {
        Self { connection, arrival, raw_target: target.raw, path: target.path, route, matched, given: None }
    }

    /// The client's address.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        self.arrival.client
    }
}

/// [`Facts`] as a request extension.
#[derive(Clone)]
pub(crate) struct SharedFacts(pub(crate) Arc<Facts>);
