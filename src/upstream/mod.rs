//! The upstream side: from a request to the response of an endpoint.
//!
//! [`Upstreams`] compiles each [`UpstreamConfig`] into an [`Upstream`]. [`Upstream::send`] lets a request in (or keeps it
//! waiting), asks the balancer for an endpoint, sends, and tries another endpoint where the rules allow it. An endpoint is
//! a place on the network (`client/`) or a tower service of this process ([`Endpoints`]).
//!
//! | file | idea |
//! |---|---|
//! | `config.rs`, `error.rs` | what it is told, what can go wrong |
//! | `registry.rs`, `dispatch.rs` | reloads; one request's way |
//! | `balance/` | which endpoint |
//! | `health/` | which endpoints are well |
//! | `node.rs`, `set.rs`, `state.rs` | where nodes lead to now, who may be picked, what is known of each |
//! | `network.rs`, `upkeep.rs` | names and places that upstreams share; what is done beside requests |
//! | `admission.rs`, `adaptive.rs`, `connection_limit.rs` | how many at once |
//! | `retry.rs`, `budget.rs`, `payload.rs`, `hedge.rs` | what is sent again, or twice, and how often |
//! | `deadline.rs` | how long in all |
//! | `service.rs`, `endpoint.rs`, `attempt.rs`, `watch.rs` | endpoints, one attempt, and what is noted of it |
//! | `status.rs`, `tower.rs` | what is known of endpoints; the upstream as a tower service |
//! | `client/`, `http2/` | connections, pool, exchange |
//! | `protocol.rs`, `tls/` | what is spoken on connections, and how they are secured |
//! | `names/`, `dns/` | what is known of names; looking them up by DNS itself |
pub mod balance;
pub mod health;

mod adaptive;
mod admission;
mod attempt;
mod budget;
#[cfg(feature = "client")]
mod client;
mod config;
#[cfg(feature = "client")]
mod connection_limit;
mod deadline;
mod dispatch;
#[cfg(feature = "dns")]
mod dns;
mod endpoint;
mod error;
mod forward;
mod hedge;
mod held;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "client")]
mod names;
#[cfg(feature = "client")]
mod network;
mod node;
mod payload;
mod protocol;
mod registry;
mod retry;
mod service;
mod set;
mod state;
mod status;
mod tls;
mod tower;
mod upkeep;
mod watch;

pub use adaptive::AdaptiveConfig;
pub(crate) use attempt::Outgoing;
pub use config::{
    AdmissionConfig, AnswerLimits, Keepalive, NodeConfig, PassHost, RetriedFailures, RetryConfig, Scheme, Target,
    Timeouts, UpstreamConfig, UpstreamKey,
};
pub use dispatch::Upstream;
#[cfg(feature = "dns")]
pub use dns::{AddressFamily, DnsConfig, DnsResolver};
pub use error::{Error, Side, UpstreamBuildError};
pub use forward::{ForwardContext, Forwarded};
#[cfg(feature = "client")]
pub use names::{Location, NamesConfig, Resolve, Resolved, SystemResolver};
pub use protocol::HttpVersion;
pub use registry::{Upstreams, UpstreamsBuilder};
pub use service::Endpoints;
pub use status::{EndpointStatus, UpstreamStatus};
#[cfg(all(feature = "callout", feature = "tls"))]
pub(crate) use tls::AnyCertificate;
#[cfg(all(feature = "etcd", feature = "tls"))]
pub(crate) use tls::Identities;
pub use tls::{ClientCertificate, TlsConfig};
pub use tower::UpstreamService;
