//! What becomes of a request, for layers that log or measure.
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Request extension of a layer that wants to know what the gateway did with the request: the layer puts one in and
/// keeps a clone, the gateway writes into it. Where no layer does so, nothing is recorded.
///
/// Unlike an extension of the response, it also tells of exchanges that end without one, because the client went away.
#[derive(Clone, Debug, Default)]
pub struct Exchange(Arc<Record>);

#[derive(Debug, Default)]
struct Record {
    route: OnceLock<Arc<str>>,
    upstream: OnceLock<Arc<str>>,
    consumer: Mutex<Option<Arc<str>>>,
}

impl Exchange {
    /// An exchange of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of the route that matched.
    pub fn route(&self) -> Option<&Arc<str>> {
        self.0.route.get()
    }

    /// The addresses of the endpoints that were tried, in order and separated by `, `; an endpoint of this process is
    /// `service NAME`, one whose address was not known yet `HOST:PORT`.
    pub fn upstream(&self) -> Option<&Arc<str>> {
        self.0.upstream.get()
    }

    /// The name of the consumer that was identified; of several the last one.
    pub fn consumer(&self) -> Option<Arc<str>> {
        self.0.consumer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records the consumer. The last one counts.
    pub fn set_consumer(&self, name: Arc<str>) {
        *self.0.consumer.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
    }

    /// Records the route. The first one stays.
    pub fn set_route(&self, id: Arc<str>) {
        let _ = self.0.route.set(id);
    }

    /// Records the endpoints, written as [`Exchange::upstream`] tells. The first ones stay.
    pub fn set_upstream(&self, addresses: impl Into<Arc<str>>) {
        let _ = self.0.upstream.set(addresses.into());
    }
}
