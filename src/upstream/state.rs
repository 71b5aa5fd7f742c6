//! What is known of one endpoint of one upstream, over all changes of the configuration.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::balance::Load;
use super::config::UpstreamKey;
use super::health::{Health, Keeper, Subject};

/// The state of an endpoint. It belongs to its place in the upstream, not to a version of the configuration.
#[derive(Debug)]
pub(crate) struct EndpointState {
    load: Arc<Load>,
    health: Arc<Health>,
    since: Mutex<Since>,
}

/// How it was when a set was last made of it.
#[derive(Debug)]
struct Since {
    usable: bool,
    at: Instant,
}

impl EndpointState {
    /// Of an endpoint of which nothing is known: usable (upstream.md §7.4).
    fn new(of: Subject, load: Arc<Load>, now: Instant) -> Self {
        Self { load, health: Arc::new(Health::new(of)), since: Mutex::new(Since { usable: true, at: now }) }
    }

    #[cfg(test)]
    pub(crate) fn of_test() -> Arc<Self> {
        let of = Subject { upstream: UpstreamKey::new("upstream", "test"), endpoint: "test".into(), address: None };
        Arc::new(Self::new(of, Arc::default(), Instant::now()))
    }

    /// How long it has been usable, if it is. Each change of that makes a new set, which asks here.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = self.is_usable();
        if usable && !since.usable {
            since.at = now;
        }
        since.usable = usable;
        usable.then(|| now.saturating_duration_since(since.at))
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

/// The states of an upstream's endpoints. One stays as long as an endpoint set has it; its load as long as a request in
/// flight does, too.
#[derive(Debug)]
pub(crate) struct States {
    upstream: UpstreamKey,
    table: Mutex<HashMap<StateKey, Known>>,
    keeper: Keeper,
}

#[derive(Debug, Default)]
struct Known {
    state: Weak<EndpointState>,
    load: Weak<Load>,
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
            states.retain(|_, known| known.load.strong_count() > 0);
        }
        let now = Instant::now();
        keys.into_iter()
            .map(|key| {
                let (endpoint, address) = (Arc::clone(&key.name), key.address);
                let known = states.entry(key).or_default();
                known.state.upgrade().unwrap_or_else(|| {
                    let subject = Subject { upstream: self.upstream.clone(), endpoint, address };
                    let load = known.load.upgrade().unwrap_or_default();
                    let state = Arc::new(EndpointState::new(subject, load, now));
                    *known = Known { state: Arc::downgrade(&state), load: Arc::downgrade(&state.load) };
                    state
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_begins_again_with_health() {
        let state = EndpointState::of_test();
        let age = || state.age(Instant::now()).map(|age| age.as_secs());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(age(), Some(5));
        state.health().eject("test");
        assert_eq!(age(), None);
        state.health().reset();
        assert_eq!(age(), Some(0));
    }

    #[test]
    fn a_state_lives_as_long_as_somebody_has_it() {
        let states = States::new(UpstreamKey::new("upstream", "1"));
        let key = |name: &str| StateKey { name: name.into(), address: None, priority: 0 };
        let first = states.of(vec![key("a"), key("b")]);
        let again = states.of(vec![key("b"), key("c"), key("b")]);
        assert!(Arc::ptr_eq(&first[1], &again[0]) && Arc::ptr_eq(&again[0], &again[2]));
        let request = first[0].load().enter();
        drop((first, again));
        assert_eq!(states.of(vec![key("a")])[0].load().in_flight(), 1);
        drop(request);
        states.of(Vec::new());
        assert!(states.table.lock().unwrap().is_empty());
    }
}
