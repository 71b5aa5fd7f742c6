//! What requests are served with: one value behind one pointer.
use std::sync::Arc;

use http::HeaderName;

use super::chain::Block;
use super::route::{Chain, Route};
use super::settings::Rules;
use crate::held::Count;
use crate::plugin::Stage;
use crate::request::Environment;
use crate::router::Router;

/// A compiled configuration. A request looks at it once and keeps its route.
pub(crate) struct Live {
    /// Counts the configurations, from 1.
    pub(crate) revision: u64,
    pub(crate) router: Router<Arc<Route>>,
    pub(crate) rules: Arc<Rules>,
    /// The chain of requests without a route: the global rules.
    pub(crate) unrouted: Arc<Chain>,
    /// The chain of requests that are refused before a route is looked for: what watches, of the global rules.
    pub(crate) watching: Arc<Chain>,
    /// What layers read of the configuration.
    pub(crate) environment: Arc<Environment>,
    /// Fields that plugins tell upstreams who calls by, beside the usual ones.
    pub(crate) identity_fields: Arc<[HeaderName]>,
    /// What is demanded of clients.
    #[cfg(feature = "tls")]
    pub(crate) certificates: Arc<crate::tls::Edition>,
    /// What runs on it.
    pub(super) running: Arc<Count>,
}

impl Live {
    pub(crate) fn new(
        revision: u64,
        router: Router<Arc<Route>>,
        rules: Arc<Rules>,
        globals: Vec<Block>,
        environment: Arc<Environment>,
        identity_fields: Arc<[HeaderName]>,
        #[cfg(feature = "tls")] certificates: Arc<crate::tls::Edition>,
    ) -> Self {
        let watches = |block: &&Block| block.place.stage() == Stage::Observe;
        let watching = Arc::new(Chain::straight(globals.iter().filter(watches).cloned().collect()));
        let unrouted = Arc::new(Chain::straight(globals));
        Self {
            revision,
            router,
            rules,
            unrouted,
            watching,
            environment,
            identity_fields,
            #[cfg(feature = "tls")]
            certificates,
            running: Arc::new(Count::new()),
        }
    }
}
