//! What is known of an upstream's endpoints.
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Upstream;
use super::balance::HashKey;
use super::config::UpstreamKey;
use super::endpoint::Endpoint;
use super::health::{HealthConfig, HealthStatus};
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
    /// Requests that are there, if the balancer [counts them](super::balance::Balancer::counts_load).
    pub in_flight: u32,
    /// How long it takes of late, if the balancer [heeds that](super::balance::Balancer::heeds_latency).
    pub latency: Duration,
    /// Connections that wait for a request; over HTTP/2 those without a stream.
    pub idle_connections: usize,
    /// Whether no connection is kept for the time being, because the endpoint sent bytes that answered nothing
    /// (security.md UP-05b).
    pub quarantined: bool,
    /// What probes and requests say of it; `None` if nobody judges it.
    pub health: Option<HealthStatus>,
    /// Whether requests go there; all do when too few are usable.
    pub in_use: bool,
}

/// The state of one upstream.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct UpstreamStatus {
    /// The resource that holds it.
    pub key: UpstreamKey,
    /// How its endpoints are judged, if they are.
    pub health: Option<HealthConfig>,
    /// Each endpoint there is now, in the order of the configuration.
    pub endpoints: Vec<EndpointStatus>,
    /// Requests in flight.
    pub active_requests: usize,
    /// Requests that did not have what is hashed, and went by the client's address.
    pub hash_misses: u64,
    /// Requests that wait for one of those to end.
    pub waiting_requests: usize,
    /// How many requests may be in flight now ([`Upstream::request_limit`]).
    pub request_limit: usize,
}

impl Upstream {
    /// The state of each endpoint there is now, in the order of the configuration.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointStatus> + use<> {
        let (set, now) = (self.set.load(), Instant::now());
        let status = |(index, slot): (usize, &Slot)| {
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
                in_flight: slot.member.load.in_flight(),
                latency: slot.member.load.latency().at(now),
                idle_connections,
                quarantined,
                health: self.health.as_ref().map(|_| slot.state.health().status()),
                in_use: set.groups.uses(index),
            }
        };
        set.slots.iter().enumerate().map(status).collect::<Vec<_>>().into_iter()
    }

    /// All that is known of it now.
    pub fn status(&self) -> UpstreamStatus {
        UpstreamStatus {
            key: self.config.key.clone(),
            health: self.config.health.clone(),
            endpoints: self.endpoints().collect(),
            active_requests: self.active_requests(),
            hash_misses: self.hash_misses(),
            waiting_requests: self.waiting_requests(),
            request_limit: self.request_limit(),
        }
    }

    /// Requests that did not have what [`UpstreamConfig::hash`](super::UpstreamConfig::hash) reads, and went by the client's
    /// address.
    pub fn hash_misses(&self) -> u64 {
        self.config().hash.as_ref().map_or(0, HashKey::missing)
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
