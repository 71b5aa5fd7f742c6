//! HTTP/2 connections to one remote, and who has which stream.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::super::attempt::Plan;
use super::super::client::{Label, OwnLabel, Remote, fits};
use super::super::connection_limit::ConnectionLimit;
use super::super::error::Error;
use super::super::protocol::Wire;
use super::link::Link;
use crate::net::{Clock, Io, TICK};

/// Streams at once on one connection, whatever more the peer allows (security.md H2-08).
const MAX_STREAMS: usize = 100;
/// Connections to one remote; beyond it streams wait for their turn inside a connection.
const MAX_CONNECTIONS: usize = 16;

/// What is known of a remote that may speak either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// It speaks HTTP/2, or nobody has asked it yet.
    Perhaps2,
    /// When it was last asked it wanted HTTP/1.1.
    Http1,
}

/// The connections to one remote.
#[derive(Debug)]
pub(crate) struct Connections {
    list: Arc<List>,
    /// One is opened at a time, so that a burst does not open as many connections as it has requests.
    opening: Semaphore,
    speaks_http1: AtomicBool,
}

type List = Mutex<Vec<Arc<Connection>>>;

#[derive(Debug)]
struct Connection {
    /// Where it is found.
    list: Weak<List>,
    link: Link,
    label: OwnLabel,
    served: AtomicU32,
    /// Tick at which the last stream ended.
    quiet_since: AtomicU32,
    /// Ticks it may be without a stream.
    idle: u32,
    address: Option<SocketAddr>,
    clock: Clock,
    /// If there may be so many connections only.
    limit: Option<Arc<ConnectionLimit>>,
}

/// The right to one stream; the connection lives as long as its last one.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Arc<Connection>,
    /// The connection had carried another before.
    reused: bool,
}

