//! What is known of one endpoint of one upstream, over all changes of the configuration.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::balance::Load;

/// The state of an endpoint. It belongs to its place in the upstream, not to a version of the configuration.
#[derive(Debug)]
pub(crate) struct EndpointState {
    load: Arc<Load>,
    usable: AtomicBool,
}

impl Default for EndpointState {
    /// Of an endpoint of which nothing is known: usable (upstream.md §7.4).
    fn default() -> Self {
        Self { load: Arc::default(), usable: AtomicBool::new(true) }
    }
}

impl EndpointState {
    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Whether it may be sent requests.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn set_usable(&self, usable: bool) {
        self.usable.store(usable, Relaxed);
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
#[derive(Debug, Default)]
pub(crate) struct States(Mutex<HashMap<StateKey, Weak<EndpointState>>>);

impl States {
    /// The states of `keys`, in their order; what is not there is made.
    pub(crate) fn of(&self, keys: Vec<StateKey>) -> Vec<Arc<EndpointState>> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if states.len() > 2 * keys.len() {
            states.retain(|_, state| state.strong_count() > 0);
        }
        keys.into_iter()
            .map(|key| {
                let slot = states.entry(key).or_default();
                slot.upgrade().unwrap_or_else(|| {
                    let state = Arc::default();
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
        let states = States::default();
        let key = |name: &str| StateKey { name: name.into(), address: None, priority: 0 };
        let first = states.of(vec![key("a"), key("b")]);
        let again = states.of(vec![key("b"), key("c"), key("b")]);
        assert!(Arc::ptr_eq(&first[1], &again[0]) && Arc::ptr_eq(&again[0], &again[2]));
        drop((first, again));
        states.of(Vec::new());
        assert!(states.0.lock().unwrap().is_empty());
    }
}
