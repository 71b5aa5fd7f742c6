//! What all upstreams of a gateway share of the network: names, and places with their connections.
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::client::{Remote, RemoteKey};
use super::names::{Lookup, Name};
#[cfg(feature = "tls")]
use super::tls::Identities;
use crate::net::{Reap, Sweep};

/// Names and remotes in use. It holds none of them.
pub(crate) struct Network {
    sweep: Sweep,
    lookup: watch::Sender<Lookup>,
    #[cfg(feature = "tls")]
    identities: Identities,
    names: Mutex<HashMap<Arc<str>, Weak<Name>>>,
    remotes: Mutex<HashMap<RemoteKey, Weak<Remote>>>,
}

impl Network {
    pub(crate) fn new(sweep: Sweep, lookup: Lookup) -> Arc<Self> {
        let (lookup, _) = watch::channel(lookup);
        let network = Arc::new(Self {
            sweep,
            lookup,
            #[cfg(feature = "tls")]
            identities: Identities::default(),
            names: Mutex::default(),
            remotes: Mutex::default(),
        });
        let reaper: Weak<Self> = Arc::downgrade(&network);
        network.sweep.reap(reaper);
        network
    }

    /// What watches the deadlines.
    #[cfg(feature = "tls")]
    pub(crate) fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// Who is believed, and who we are.
    #[cfg(feature = "tls")]
    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The remote of that key, a new one if nobody uses one; `None` when it cannot be a host.
    pub(crate) fn remote(&self, key: &RemoteKey) -> Option<Arc<Remote>> {
        let mut remotes = lock(&self.remotes);
        if let Some(remote) = remotes.get(key).and_then(Weak::upgrade) {
            return Some(remote);
        }
        let remote = Arc::new(Remote::new(key.clone(), &self.sweep)?);
        remotes.insert(key.clone(), Arc::downgrade(&remote));
        Some(remote)
    }

    /// The name `host`, in lower case; looked up once however many nodes have it.
    pub(crate) fn name(&self, host: &str) -> Arc<Name> {
        let mut names = lock(&self.names);
        if let Some(name) = names.get(host).and_then(Weak::upgrade) {
            return name;
        }
        let name = Arc::new(Name::new(host, self.lookup.subscribe()));
        names.insert(host.into(), Arc::downgrade(&name));
        name
    }

    /// Has all names looked up another way, at once.
    pub(crate) fn look_up(&self, lookup: Lookup) {
        self.lookup.send_replace(lookup);
    }
}

impl Reap for Network {
    fn reap(&self) {
        lock(&self.names).retain(|_, name| name.strong_count() > 0);
        let mut alive = Vec::new();
        lock(&self.remotes).retain(|_, remote| match remote.upgrade() {
            Some(remote) => {
                alive.push(remote);
                true
            }
            None => false,
        });
        for remote in alive {
            remote.reap();
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
