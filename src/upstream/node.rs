//! The nodes of an upstream, and where they lead to at the moment.
use std::net::IpAddr;
#[cfg(feature = "client")]
use std::sync::Arc;

use super::endpoint::Endpoint;
#[cfg(feature = "client")]
use super::network::{Name, Network};

/// A node, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) source: Source,
    pub(crate) weight: u32,
    pub(crate) priority: i32,
}

/// What a node says of its endpoints.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// There is one, for ever.
    Fixed(Endpoint),
    /// As many as the name has addresses.
    #[cfg(feature = "client")]
    Named(NamedSource),
}

/// A node that is a name.
#[cfg(feature = "client")]
#[derive(Clone, Debug)]
pub(crate) struct NamedSource {
    pub(crate) name: Arc<Name>,
    pub(crate) network: Arc<Network>,
    /// All that makes a remote but its address.
    pub(crate) key: super::client::RemoteKey,
}

/// An endpoint that a node leads to.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) endpoint: Endpoint,
    /// If the node is a name.
    pub(crate) address: Option<IpAddr>,
    /// 0 = those that are used; more = when those before were tried.
    pub(crate) choice: u32,
}

impl Node {
    /// The endpoints now.
    pub(crate) fn places(&self) -> Vec<Place> {
        match &self.source {
            Source::Fixed(endpoint) => vec![Place { endpoint: endpoint.clone(), address: None, choice: 0 }],
            #[cfg(feature = "client")]
            Source::Named(named) => named.places(),
        }
    }

    /// Whether a name has not been looked up yet.
    pub(crate) fn is_pending(&self) -> bool {
        match &self.source {
            Source::Fixed(_) => false,
            #[cfg(feature = "client")]
            Source::Named(named) => named.name.is_pending(),
        }
    }

    /// The name that it is.
    #[cfg(feature = "client")]
    pub(crate) fn name(&self) -> Option<&Arc<Name>> {
        match &self.source {
            Source::Fixed(_) => None,
            Source::Named(named) => Some(&named.name),
        }
    }

    /// Whether both lead to the very same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.weight == other.weight
            && self.priority == other.priority
            && match (&self.source, &other.source) {
                (Source::Fixed(a), Source::Fixed(b)) => a.is_same(b),
                #[cfg(feature = "client")]
                (Source::Named(a), Source::Named(b)) => Arc::ptr_eq(&a.name, &b.name) && a.key == b.key,
                #[cfg(feature = "client")]
                _ => false,
            }
    }
}

#[cfg(feature = "client")]
impl NamedSource {
    fn places(&self) -> Vec<Place> {
        let Some(addresses) = self.name.addresses() else { return Vec::new() };
        // The family of the best address is used; the other one when none of it answers.
        let first = addresses.first().map(IpAddr::is_ipv6);
        addresses
            .iter()
            .filter_map(|address| {
                let remote = self.network.remote(&self.key.at(*address))?;
                let choice = u32::from(Some(address.is_ipv6()) != first);
                Some(Place { endpoint: Endpoint::Remote(remote), address: Some(*address), choice })
            })
            .collect()
    }
}
