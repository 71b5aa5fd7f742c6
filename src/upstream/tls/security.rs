//! How connections to an endpoint are secured.
use std::sync::Arc;

use rustls::pki_types::ServerName;

use super::super::protocol::Wire;
use super::identity::Identity;
use super::naming::Naming;
use crate::net::tls::Hello;

/// Who is believed, who we are, and which name has to be proved. Where any of them differs, connections are not shared
/// (upstream.md §6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Security {
    pub(crate) identity: Arc<Identity>,
    pub(crate) naming: Naming,
}

impl Security {
    /// How a handshake begins; `label` is what the naming made of the request.
    pub(crate) fn hello(&self, label: Option<&str>, offer: Wire) -> Hello {
        hello(&self.identity, self.naming.name(label), offer)
    }
}

/// How a handshake with `name` begins.
pub(super) fn hello(identity: &Identity, name: ServerName<'static>, offer: Wire) -> Hello {
    let protocols: &[&[u8]] = match offer {
        Wire::Http1 => &[b"http/1.1"],
        Wire::Http2 => &[b"h2"],
        Wire::Either => &[b"h2", b"http/1.1"],
    };
    Hello {
        config: Arc::clone(identity.config()),
        name,
        protocols: protocols.iter().map(|protocol| protocol.to_vec()).collect(),
    }
}
