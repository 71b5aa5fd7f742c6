//! What is known of an upstream's endpoints.
use std::sync::Arc;

use super::Upstream;
use super::endpoint::Endpoint;

/// The state of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// `host:port`, or `service name`.
    pub name: Arc<str>,
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
    /// The state of each endpoint, in the order of the configuration.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointStatus> {
        self.endpoints.iter().zip(&self.members).map(|(endpoint, (member, priority))| {
            let (idle_connections, quarantined) = match endpoint {
                #[cfg(feature = "client")]
                Endpoint::Remote(remote) => (remote.idle_len(), remote.is_quarantined()),
                Endpoint::Service(_) => (0, false),
            };
            EndpointStatus {
                name: Arc::clone(&member.name),
                weight: member.weight,
                priority: *priority,
                idle_connections,
                quarantined,
            }
        })
    }

    /// Requests in flight.
    pub fn active_requests(&self) -> usize {
        self.admission.active()
    }
}
