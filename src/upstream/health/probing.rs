//! The probes of one version of an upstream, if it has any.
use std::sync::Arc;

use super::super::config::PassHost;
use super::super::dispatch::Upstream;
use super::super::set::{EndpointSet, Slot};
use super::checker::{Checker, Target};
use super::config::{ActiveConfig, HealthConfig};
use super::probe::Prober;

/// Probes the endpoints of whatever set the upstream has.
#[derive(Debug)]
pub(super) struct Probing(Option<Active>);

#[derive(Debug)]
struct Active {
    config: ActiveConfig,
    checker: Checker<Prober>,
    /// The set that is probed. Kept, so that its address is that of no other set.
    set: Option<Arc<EndpointSet>>,
}

impl Probing {
    pub(super) fn new(config: &HealthConfig, upstream: &Upstream) -> Self {
        Self(config.active.as_ref().map(|config| Active {
            config: config.clone(),
            checker: Checker::new(config, Prober::new(config, upstream.probe_tls.clone())),
            set: None,
        }))
    }

    /// Probes the endpoints of `set` from now on, each when its state has it due.
    pub(super) fn follow(&mut self, upstream: &Upstream, set: &Arc<EndpointSet>) {
        let Some(active) = &mut self.0 else { return };
        if active.set.as_ref().is_some_and(|known| Arc::ptr_eq(known, set)) {
            return active.checker.pull_forward();
        }
        active.checker.set_targets(set.slots.iter().filter_map(|slot| active.config.target(slot, upstream)).collect());
        active.set = Some(Arc::clone(set));
    }

    /// Probes until that has changed whether an endpoint is usable; without probes for ever.
    pub(super) async fn changed(&mut self) {
        match &mut self.0 {
            Some(active) => active.checker.changed().await,
            None => std::future::pending().await,
        }
    }
}

impl ActiveConfig {
    /// What is to be probed of an endpoint. Services of the process are not.
    fn target(&self, slot: &Slot, upstream: &Upstream) -> Option<Target> {
        let mut address = slot.endpoint.address()?;
        address.set_port(self.port.unwrap_or(address.port()));
        let host = match (&self.host, &upstream.config.pass_host) {
            (Some(host), _) | (None, PassHost::Rewrite(host)) => host,
            _ => slot.endpoint.host()?,
        };
        Some(Target { health: Arc::clone(slot.state.health()), address, host: host.clone() })
    }
}
