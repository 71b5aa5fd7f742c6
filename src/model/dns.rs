//! [`DnsSettings`]: how the names of nodes are looked up.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::Seconds;
use super::check::shape::{Field, List, Rule, Shape, Struct, Text};
use super::check::walk::Walk;

/// How the names of nodes are looked up, `tollgate.dns`. Times in seconds, fractions allowed.
///
/// `servers`, `timeout`, `attempts`, `addresses`, `search` and `hosts_file` need the feature `dns`, and are for nothing
/// where the program brings a resolver of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DnsSettings {
    /// Name servers in the order in which they are asked: an address, or address and port; the port is 53 otherwise.
    /// Default: those of `/etc/resolv.conf`.
    #[serde(deserialize_with = "servers")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub servers: Vec<SocketAddr>,
    /// How long one server may take for one question. Default 2.
    pub timeout: Seconds,
    /// How often all servers are gone through before a look-up has failed, 1–10. Default 2.
    pub attempts: u32,
    /// Which addresses are looked up. Default `both`, IPv4 first.
    pub addresses: DnsAddresses,
    /// Whether the search domains of `/etc/resolv.conf` are tried. Default `false`: each name is whole.
    pub search: bool,
    /// Whether the hosts file is looked at first. Default `true`.
    pub hosts_file: bool,
    /// No answer is asked for again sooner, whatever time it says that it holds. Default 1.
    pub min_ttl: Seconds,
    /// Every answer is asked for again after this time, even one that says that it holds longer. Default 300.
    pub max_ttl: Seconds,
    /// How long the last good answer is used while no new one can be had. Unset: without end, so that an outage of the
    /// DNS stays one of the DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stale: Option<Seconds>,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout: Seconds(2.0),
            attempts: 2,
            addresses: DnsAddresses::default(),
            search: false,
            hosts_file: true,
            min_ttl: Seconds(1.0),
            max_ttl: Seconds(300.0),
            max_stale: None,
        }
    }
}

impl DnsSettings {
    /// [`DnsSettings::max_stale`] as a [`Duration`].
    pub fn max_stale(&self) -> Option<Duration> {
        self.max_stale.map(Seconds::duration)
    }
}

/// Which addresses of a name are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DnsAddresses {
    /// IPv4 and IPv6, IPv4 first.
    #[default]
    Both,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

/// `10.0.0.2`, `10.0.0.2:5353`, `::1`, `[::1]`, `[::1]:5353`.
fn server(text: &str) -> Option<SocketAddr> {
    let with_port = || text.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().map(|address: IpAddr| SocketAddr::new(address, 53)).or_else(with_port)
}

const EXPECTED: &str = "an address, or address and port, such as 10.0.0.2, 10.0.0.2:5353 or [::1]:53";

fn servers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let read = |text: String| server(&text).ok_or_else(|| serde::de::Error::custom(format!("write {EXPECTED}")));
    texts.into_iter().map(read).collect()
}

const SERVER: Rule = Rule { holds: |text| server(text).is_some(), expects: EXPECTED };

pub(crate) const DNS: Shape = Shape::Struct(
    &Struct::new(&[
        Field::new(
            "servers",
            Shape::List(&List {
                of: Shape::Text(Text { min: 1, max: 64, rule: Some(&SERVER) }),
                min: 0,
                max: 16,
                unique: true,
            }),
        ),
        Field::new("timeout", Shape::Above(0.0)),
        Field::new("attempts", Shape::Int(1, 10)),
        Field::new("addresses", Shape::Word(&["both", "ipv4", "ipv6"])),
        Field::new("search", Shape::Bool),
        Field::new("hosts_file", Shape::Bool),
        Field::new("min_ttl", Shape::Above(0.0)),
        Field::new("max_ttl", Shape::Above(0.0)),
        Field::new("max_stale", Shape::From(0.0)),
    ])
    .with_rule(bounds),
);

fn bounds<'v>(dns: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let default = DnsSettings::default();
    let number = |name, default: Seconds| dns.get(name).map_or(Some(default.0), Value::as_f64);
    let (Some(min), Some(max)) = (number("min_ttl", default.min_ttl), number("max_ttl", default.max_ttl)) else {
        return;
    };
    if min > max {
        walk.under("min_ttl", |walk| {
            walk.error(format!("is more than max_ttl, {max}"), "write at most that, or more for `max_ttl`");
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_are_addresses_with_or_without_a_port() {
        for (text, address) in [
            ("10.0.0.2", Some("10.0.0.2:53")),
            ("10.0.0.2:5353", Some("10.0.0.2:5353")),
            ("::1", Some("[::1]:53")),
            ("[::1]", Some("[::1]:53")),
            ("[::1]:54", Some("[::1]:54")),
            ("10.0.0.2:0", None),
            ("ns.test", None),
            ("", None),
        ] {
            assert_eq!(server(text), address.map(|address| address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let read: DnsSettings = serde_json::from_value(json!({"servers": ["10.0.0.2"], "max_stale": 60})).unwrap();
        assert_eq!(read.servers, [SocketAddr::from(([10, 0, 0, 2], 53))]);
        assert_eq!(read.max_stale(), Some(Duration::from_secs(60)));
        let again: DnsSettings = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}
