//! The members of an upstream.
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;

#[cfg(feature = "client")]
use super::client::Remote;
use super::service::ServiceEndpoint;

/// Where a request can go.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// Over the network.
    #[cfg(feature = "client")]
    Remote(Arc<Remote>),
    /// To a service of this process.
    Service(Arc<ServiceEndpoint>),
}

impl Endpoint {
    /// `host:port`, or `service name`.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            #[cfg(feature = "client")]
            Self::Remote(remote) => &remote.name,
            Self::Service(service) => &service.name,
        }
    }

    /// Its `Host` under `pass_host: node`; a service has none of its own.
    pub(crate) fn host(&self) -> Option<&HeaderValue> {
        match self {
            #[cfg(feature = "client")]
            Self::Remote(remote) => Some(&remote.host),
            Self::Service(_) => None,
        }
    }

    /// Where it is on the network.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            #[cfg(feature = "client")]
            Self::Remote(remote) => Some(remote.address()),
            Self::Service(_) => None,
        }
    }

    /// Whether both lead to the very same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            #[cfg(feature = "client")]
            (Self::Remote(a), Self::Remote(b)) => Arc::ptr_eq(a, b),
            (Self::Service(a), Self::Service(b)) => Arc::ptr_eq(a, b),
            #[cfg(feature = "client")]
            _ => false,
        }
    }
}
