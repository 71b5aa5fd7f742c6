//! All connections of one server: how many, which are idle, and how they are told to end.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Limits;
use super::drain::{DrainHandle, Phase};
use super::group::Group;
use crate::net::{Io, Sweep};

/// What all connections of a server share.
pub(super) struct Registry {
    pub(super) options: Options,
    pub(super) sweep: Sweep,
    /// How far the server's end has come.
    pub(super) end: DrainHandle,
    groups: Mutex<Vec<Weak<Group>>>,
    clients: Mutex<HashMap<u64, Arc<Client>>>,
    arrivals: Mutex<HashMap<u64, Arc<Arriving>>>,
    next: AtomicU64,
    count: AtomicUsize,
    departed: Notify,
    /// The server is gone: a connection that is only about to tell its task ends when it does.
    gone: AtomicBool,
    /// Tick at which nobody was found idle, plus one.
    barren: AtomicU32,
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
    group: Arc<Group>,
    key: u64,
    /// Tick since which nothing is under way, plus one; 0 while something is.
    idle_since: AtomicU32,
    /// Who it is from, for [`Limits::max_connections_per_ip`].
    address: Option<IpAddr>,
    task: OnceLock<AbortHandle>,
}

/// Keeps a connection registered.
pub(super) struct Entry(Arc<Client>);

/// One connection that is not yet spoken to: its PROXY header or its TLS handshake is under way.
struct Arriving {
    /// Tick at which it was accepted, plus one: it counts as idle from then on.
    since: u32,
    /// Whom it is from, once that is known.
    address: OnceLock<IpAddr>,
    task: OnceLock<AbortHandle>,
}

/// Keeps a connection that arrives registered.
pub(super) struct Arrival {
    group: Arc<Group>,
    key: u64,
    arriving: Arc<Arriving>,
    /// It counts no longer as one that arrives.
    settled: bool,
}

/// What can be closed to make room.
enum Idle {
    Client(Arc<Io>),
    Arriving(Arc<Arriving>),
}

impl Registry {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            options,
            sweep: Sweep::new(),
            end: DrainHandle::new(),
            groups: Mutex::default(),
            clients: Mutex::default(),
            arrivals: Mutex::default(),
            next: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            departed: Notify::new(),
            gone: AtomicBool::new(false),
            barren: AtomicU32::new(0),
        })
    }

    /// A group for the connections of one more listener.
    pub(super) fn group(self: &Arc<Self>) -> Arc<Group> {
        let group = Arc::new(Group::new(self));
        let mut groups = lock(&self.groups);
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(&group));
        // Under the lock: a drain that begins now sees the group, or was seen by us.
        if self.end.is(Phase::Draining) {
            group.begin_drain();
        }
        group
    }

    /// Connections at the moment, tunnels and those that still arrive included.
    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Makes room for one more connection, and tells whether there is any (LIM-11). Without an address only the number of all
    /// counts: it came in by a Unix socket, or it is not known yet whom it is from.
    pub(super) fn admit(&self, client: Option<IpAddr>) -> bool {
        let (limits, count) = (&self.options.limits, self.count());
        if count >= limits.max_connections / 10 * 9 + limits.max_connections % 10 * 9 / 10 {
            // A batch at a time, so that the look at all of them is not made for every newcomer.
            self.make_room(limits.max_connections / 100 + 1);
        }
        if count >= limits.max_connections {
            return false;
        }
        client.is_none_or(|client| self.admit_client(client))
    }

    /// Whether this client may have one more connection (LIM-11).
    pub(super) fn admit_client(&self, client: IpAddr) -> bool {
        self.options.limits.max_connections_per_ip.is_none_or(|most| {
            let client = client.to_canonical();
            // Held meanwhile: one that settles is in one of the two.
            let arrivals = lock(&self.arrivals);
            let arriving = arrivals.values().filter(|one| one.address.get() == Some(&client)).count();
            arriving + lock(&self.clients).values().filter(|other| other.address == Some(client)).count() < most
        })
    }

    fn next_key(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    fn joined(&self, group: &Group) {
        self.count.fetch_add(1, Relaxed);
        group.joined();
    }

    fn left(&self, group: &Group) {
        self.count.fetch_sub(1, Relaxed);
        group.left();
        self.departed.notify_waiters();
        self.departed.notify_one();
    }

    /// Has idle connections end, unless a moment ago there were none: with all of them busy, newcomers do not make it look
    /// through all each time.
    fn make_room(&self, most: usize) {
        let now = self.sweep.clock().ticks().saturating_add(1);
        if self.barren.load(Relaxed) != now && !self.close_idle_oldest(most) {
            self.barren.store(now, Relaxed);
        }
    }

    /// Has the connections end that are idle for the longest time, at most `most`; tells whether there were any.
    pub(super) fn close_idle_oldest(&self, most: usize) -> bool {
        let mut idle: Vec<_> = lock(&self.clients)
            .values()
            .map(|client| (client.idle_since.load(Relaxed), client))
            .filter(|(since, _)| *since > 0)
            .map(|(since, client)| (since, Idle::Client(Arc::clone(&client.io))))
            .collect();
        idle.extend(lock(&self.arrivals).values().map(|one| (one.since, Idle::Arriving(Arc::clone(one)))));
        if most < idle.len() {
            idle.select_nth_unstable_by_key(most, |(since, _)| *since);
        }
        for (_, one) in idle.iter().take(most) {
            match one {
                Idle::Client(io) => io.shutdown_read(),
                Idle::Arriving(arriving) => arriving.abort(),
            }
        }
        !idle.is_empty()
    }

    /// Has all connections end that are idle, or those of one group; those that arrive are none of them.
    pub(super) fn close_all_idle(&self, of: Option<&Arc<Group>>) {
        for client in lock(&self.clients).values() {
            let is_meant = of.is_none_or(|group| Arc::ptr_eq(group, &client.group));
            if is_meant && client.idle_since.load(SeqCst) > 0 {
                client.io.shutdown_read();
            }
        }
    }

    /// From now on answers close their connection; tunnels and HTTP/2 connections are told.
    pub(super) fn begin_drain(&self) {
        let groups = lock(&self.groups);
        self.end.raise(Phase::Draining);
        groups.iter().filter_map(Weak::upgrade).for_each(|group| group.begin_drain());
    }

    /// Ends the tasks of all connections.
    pub(super) fn abort_all(&self) {
        for arriving in lock(&self.arrivals).values() {
            arriving.abort();
        }
        for client in lock(&self.clients).values() {
            if let Some(task) = client.task.get() {
                task.abort();
            }
        }
    }

    /// Ends all connections for good, those that are only about to tell their tasks included.
    pub(super) fn leave(&self) {
        self.gone.store(true, Relaxed);
        // With the one of `tell`: a task that is not seen here sees that the server is gone.
        fence(SeqCst);
        self.abort_all();
    }

    fn tell(&self, place: &OnceLock<AbortHandle>, task: AbortHandle) {
        let abort = task.clone();
        // A connection has one task; nobody sets another.
        let _ = place.set(task);
        fence(SeqCst);
        if self.gone.load(Relaxed) {
            abort.abort();
        }
    }

    /// Waits until some connection ends.
    pub(super) async fn departed(&self) {
        self.departed.notified().await;
    }
}

