//! All connections of one server: how many, which are idle, and how they are told to end.
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::Limits;
use super::drain::{DrainHandle, Phase};
use super::group::Group;
use super::seat::{self, Seat, Seats};
use crate::net::{Io, Sweep};

/// What all connections of a server share.
pub(super) struct Registry {
    pub(super) options: Options,
    pub(super) sweep: Sweep,
    /// How far the server's end has come.
    pub(super) end: DrainHandle,
    /// Connections at the moment.
    pub(super) seats: Seats,
    /// Of those, how many each client has.
    pub(super) clients: seat::Clients,
    groups: Mutex<Vec<Weak<Group>>>,
    connections: Mutex<HashMap<u64, Arc<Client>>>,
    arrivals: Mutex<HashMap<u64, Arc<Arriving>>>,
    next: AtomicU64,
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
    task: OnceLock<AbortHandle>,
}

/// Keeps a connection registered.
pub(super) struct Entry {
    client: Arc<Client>,
    /// Given back once the connection is no longer in the list.
    _seat: Seat,
}

/// One connection that is not yet spoken to: its PROXY header or its TLS handshake is under way.
struct Arriving {
    /// Tick at which it was accepted, plus one: it counts as idle from then on.
    since: u32,
    task: OnceLock<AbortHandle>,
}

/// Keeps a connection that arrives registered.
pub(super) struct Arrival {
    place: Place,
    seat: Seat,
}

/// Its place in the list of those that arrive.
struct Place {
    group: Arc<Group>,
    key: u64,
    arriving: Arc<Arriving>,
}

/// What can be closed to make room.
enum Idle {
    Client(Arc<Io>),
    Arriving(Arc<Arriving>),
}

impl Registry {
    pub(super) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            seats: Seats::default(),
            clients: seat::Clients::new(options.limits.max_connections_per_ip),
            options,
            sweep: Sweep::new(),
            end: DrainHandle::new(),
            groups: Mutex::default(),
            connections: Mutex::default(),
            arrivals: Mutex::default(),
            next: AtomicU64::new(0),
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
        self.seats.count()
    }

    /// Has idle connections end when the server is nearly full (LIM-11), so that newcomers find room.
    pub(super) fn make_room(&self) {
        let most = self.options.limits.max_connections;
        if self.count() < most / 10 * 9 + most % 10 * 9 / 10 {
            return;
        }
        // Unless a moment ago there were none: with all of them busy, newcomers do not make it look through all each time.
        let now = self.sweep.clock().ticks().saturating_add(1);
        // A batch at a time, for the same reason.
        if self.barren.load(Relaxed) != now && !self.close_idle_oldest(most / 100 + 1) {
            self.barren.store(now, Relaxed);
        }
    }

    fn next_key(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Tells whoever waits that a connection ended.
    pub(super) fn has_departed(&self) {
        self.departed.notify_waiters();
        self.departed.notify_one();
    }

    /// Has the connections end that are idle for the longest time, at most `most`; tells whether there were any.
    pub(super) fn close_idle_oldest(&self, most: usize) -> bool {
        let mut idle: Vec<_> = lock(&self.connections)
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
        for client in lock(&self.connections).values() {
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
        for client in lock(&self.connections).values() {
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

    /// Registers a connection.
    pub(super) fn enter(io: Arc<Io>, seat: Seat) -> Entry {
        let group = Arc::clone(seat.group());
        let key = group.registry().next_key();
        let client = Arc::new(Client { io, group, key, idle_since: AtomicU32::new(0), task: OnceLock::new() });
        lock(&client.group.registry().connections).insert(key, Arc::clone(&client));
        Entry { client, _seat: seat }
    }

    /// Registers a connection that is not yet spoken to.
    pub(super) fn arrive(seat: Seat) -> Arrival {
        let group = Arc::clone(seat.group());
        let registry = group.registry();
        let since = registry.sweep.clock().ticks().saturating_add(1);
        let arriving = Arc::new(Arriving { since, task: OnceLock::new() });
        let key = registry.next_key();
        lock(&registry.arrivals).insert(key, Arc::clone(&arriving));
        Arrival { place: Place { group, key, arriving }, seat }
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
        &self.client
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.client.group.registry().connections).remove(&self.client.key);
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
        self.seat.group()
    }

    /// Tells whom the connection is from; whether that client may have one more.
    pub(super) fn is_for(&mut self, client: IpAddr) -> bool {
        self.seat.is_for(client)
    }

    /// Takes the task that has this, to end it by.
    pub(super) fn ended_by(&self) -> impl FnOnce(AbortHandle) + use<> {
        let (arriving, group) = (Arc::clone(&self.place.arriving), Arc::clone(self.group()));
        move |task| group.registry().tell(&arriving.task, task)
    }

    /// The connection has arrived: it counts on as what it is now.
    pub(super) fn settle(self, io: Arc<Io>) -> Entry {
        // In both lists for a moment, so that nobody looks at a time at which it is in none.
        Group::enter(io, self.seat)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.group.registry().arrivals).remove(&self.key);
    }
}

/// A lock that does not care about a panic elsewhere: what it guards is valid at every step (PAN-02).
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