impl Stream {
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.connection.link.sender()
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Nobody gets another stream on this connection.
    pub(super) fn give_up_connection(&self) {
        self.connection.link.give_up();
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.connection.address
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.quiet_since.store(self.connection.clock.ticks(), Relaxed);
        let last = self.connection.link.streams().fetch_sub(1, Relaxed) == 1;
        if last && self.connection.limit.as_ref().is_some_and(|limit| limit.is_wanted()) {
            self.give_up_connection();
            // Its place is wanted now: it must not stay until somebody looks for a stream on it.
            if let Some(list) = self.connection.list.upgrade() {
                lock(&list).retain(|connection| !Arc::ptr_eq(connection, &self.connection));
            }
        }
    }
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { list: Arc::default(), opening: Semaphore::new(1), speaks_http1: AtomicBool::new(false) }
    }

    /// A stream, on a new connection if those there are full.
    pub(super) async fn stream(&self, remote: &Remote, label: Label<'_>, plan: &Plan<'_>) -> Result<Stream, Error> {
        if let Some(stream) = self.waiting(label, plan) {
            return Ok(stream);
        }
        let until = Instant::now() + plan.timeouts.connect;
        let _turn = self.turn(remote, until, plan).await?;
        if let Some(stream) = self.waiting(label, plan).or_else(|| self.crowded(label, plan)) {
            return Ok(stream);
        }
        let opened = remote.open(label, Wire::Http2, until, plan).await?;
        self.adopt(remote, opened.io, label, plan).await
    }

    /// A stream on a connection that has room for it.
    pub(crate) fn waiting(&self, label: Label<'_>, plan: &Plan<'_>) -> Option<Stream> {
        self.free(label, plan, MAX_STREAMS)
    }

    /// When there may be no more connections: a stream that waits inside of the one with the fewest.
    pub(crate) fn crowded(&self, label: Label<'_>, plan: &Plan<'_>) -> Option<Stream> {
        let full = plan.connections.is_some_and(|bound| bound.limit.is_full());
        if full || self.list().len() >= MAX_CONNECTIONS { self.free(label, plan, usize::MAX) } else { None }
    }

    /// The right to open a connection; waited for in turn. Whose turn it is may wait for a place under the upstream's own
    /// limit: then it is not the endpoint that is slow.
    pub(crate) async fn turn(
        &self,
        remote: &Remote,
        until: Instant,
        plan: &Plan<'_>,
    ) -> Result<Option<SemaphorePermit<'_>>, Error> {
        let turn = timeout_at(until, self.opening.acquire()).await;
        // The semaphore is never closed.
        turn.map(Result::ok).map_err(|_| match plan.connections {
            Some(bound) if bound.limit.is_wanted() => bound.none_left(),
            _ => Error::ConnectTimeout { endpoint: Arc::clone(&remote.name) },
        })
    }

    /// Begins HTTP/2 on a new connection; its first stream.
    pub(crate) async fn adopt(
        &self,
        remote: &Remote,
        io: Arc<Io>,
        label: Label<'_>,
        plan: &Plan<'_>,
    ) -> Result<Stream, Error> {
        let list = Arc::downgrade(&self.list);
        let connection = Arc::new(begin(remote, io, label, plan, list).await?);
        self.speaks_http1.store(false, Relaxed);
        let stream = connection.take();
        let mut list = self.list();
        if list.len() >= MAX_CONNECTIONS {
            // Those for names that are not asked for any more make room.
            list.retain(|connection| connection.link.streams().load(Relaxed) > 0);
        }
        list.push(connection);
        Ok(stream)
    }

    /// What the remote is known to speak.
    pub(crate) fn spoken(&self) -> Spoken {
        if self.speaks_http1.load(Relaxed) { Spoken::Http1 } else { Spoken::Perhaps2 }
    }

    /// It was asked, and wants HTTP/1.1.
    pub(crate) fn speaks_http1(&self) {
        self.speaks_http1.store(true, Relaxed);
    }

    /// A stream on the first connection with room; with `limit` out of reach, on the one with the fewest.
    fn free(&self, label: Label<'_>, plan: &Plan<'_>, limit: usize) -> Option<Stream> {
        let mut list = self.list();
        list.retain(|connection| connection.is_open() && connection.served.load(Relaxed) < plan.keepalive.requests);
        let mut fitting = list.iter().filter(|connection| fits(connection.label.as_deref(), label));
        let free = if limit == usize::MAX {
            fitting.min_by_key(|connection| connection.link.streams().load(Relaxed))
        } else {
            fitting.find(|connection| connection.link.streams().load(Relaxed) < limit.min(connection.link.allowed()))
        };
        free.map(Connection::take)
    }

    /// Drops connections that are over, or that nobody has used for too long. Streams in use keep theirs.
    pub(crate) fn reap(&self, clock: &Clock) {
        let now = clock.ticks();
        self.list().retain(|connection| {
            let quiet = now.saturating_sub(connection.quiet_since.load(Relaxed));
            let used = connection.link.streams().load(Relaxed) > 0;
            connection.is_open() && (used || quiet <= connection.idle)
        });
    }

    /// Drops a connection without a stream; whether there was one.
    pub(crate) fn close_idle(&self) -> bool {
        let mut list = self.list();
        let idle = list.iter().position(|connection| connection.link.streams().load(Relaxed) == 0);
        idle.map(|idle| list.swap_remove(idle)).is_some()
    }

    /// Connections without a stream.
    pub(crate) fn idle_len(&self) -> usize {
        let is_idle =
            |connection: &&Arc<Connection>| connection.is_open() && connection.link.streams().load(Relaxed) == 0;
        self.list().iter().filter(is_idle).count()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        lock(&self.list)
    }
}

fn lock(list: &List) -> MutexGuard<'_, Vec<Arc<Connection>>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    fn is_open(&self) -> bool {
        self.link.is_open()
    }

    fn take(self: &Arc<Self>) -> Stream {
        self.link.streams().fetch_add(1, Relaxed);
        let reused = self.served.fetch_add(1, Relaxed) > 0;
        Stream { connection: Arc::clone(self), reused }
    }
}

/// Waits until the peer has said how many streams it takes: from then on it is known to speak HTTP/2.
async fn begin(
    remote: &Remote,
    io: Arc<Io>,
    label: Label<'_>,
    plan: &Plan<'_>,
    list: Weak<List>,
) -> Result<Connection, Error> {
    let (clock, address) = (io.clock().clone(), Io::peer(&io));
    let link = tokio::time::timeout(plan.timeouts.connect, Link::begin(io)).await;
    let link = link.map_err(|_| Error::ConnectTimeout { endpoint: Arc::clone(&remote.name) })?;
    let link = link.map_err(|error| Error::Http2 { endpoint: Arc::clone(&remote.name), source: error.into() })?;
    Ok(Connection {
        list,
        link,
        label: label.map(|label| label.to_ascii_lowercase().into()),
        served: AtomicU32::new(0),
        quiet_since: AtomicU32::new(clock.ticks()),
        idle: u32::try_from(plan.keepalive.idle_timeout.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX),
        address,
        clock,
        limit: plan.connections.map(|bound| Arc::clone(bound.limit)),
    })
}
