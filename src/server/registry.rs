//! All connections of one server: how many, which are idle, and how they are told to end.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::Limits;
use crate::net::{Io, Sweep};

/// What all connections of a server share.
pub(super) struct Registry {
    pub(super) options: Options,
    pub(super) sweep: Sweep,
    draining: AtomicBool,
    /// Tells tunnels and HTTP/2 connections of a drain; the others look at `draining` when they answer.
    drain: watch::Sender<bool>,
    clients: Mutex<HashMap<u64, Arc<Client>>>,
    next: AtomicU64,
    count: AtomicUsize,
    departed: Notify,
}

/// How connections are served.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) limits: Arc<Limits>,
    pub(super) problem_details: bool,
}

/// One connection as the registry knows it.
pub(super) struct Client {
    io: Arc<Io>,
    registry: Arc<Registry>,
    key: u64,
    /// Tick since which nothing is under way, plus one; 0 while something is.
    idle_since: AtomicU32,
    task: OnceLock<AbortHandle>,
}

/// Keeps a connection registered.
pub(super) struct Entry(Arc<Client>);

impl Registry {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            options,
            sweep: Sweep::new(),
            draining: AtomicBool::new(false),
            drain: watch::Sender::new(false),
            clients: Mutex::default(),
            next: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            departed: Notify::new(),
        })
    }

    /// Connections at the moment, tunnels included.
    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<u64, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room for one more connection, and tells whether there is any (LIM-11). Without a peer it came in by a Unix
    /// socket.
    pub(super) fn admit(&self, peer: Option<IpAddr>) -> bool {
        let (limits, count) = (&self.options.limits, self.count());
        if count >= limits.max_connections / 10 * 9 + limits.max_connections % 10 * 9 / 10 {
            // A batch at a time, so that the look at all of them is not made for every newcomer.
            self.close_idle_oldest(limits.max_connections / 100 + 1);
        }
        if count >= limits.max_connections {
            return false;
        }
        let Some(peer) = peer else { return true };
        limits.max_connections_per_ip.is_none_or(|most| {
            let same = |client: &&Arc<Client>| client.io.peer().is_some_and(|other| other.ip() == peer);
            self.clients().values().filter(same).count() < most
        })
    }

    /// Registers a connection.
    pub(super) fn enter(self: &Arc<Self>, io: Arc<Io>) -> Entry {
        let key = self.next.fetch_add(1, Relaxed);
        let client = Arc::new(Client {
            io,
            registry: Arc::clone(self),
            key,
            idle_since: AtomicU32::new(0),
            task: OnceLock::new(),
        });
        self.clients().insert(key, Arc::clone(&client));
        self.count.fetch_add(1, Relaxed);
        Entry(client)
    }

    /// Has the connections end that are idle for the longest time, at most `most`.
    pub(super) fn close_idle_oldest(&self, most: usize) {
        let mut idle: Vec<_> = self
            .clients()
            .values()
            .map(|client| (client.idle_since.load(Relaxed), Arc::clone(&client.io)))
            .filter(|(since, _)| *since > 0)
            .collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        for (_, io) in idle.iter().take(most) {
            io.shutdown_read();
        }
    }

    /// From now on answers close their connection; tunnels and HTTP/2 connections are told.
    pub(super) fn begin_drain(&self) {
        self.draining.store(true, Relaxed);
        self.drain.send_replace(true);
    }

    /// Ends the tasks of all connections.
    pub(super) fn abort_all(&self) {
        for client in self.clients().values() {
            if let Some(task) = client.task.get() {
                task.abort();
            }
        }
    }

    /// Waits until some connection ends.
    pub(super) async fn departed(&self) {
        self.departed.notified().await;
    }
}

impl Client {
    pub(super) fn io(&self) -> &Arc<Io> {
        &self.io
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.registry.options.limits
    }

    pub(super) fn options(&self) -> &Options {
        &self.registry.options
    }

    pub(super) fn is_draining(&self) -> bool {
        self.registry.draining.load(Relaxed)
    }

    /// Waits for a drain to begin.
    pub(super) fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut drain = self.registry.drain.subscribe();
        async move {
            // An error means that the server is gone, which ends connections as well.
            let _ = drain.wait_for(|draining| *draining).await;
        }
    }

    pub(super) fn set_idle(&self) {
        self.idle_since.store(self.io.clock().ticks().saturating_add(1), Relaxed);
    }

    pub(super) fn set_busy(&self) {
        self.idle_since.store(0, Relaxed);
    }

    pub(super) fn set_task(&self, task: AbortHandle) {
        // A connection has one task; nobody sets another.
        let _ = self.task.set(task);
    }
}

impl Entry {
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.0
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let registry = &self.0.registry;
        registry.clients().remove(&self.0.key);
        registry.count.fetch_sub(1, Relaxed);
        registry.departed.notify_waiters();
        registry.departed.notify_one();
    }
}
