//! [`NodeSpec`]: one endpoint of an upstream, and the two wire forms of a list of them.
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::Host;
use super::check::shape::{Dict, Either, Field, List, PORT, Rule, Shape, Struct, Text, is_reference, text};
use super::check::walk::Walk;
use super::plugin::FREE;

/// An endpoint: a network address, or a service of the host program (upstream.md §2).
///
/// Exactly one of `host` and `service`. In files nodes may also stand as a map `host[:port]` → weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NodeSpec {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// 1–65535. Unset: 80 for `http` and `grpc`, 443 for `https` and `grpcs`; L4 schemes need one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// **Extension.** Name of an in-process endpoint that the host program registered, 1–256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Arc<str>>,
    /// Its share; 0 takes no traffic. Required on the wire; 1 in code.
    pub weight: u32,
    /// Group, −2147483648 to 2147483647; the highest that has a usable node is used. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    /// Free data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

impl Default for NodeSpec {
    fn default() -> Self {
        Self { host: None, port: None, service: None, weight: 1, priority: 0, metadata: None }
    }
}

impl NodeSpec {
    /// A network endpoint of weight 1.
    pub fn host(host: impl Into<Host>, port: u16) -> Self {
        Self { host: Some(host.into()), port: Some(port), ..Self::default() }
    }

    /// An in-process endpoint of weight 1: the service that the host program registered as `name`.
    pub fn service(name: impl Into<Arc<str>>) -> Self {
        Self { service: Some(name.into()), ..Self::default() }
    }

    /// Sets its share.
    #[must_use]
    pub const fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets its group.
    #[must_use]
    pub const fn with_priority(mut self, priority: i64) -> Self {
        self.priority = priority;
        self
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Reads both wire forms.
pub(super) fn from_wire<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<NodeSpec>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        List(Vec<NodeSpec>),
        Map(BTreeMap<String, u32>),
    }
    Ok(match Option::<Wire>::deserialize(deserializer)? {
        None => None,
        Some(Wire::List(nodes)) => Some(nodes),
        Some(Wire::Map(nodes)) => {
            Some(nodes.into_iter().map(|(address, weight)| from_entry(&address, weight)).collect())
        }
    })
}

fn from_entry(address: &str, weight: u32) -> NodeSpec {
    let (host, port) = split(address).unwrap_or((address, None));
    NodeSpec { host: Some(Host::from(host)), port, weight, ..NodeSpec::default() }
}

/// Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart; `None` if the port is none, or an IPv6 address stands bare.
fn split(address: &str) -> Option<(&str, Option<u16>)> {
    let end =
        if address.starts_with('[') { address.find(']')? + 1 } else { address.find(':').unwrap_or(address.len()) };
    let (host, rest) = address.split_at_checked(end)?;
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':')?;
    let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0).map(|port| (host, Some(port)))
}

/// What a node's host must look like.
const NODE_HOST: Rule = Rule {
    holds: |text| match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
    },
    expects: "a host name, an IPv4 address, or an IPv6 address in brackets, without scheme and port",
};

const WEIGHT: Shape = Shape::Int(0, u32::MAX as i64);

const NODE: Struct = Struct::new(&[
    Field::new("host", Shape::Text(Text { min: 1, max: 255, rule: Some(&NODE_HOST) })),
    Field::new("port", PORT),
    Field::extension("service", text(256)),
    Field::required("weight", WEIGHT),
    Field::new("priority", Shape::Int(i64::MIN, i64::MAX)),
    Field::new("metadata", FREE),
])
.tolerant()
.with_rule(structure);

const LIST: List = List { of: Shape::Struct(&NODE), min: 0, max: usize::MAX, unique: false };
const ENTRY: Rule = Rule {
    holds: |text| split(text).is_some_and(|(host, _)| (NODE_HOST.holds)(host)),
    expects: "`host`, `host:port`, `[v6]` or `[v6]:port`, with a port from 1 to 65535",
};
const MAP: Dict = Dict { key: Text { min: 1, max: 262, rule: Some(&ENTRY) }, value: WEIGHT };

pub(crate) const NODES: Shape =
    Shape::Either(&Either { forms: &[Shape::List(&LIST), Shape::Dict(&MAP)], judge: judge_nodes });

fn judge_nodes<'v>(nodes: &'v Value, walk: &mut Walk<'_, 'v>) {
    match nodes {
        Value::Array(nodes) => walk.list(nodes, &LIST),
        Value::Object(_) => walk.value(nodes, &Shape::Dict(&MAP)),
        _ => walk.mismatch(nodes, &NODES),
    }
}

fn structure<'v>(node: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    match (node.contains_key("host"), node.contains_key("service")) {
        (true, true) => walk.error("has both host and service", "keep the one that is meant"),
        (false, false) => {
            walk.error("has neither host nor service", "write `host`, or `service` for an in-process endpoint");
        }
        (false, true) if node.contains_key("port") => {
            walk.error("has a port, but an in-process endpoint has none", "remove `port`");
        }
        _ => {}
    }
}

/// What tells nodes of one upstream apart, from the wire: group, and address with the port it will have.
pub(super) fn identities(nodes: &Value, default_port: Option<u16>) -> Vec<(i64, String)> {
    let address = |host: &str, port: Option<u16>| match port.or(default_port) {
        Some(port) => format!("{}:{port}", host.to_ascii_lowercase()),
        None => host.to_ascii_lowercase(),
    };
    let listed = |node: &Value| {
        let group = node.get("priority").and_then(Value::as_i64).unwrap_or(0);
        let port = node.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let text = |name| node.get(name).and_then(Value::as_str);
        match (text("host"), text("service")) {
            (Some(host), _) => Some((group, address(host, port))),
            (None, Some(service)) => Some((group, format!("service {service}"))),
            (None, None) => None,
        }
    };
    match nodes {
        Value::Array(nodes) => nodes.iter().filter_map(listed).collect(),
        Value::Object(nodes) => {
            let entries = nodes.keys().filter(|entry| !is_reference(entry));
            entries.filter_map(|entry| split(entry)).map(|(host, port)| (0, address(host, port))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether some node says no port.
pub(super) fn lack_port(nodes: &Value) -> bool {
    match nodes {
        Value::Array(nodes) => nodes.iter().any(|node| node.get("host").is_some() && node.get("port").is_none()),
        Value::Object(nodes) => nodes.keys().any(|entry| split(entry).is_some_and(|(_, port)| port.is_none())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_apart() {
        for (address, parts) in [
            ("a.test", Some(("a.test", None))),
            ("a.test:80", Some(("a.test", Some(80)))),
            ("127.0.0.1:65535", Some(("127.0.0.1", Some(65_535)))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:8080", Some(("[::1]", Some(8080)))),
            ("::1", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:+80", None),
            ("a:", None),
            ("[::1", None),
            ("[::1]80", None),
        ] {
            assert_eq!(split(address), parts, "{address}");
        }
    }

    #[test]
    fn hosts_of_nodes() {
        for good in ["a", "a-b.c_d", "10.0.0.1", "[::1]"] {
            assert!((NODE_HOST.holds)(good), "{good}");
        }
        for bad in ["", "::1", "[]", "[1.2.3.4]", "*.a", "http://a", "a:80", "a b"] {
            assert!(!(NODE_HOST.holds)(bad), "{bad}");
        }
    }
}
