//! Whose headers are taken.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A listener whose connections begin with a PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyProtocol {
    /// Peers whose headers are believed. Default: this machine alone, by its loopback or a Unix socket, which always may.
    pub from: Vec<IpNet>,
    /// Whether connections without a header are served, too, as whose they are. Default `false`: they are closed. It has to
    /// look at first bytes without taking them, so it is not to be had on Unix sockets, where a header is always due.
    pub optional: bool,
    /// Until the header has come. Default 5 s.
    pub timeout: Duration,
}

impl Default for ProxyProtocol {
    fn default() -> Self {
        let loopback = [
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
        ];
        Self { from: loopback.into(), optional: false, timeout: Duration::from_secs(5) }
    }
}

impl ProxyProtocol {
    /// Believes this network, beside those that it believes already.
    #[must_use]
    pub fn with_from(mut self, network: IpNet) -> Self {
        self.from.push(network);
        self
    }

    /// Serves connections without a header, too.
    #[must_use]
    pub fn with_optional(mut self, optional: bool) -> Self {
        self.optional = optional;
        self
    }

    /// Sets the time until the header has come.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a header of this peer is believed; `None` is one by a Unix socket.
    pub(in crate::server) fn believes(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|peer| {
            let peer = peer.to_canonical();
            self.from.iter().any(|network| network.contains(&peer))
        })
    }
}
