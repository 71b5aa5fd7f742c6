//! Sets of addresses and networks.
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::IpOrCidr;
use crate::plugin::ConfigError;

/// A set of addresses and networks. A look-up halves a sorted list of ranges, so ten thousand networks cost 14 steps.
///
/// IPv4 addresses that are written as IPv6 (`::ffff:192.0.2.1`) are the IPv4 addresses, in the set as in what is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Networks {
    /// Reads the addresses and networks of a field.
    ///
    /// # Errors
    /// The first that is none.
    pub(super) fn parse(plugin: &'static str, field: &str, texts: &[String]) -> Result<Self, ConfigError> {
        let mut networks = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let network = text.parse::<IpOrCidr>();
            networks.push(network.map_err(|_| {
                ConfigError::invalid(plugin, format!("{field}.{index}"), format!("invalid ip address: {text}"))
            })?);
        }
        Ok(networks.into_iter().map(IpOrCidr::network).collect())
    }

    /// Whether an address is in the set.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => is_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_in(&self.v6, address.to_bits()),
        }
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match (network.network().to_canonical(), network.broadcast().to_canonical()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                // A network holds all of the IPv4-mapped addresses, and more than these, or none of them.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                    if let IpNet::V6(network) = network {
                        v6.push((network.network().to_bits(), network.broadcast().to_bits()));
                    }
                }
            }
        }
        Self { v4: disjoint(v4), v6: disjoint(v6) }
    }
}

/// The same ranges, in order, those that overlap joined to one.
fn disjoint<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    ranges.dedup_by(|(first, last), (_, end)| {
        let overlaps = *first <= *end;
        if overlaps {
            *end = (*end).max(*last);
        }
        overlaps
    });
    ranges.into()
}

fn is_in<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let begun = ranges.partition_point(|(first, _)| *first <= address);
    let nearest = begun.checked_sub(1).and_then(|index| ranges.get(index));
    nearest.is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::parse("p", "f", &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn addresses_and_networks_of_both_families() {
        let set = networks(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.0.2.7",
            "192.0.2.9/31",
            "2001:db8::/32",
            "::1",
            "::ffff:198.51.100.0/120",
        ]);
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "10.1.2.3",
            "192.0.2.7",
            "192.0.2.8",
            "192.0.2.9",
            "2001:db8::ffff",
            "::1",
            "::ffff:10.9.9.9",
            "198.51.100.200",
        ] {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.10", "2001:db9::", "::2", "198.51.101.0"] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!networks(&["::/0"]).contains("10.0.0.1".parse().unwrap()));
        assert!(networks(&["0.0.0.0/0"]).contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!Networks::default().contains("::".parse().unwrap()));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["", "10.0.0", "10.0.0.0/33", "::/129", "example.org", "10.0.0.1:80", " 10.0.0.1"] {
            let error = Networks::parse("p", "f", &["::1".to_owned(), text.to_owned()]).unwrap_err();
            assert_eq!(error.field(), "f.1");
            assert!(error.to_string().ends_with(&format!("invalid ip address: {text}")), "{error}");
        }
    }

    fn network() -> impl Strategy<Value = IpNet> {
        // Few distinct bits, so that networks meet each other.
        let v4 = (any::<u8>(), 0..=32u8).prop_map(|(bits, prefix)| {
            IpNet::new(IpAddr::V4((u32::from(bits) << 24 | u32::from(bits)).into()), prefix).unwrap()
        });
        let v6 = (any::<u8>(), 0..=128u8).prop_map(|(bits, prefix)| {
            IpNet::new(IpAddr::V6((u128::from(bits) << 120 | u128::from(bits)).into()), prefix).unwrap()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn a_set_holds_what_one_of_its_networks_holds(
            all in proptest::collection::vec(network(), 0..12),
            asked in network(),
        ) {
            let set: Networks = all.iter().copied().collect();
            for address in [asked.addr(), asked.network(), asked.broadcast()] {
                if address.to_canonical() == address {
                    let expected = all.iter().any(|network| network.contains(&address));
                    prop_assert_eq!(set.contains(address), expected);
                }
            }
        }
    }
}
