//! What is known of an upstream's endpoints.
use std::net::SocketAddr;
use std::sync::Arc;

use super::Upstream;
use super::endpoint::Endpoint;
use super::set::Slot;

/// The state of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// `host:port` as configured, or `service name`. Each address of a name is an endpoint of that name.
    pub name: Arc<str>,
    /// Its address on the network.
    pub address: Option<SocketAddr>,
    /// Its share within its priority.
    pub weight: u32,
    /// Its priority.
    pub priority: i32,
    /// Connections that wait for a request; over HTTP/2 those without a stream.
    pub idle_connections: usize,
    /// Whether no connection is kept for the time being, because the endpoint sent bytes that answered nothing
    /// (security.md UP-05b).
    pub quarantined: bool,
}

impl Upstream {
    /// The state of each endpoint there is now, in the order of the configuration.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointStatus> + use<> {
        let set = self.set.load();
        let status = |slot: &Slot| {
            let (idle_connections, quarantined) = match &slot.endpoint {
                #[cfg(feature = "client")]
                Endpoint::Remote(remote) => (remote.idle_len(), remote.is_quarantined()),
                Endpoint::Service(_) => (0, false),
            };
            EndpointStatus {
                name: Arc::clone(&slot.member.name),
                address: slot.endpoint.address(),
                weight: slot.member.weight,
                priority: slot.rank.priority(),
                idle_connections,
                quarantined,
            }
        };
        set.slots.iter().map(status).collect::<Vec<_>>().into_iter()
    }

    /// Requests in flight.
    pub fn active_requests(&self) -> usize {
        self.admission.active()
    }

    /// Requests that wait for one of those to end.
    pub fn waiting_requests(&self) -> usize {
        self.admission.waiting()
    }

    /// How many requests may be in flight now: `max_requests`, or fewer where the limit follows latency
    /// ([`AdmissionConfig::adaptive`](super::AdmissionConfig::adaptive)).
    pub fn request_limit(&self) -> usize {
        self.admission.limit()
    }
}
