//! How the names of nodes are looked up, as the settings say.
use std::sync::Arc;

#[cfg(feature = "dns")]
use crate::model::DnsAddresses;
use crate::model::DnsSettings;
#[cfg(not(feature = "dns"))]
use crate::upstream::SystemResolver;
#[cfg(feature = "dns")]
use crate::upstream::{AddressFamily, DnsConfig, DnsResolver};
use crate::upstream::{NamesConfig, Resolve, Upstreams};

/// Who looks names up.
pub(super) struct Names {
    /// The host program's own.
    own: Option<Arc<dyn Resolve>>,
    in_force: Option<DnsSettings>,
}

impl Names {
    pub(super) const fn new(own: Option<Arc<dyn Resolve>>) -> Self {
        Self { own, in_force: None }
    }

    /// Has names looked up as `settings` say. All of them are at once if that is another way than before.
    pub(super) fn apply(&mut self, settings: &DnsSettings, upstreams: &Upstreams) {
        if self.in_force.as_ref() == Some(settings) {
            return;
        }
        let config = NamesConfig {
            min_ttl: settings.min_ttl.duration(),
            max_ttl: settings.max_ttl.duration(),
            max_stale: settings.max_stale(),
        };
        upstreams.look_up(self.own.clone().unwrap_or_else(|| resolver(settings)), config);
        self.in_force = Some(settings.clone());
    }
}

#[cfg(feature = "dns")]
fn resolver(settings: &DnsSettings) -> Arc<dyn Resolve> {
    Arc::new(DnsResolver::new(DnsConfig {
        servers: settings.servers.clone(),
        timeout: settings.timeout.duration(),
        attempts: settings.attempts,
        family: match settings.addresses {
            DnsAddresses::Both => AddressFamily::Both,
            DnsAddresses::Ipv4 => AddressFamily::V4,
            DnsAddresses::Ipv6 => AddressFamily::V6,
        },
        search: settings.search,
        hosts_file: settings.hosts_file,
    }))
}

#[cfg(not(feature = "dns"))]
fn resolver(_: &DnsSettings) -> Arc<dyn Resolve> {
    Arc::new(SystemResolver::default())
}
