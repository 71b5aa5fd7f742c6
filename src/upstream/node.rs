//! The nodes of an upstream, and where they lead to at the moment.
use std::net::IpAddr;
#[cfg(feature = "client")]
use std::sync::Arc;

use super::endpoint::Endpoint;
#[cfg(feature = "client")]
use super::names::{Location, Name};
#[cfg(feature = "client")]
use super::network::Network;

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
    /// There is none: it is a name that gets no request, so it is not looked up.
    #[cfg(feature = "client")]
    Unused,
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
    /// Its share of the node's weight among the places of the same choice.
    pub(crate) weight: u32,
}

impl Node {
    /// The endpoints now.
    pub(crate) fn places(&self) -> Vec<Place> {
        match &self.source {
            Source::Fixed(endpoint) => vec![Place { endpoint: endpoint.clone(), address: None, choice: 0, weight: 1 }],
            #[cfg(feature = "client")]
            Source::Named(named) => named.places(),
            #[cfg(feature = "client")]
            Source::Unused => Vec::new(),
        }
    }

    /// Whether a name has not been looked up yet.
    pub(crate) fn is_pending(&self) -> bool {
        match &self.source {
            Source::Fixed(_) => false,
            #[cfg(feature = "client")]
            Source::Named(named) => named.name.is_pending(),
            #[cfg(feature = "client")]
            Source::Unused => false,
        }
    }

    /// Whether its endpoints may change.
    pub(crate) fn is_kept_up(&self) -> bool {
        match &self.source {
            Source::Fixed(_) => false,
            #[cfg(feature = "client")]
            Source::Named(_) => true,
            #[cfg(feature = "client")]
            Source::Unused => false,
        }
    }

    /// The name that it is.
    #[cfg(feature = "client")]
    pub(crate) fn name(&self) -> Option<&Arc<Name>> {
        match &self.source {
            Source::Fixed(_) | Source::Unused => None,
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
                (Source::Unused, Source::Unused) => true,
                #[cfg(feature = "client")]
                _ => false,
            }
    }
}

#[cfg(feature = "client")]
impl NamedSource {
    fn places(&self) -> Vec<Place> {
        let locations = self.name.locations();
        let choices = choices(&locations);
        let place = |(location, choice): (&Location, u32)| {
            let mut key = self.key.at(location.address);
            key.port = location.port.unwrap_or(key.port);
            if let Some(host) = &location.host {
                key.host = Arc::clone(host);
            }
            let endpoint = Endpoint::Remote(self.network.remote(&key)?);
            Some(Place { endpoint, address: Some(location.address), choice, weight: location.weight })
        };
        locations.iter().zip(choices).filter_map(place).collect()
    }
}

/// Which choice each location is: by its priority, and within that the family of the first address before the other one,
/// which is for when none of the first answers.
#[cfg(feature = "client")]
fn choices(locations: &[Location]) -> Vec<u32> {
    let first_family = locations.first().map(|first| first.address.is_ipv6());
    let mut priorities: Vec<_> = locations.iter().map(|location| location.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let choice = |location: &Location| {
        let rank = priorities.partition_point(|priority| *priority < location.priority);
        let other_family = u32::from(Some(location.address.is_ipv6()) != first_family);
        u32::try_from(2 * rank).unwrap_or(u32::MAX - 1) + other_family
    };
    locations.iter().map(choice).collect()
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;

    #[test]
    fn priorities_of_records_and_then_families_are_choices() {
        let location = |priority, v6| {
            let address = if v6 { IpAddr::from([0; 16]) } else { IpAddr::from([0; 4]) };
            Location { priority, ..Location::new(address) }
        };
        assert!(choices(&[]).is_empty());
        assert_eq!(choices(&[location(0, true), location(0, false)]), [0, 1]);
        let both = [location(10, false), location(10, true), location(20, false), location(65_535, true)];
        assert_eq!(choices(&both), [0, 1, 2, 5]);
    }
}
