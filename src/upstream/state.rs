//! What is known of one endpoint of one upstream, over all changes of the configuration.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::balance::Load;
use super::config::UpstreamKey;
use super::health::{Health, Keeper, Subject};

/// The state of an endpoint. It belongs to its place in the upstream, not to a version of the configuration.
#[derive(Debug)]
pub(crate) struct EndpointState {
    load: Arc<Load>,
    health: Arc<Health>,
}

impl EndpointState {
    /// Of an endpoint of which nothing is known: usable (upstream.md §7.4).
    fn new(of: Subject) -> Self {
        Self { load: Arc::default(), health: Arc::new(Health::new(of)) }
    }

    #[cfg(test)]
    pub(crate) fn of_test() -> Arc<Self> {
        let of = Subject { upstream: UpstreamKey::new("upstream", "test"), endpoint: "test".into(), address: None };
        Arc::new(Self::new(of))
    }

    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Whether it may be sent requests.
    pub(crate) fn is_usable(&self) -> bool {
        self.health.is_usable()
    }
}

/// Which endpoint of an upstream: node, address, priority.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StateKey {
    pub(crate) name: Arc<str>,
    /// Of a node that is a name.
    pub(crate) address: Option<IpAddr>,
    pub(crate) priority: i32,
}

/// The states of an upstream's endpoints. One stays as long as an endpoint set or a request in flight has it.
#[derive(Debug)]
pub(crate) struct States {
    upstream: UpstreamKey,
    table: Mutex<HashMap<StateKey, Weak<EndpointState>>>,
    keeper: Keeper,
}

impl States {
    /// None yet.
    pub(crate) fn new(upstream: UpstreamKey) -> Self {
        Self { upstream, table: Mutex::default(), keeper: Keeper::default() }
    }

    /// Who keeps the verdicts on them up.
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The states of `keys`, in their order; what is not there is made.
    pub(crate) fn of(&self, keys: Vec<StateKey>) -> Vec<Arc<EndpointState>> {
        let mut states = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if states.len() > 2 * keys.len() {
            states.retain(|_, state| state.strong_count() > 0);
        }
        keys.into_iter()
            .map(|key| {
                let (endpoint, address) = (Arc::clone(&key.name), key.address);
                let slot = states.entry(key).or_default();
                slot.upgrade().unwrap_or_else(|| {
                    let upstream = self.upstream.clone();
                    let state = Arc::new(EndpointState::new(Subject { upstream, endpoint, address }));
                    *slot = Arc::downgrade(&state);
                    state
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_lives_as_long_as_somebody_has_it() {
        let states = States::new(UpstreamKey::new("upstream", "1"));
        let key = |name: &str| StateKey { name: name.into(), address: None, priority: 0 };
        let first = states.of(vec![key("a"), key("b")]);
        let again = states.of(vec![key("b"), key("c"), key("b")]);
        assert!(Arc::ptr_eq(&first[1], &again[0]) && Arc::ptr_eq(&again[0], &again[2]));
        drop((first, again));
        states.of(Vec::new());
        assert!(states.table.lock().unwrap().is_empty());
    }
}
