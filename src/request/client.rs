//! The client's address.
use std::net::{IpAddr, SocketAddr};

use super::SharedFacts;
use crate::{ConnectInfo, Exchange};

/// Request extension: the client as a layer found it out, in place of what arrival told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddr {
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
}

/// The client's address: what [`set_client_addr`] said last, else the address that the gateway found out on arrival
/// (the peer, or behind trusted proxies the right-most hop that is not one), else the peer of a
/// [`ConnectInfo`] or axum's. An IPv4-mapped address comes as IPv4.
pub fn client_addr<B>(request: &http::Request<B>) -> Option<IpAddr> {
    let extensions = request.extensions();
    if let Some(client) = extensions.get::<ClientAddr>() {
        return Some(client.ip);
    }
    match SharedFacts::of(request) {
        Some(facts) => facts.client(),
        None => peer(extensions).map(|peer| peer.ip().to_canonical()),
    }
}

/// The other end of the connection, whoever was found to be the client behind it.
pub(crate) fn peer_addr<B>(request: &http::Request<B>) -> Option<IpAddr> {
    match SharedFacts::of(request) {
        Some(facts) => facts.connection.as_ref().map(ConnectInfo::ip),
        None => peer(request.extensions()).map(|peer| peer.ip().to_canonical()),
    }
}

/// Says who the client is, for everything behind the layer that says so: variables, limits, lists, and the forwarding
/// fields that the upstream gets; and for logs.
pub fn set_client_addr<B>(request: &mut http::Request<B>, ip: IpAddr, port: Option<u16>) {
    let ip = ip.to_canonical();
    if let Some(exchange) = request.extensions().get::<Exchange>() {
        exchange.set_client(ip);
    }
    request.extensions_mut().insert(ClientAddr { ip, port });
}

/// The address that a layer said, if one did.
pub(crate) fn told_client<B>(request: &http::Request<B>) -> Option<IpAddr> {
    request.extensions().get::<ClientAddr>().map(|client| client.ip)
}

/// Whether the client's address may be that of a proxy before it: the request says that it has come through one, and nobody
/// who is trusted says from where.
#[cfg(feature = "cache")]
pub(crate) fn is_behind_a_stranger<B>(request: &http::Request<B>) -> bool {
    if request.extensions().get::<ClientAddr>().is_some() {
        return false;
    }
    match SharedFacts::of(request) {
        Some(facts) => facts.arrival.original.is_some() && facts.arrival.reported.is_none(),
        None => ["forwarded", "x-forwarded-for", "x-real-ip"].iter().any(|name| request.headers().contains_key(*name)),
    }
}

/// The other end of the connection, when no gateway told.
pub(super) fn peer(extensions: &http::Extensions) -> Option<SocketAddr> {
    if let Some(info) = extensions.get::<ConnectInfo>() {
        return Some(info.peer);
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(peer)) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(*peer);
    }
    None
}
