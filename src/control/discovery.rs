//! `/v1/discovery/{kind}/dump`: what names of upstreams stand for at the moment.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::reply;
use crate::Response;
use crate::gateway::Gateway;

/// The names that are known by `kind`: `dns`.
pub(super) fn dump(gateway: &Gateway, kind: &str) -> Response {
    if kind != "dns" {
        return reply::not_found(format!("no discovery `{kind}`: there is `dns`"));
    }
    let mut names: BTreeMap<String, BTreeSet<SocketAddr>> = BTreeMap::new();
    for endpoint in gateway.status().upstreams().into_iter().flat_map(|upstream| upstream.endpoints) {
        let host = endpoint.name.rsplit_once(':').map_or(&*endpoint.name, |(host, _)| host);
        let is_address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        if let Some(address) = endpoint.address.filter(|_| !is_address) {
            names.entry(endpoint.name.to_string()).or_default().insert(address);
        }
    }
    let nodes = |addresses: BTreeSet<SocketAddr>| -> Value {
        addresses.into_iter().map(|address| json!({"host": address.ip(), "port": address.port()})).collect()
    };
    let services: serde_json::Map<_, _> =
        names.into_iter().map(|(name, addresses)| (name, json!({"nodes": nodes(addresses)}))).collect();
    reply::json(&json!({"services": services}))
}