impl Group {
    /// Has its connections end in good order, in their own time.
    pub(super) fn end(self: &Arc<Self>) {
        self.begin_drain();
        self.registry().close_all_idle(Some(self));
    }

    /// Registers a connection; `address` is whom it is from.
    pub(super) fn enter(self: &Arc<Self>, io: Arc<Io>, address: Option<IpAddr>) -> Entry {
        self.registry().joined(self);
        self.register(io, address)
    }

    /// As [`enter`](Self::enter), of one that counts already.
    fn register(self: &Arc<Self>, io: Arc<Io>, address: Option<IpAddr>) -> Entry {
        let registry = self.registry();
        let key = registry.next_key();
        let client = Arc::new(Client {
            io,
            group: Arc::clone(self),
            key,
            idle_since: AtomicU32::new(0),
            address: address.map(|address| address.to_canonical()),
            task: OnceLock::new(),
        });
        lock(&registry.clients).insert(key, Arc::clone(&client));
        Entry(client)
    }

    /// Registers a connection that is not yet spoken to; `address` is whom it is from, if that is known.
    pub(super) fn arrive(self: &Arc<Self>, address: Option<IpAddr>) -> Arrival {
        let registry = self.registry();
        let since = registry.sweep.clock().ticks().saturating_add(1);
        let arriving = Arc::new(Arriving { since, address: OnceLock::new(), task: OnceLock::new() });
        let key = registry.next_key();
        lock(&registry.arrivals).insert(key, Arc::clone(&arriving));
        registry.joined(self);
        let arrival = Arrival { group: Arc::clone(self), key, arriving, settled: false };
        if let Some(address) = address {
            arrival.is_from(address);
        }
        arrival
    }
}

impl Client {
    pub(super) fn io(&self) -> &Arc<Io> {
        &self.io
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.options().limits
    }

    pub(super) fn options(&self) -> &Options {
        &self.group.registry().options
    }

    pub(super) fn is_draining(&self) -> bool {
        self.group.is_draining()
    }

    /// Waits for a drain to begin.
    pub(super) fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        self.group.drained()
    }

    pub(super) fn set_idle(&self) {
        self.idle_since.store(self.io.clock().ticks().saturating_add(1), SeqCst);
    }

    pub(super) fn set_busy(&self) {
        self.idle_since.store(0, Relaxed);
    }

    pub(super) fn set_task(&self, task: AbortHandle) {
        self.group.registry().tell(&self.task, task);
    }
}

impl Entry {
    pub(super) fn client(&self) -> &Arc<Client> {
        &self.0
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let group = &self.0.group;
        lock(&group.registry().clients).remove(&self.0.key);
        group.registry().left(group);
    }
}

impl Arriving {
    fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Arrival {
    pub(super) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Tells whom the connection is from.
    pub(super) fn is_from(&self, address: IpAddr) {
        // It is found out once.
        let _ = self.arriving.address.set(address.to_canonical());
    }

    /// Takes the task that has this, to end it by.
    pub(super) fn ended_by(&self) -> impl FnOnce(AbortHandle) + use<> {
        let (arriving, group) = (Arc::clone(&self.arriving), Arc::clone(&self.group));
        move |task| group.registry().tell(&arriving.task, task)
    }

    /// The connection has arrived: it counts on as what it is now.
    pub(super) fn settle(mut self, io: Arc<Io>) -> Entry {
        self.settled = true;
        let mut arrivals = lock(&self.group.registry().arrivals);
        arrivals.remove(&self.key);
        self.group.register(io, self.arriving.address.get().copied())
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.settled {
            let registry = self.group.registry();
            lock(&registry.arrivals).remove(&self.key);
            registry.left(&self.group);
        }
    }
}

/// A lock that does not care about a panic elsewhere: what it guards is valid at every step (PAN-02).
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
