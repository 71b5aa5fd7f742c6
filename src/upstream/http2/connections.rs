//! HTTP/2 connections to one remote, and who has which stream.
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout_at};

use super::super::attempt::Plan;
use super::super::client::{Label, OwnLabel, Remote, fits};
use super::super::connection_limit::ConnectionLimit;
use super::super::error::Error;
use super::super::protocol::Wire;
use super::tasks::Tasks;
use crate::Body;
use crate::net::{Clock, Io, IoStream, TICK};

/// Streams at once on one connection, whatever more the peer allows (security.md H2-08).
const MAX_STREAMS: usize = 100;
/// Connections to one remote; beyond it streams wait for their turn inside a connection.
const MAX_CONNECTIONS: usize = 16;
/// The list of field lines of a response, each with 32 bytes on top (RFC 9113 §6.5.2; security.md UP-02).
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Bytes of one response that may wait for its client. No acknowledgement of less than this is waited for on the way.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of all responses on one connection: what waits for slow clients takes nothing away from the others.
const CONNECTION_WINDOW: u32 = MAX_STREAMS as u32 * STREAM_WINDOW;
/// A connection with streams on which nothing comes is asked for a sign of life after this.
const PING_AFTER: Duration = Duration::from_secs(30);
/// And is over when none comes within this.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

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
    list: Mutex<Vec<Arc<Connection>>>,
    /// One is opened at a time, so that a burst does not open as many connections as it has requests.
    opening: Semaphore,
    speaks_http1: AtomicBool,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Body>,
    label: OwnLabel,
    /// What the peer allows; at least 1, until it says otherwise.
    allowed: watch::Receiver<usize>,
    streams: AtomicUsize,
    served: AtomicU32,
    /// Tick at which the last stream ended.
    quiet_since: AtomicU32,
    /// It takes no more streams, though it is not closed yet.
    over: AtomicBool,
    /// Ticks it may be without a stream.
    idle: u32,
    address: Option<SocketAddr>,
    tasks: Tasks,
    clock: Clock,
    /// If there may be so many connections only.
    limit: Option<Arc<ConnectionLimit>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// The right to one stream; the connection lives as long as its last one.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: Arc<Connection>,
    /// The connection had carried another before.
    reused: bool,
}

impl Stream {
    pub(super) fn sender(&self) -> SendRequest<Body> {
        self.connection.sender.clone()
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Nobody gets another stream on this connection.
    pub(super) fn give_up_connection(&self) {
        self.connection.over.store(true, Relaxed);
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.connection.address
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.quiet_since.store(self.connection.clock.ticks(), Relaxed);
        let last = self.connection.streams.fetch_sub(1, Relaxed) == 1;
        if last && self.connection.limit.as_ref().is_some_and(|limit| limit.is_wanted()) {
            self.give_up_connection();
        }
    }
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { list: Mutex::default(), opening: Semaphore::new(1), speaks_http1: AtomicBool::new(false) }
    }

    /// A stream, on a new connection if those there are full.
    pub(super) async fn stream(&self, remote: &Remote, label: Label<'_>, plan: &Plan<'_>) -> Result<Stream, Error> {
        if let Some(stream) = self.waiting(label, plan) {
            return Ok(stream);
        }
        let until = Instant::now() + plan.timeouts.connect;
        let turn = timeout_at(until, self.turn()).await;
        let _turn = turn.map_err(|_| Error::ConnectTimeout { endpoint: Arc::clone(&remote.name) })?;
        if let Some(stream) = self.waiting(label, plan) {
            return Ok(stream);
        }
        let full = plan.connections.is_some_and(|bound| bound.limit.is_full());
        if (full || self.list().len() >= MAX_CONNECTIONS)
            && let Some(stream) = self.free(label, plan, usize::MAX)
        {
            return Ok(stream);
        }
        let opened = remote.open(label, Wire::Http2, until, plan).await?;
        self.adopt(remote, opened.io, label, plan).await
    }

    /// A stream on a connection that has room for it.
    pub(crate) fn waiting(&self, label: Label<'_>, plan: &Plan<'_>) -> Option<Stream> {
        self.free(label, plan, MAX_STREAMS)
    }

    /// The right to open a connection; waited for in turn.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed.
        self.opening.acquire().await.ok()
    }

    /// Begins HTTP/2 on a new connection; its first stream.
    pub(crate) async fn adopt(
        &self,
        remote: &Remote,
        io: Arc<Io>,
        label: Label<'_>,
        plan: &Plan<'_>,
    ) -> Result<Stream, Error> {
        let connection = Arc::new(begin(remote, io, label, plan).await?);
        self.speaks_http1.store(false, Relaxed);
        let stream = connection.take();
        let mut list = self.list();
        if list.len() >= MAX_CONNECTIONS {
            // Those for names that are not asked for any more make room.
            list.retain(|connection| connection.streams.load(Relaxed) > 0);
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
            fitting.min_by_key(|connection| connection.streams.load(Relaxed))
        } else {
            fitting.find(|connection| connection.streams.load(Relaxed) < limit.min(*connection.allowed.borrow()))
        };
        free.map(Connection::take)
    }

    /// Drops connections that are over, or that nobody has used for too long. Streams in use keep theirs.
    pub(crate) fn reap(&self, clock: &Clock) {
        let now = clock.ticks();
        self.list().retain(|connection| {
            let quiet = now.saturating_sub(connection.quiet_since.load(Relaxed));
            let used = connection.streams.load(Relaxed) > 0;
            connection.is_open() && (used || quiet <= connection.idle)
        });
    }

    /// Drops a connection without a stream; whether there was one.
    pub(crate) fn close_idle(&self) -> bool {
        let mut list = self.list();
        let idle = list.iter().position(|connection| connection.streams.load(Relaxed) == 0);
        idle.map(|idle| list.swap_remove(idle)).is_some()
    }

    /// Connections without a stream.
    pub(crate) fn idle_len(&self) -> usize {
        let is_idle = |connection: &&Arc<Connection>| connection.is_open() && connection.streams.load(Relaxed) == 0;
        self.list().iter().filter(is_idle).count()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn is_open(&self) -> bool {
        !self.sender.is_closed() && !self.over.load(Relaxed)
    }

    fn take(self: &Arc<Self>) -> Stream {
        self.streams.fetch_add(1, Relaxed);
        let reused = self.served.fetch_add(1, Relaxed) > 0;
        Stream { connection: Arc::clone(self), reused }
    }
}

/// Waits until the peer has said how many streams it takes: from then on it is known to speak HTTP/2.
async fn begin(remote: &Remote, io: Arc<Io>, label: Label<'_>, plan: &Plan<'_>) -> Result<Connection, Error> {
    let limit = plan.timeouts.connect;
    let ready = async {
        let failed = |error: hyper::Error| Error::Http2 { endpoint: Arc::clone(&remote.name), source: error.into() };
        let tasks = Tasks::default();
        let (sender, driver) = Builder::new(tasks.clone())
            .timer(TokioTimer::new())
            .initial_max_send_streams(0)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(IoStream(Arc::clone(&io))))
            .await
            .map_err(failed)?;
        let (allow, mut allowed) = watch::channel(0);
        tasks.spawn(drive(driver, tasks.clone(), allow));
        let connection = Connection {
            sender,
            label: label.map(|label| label.to_ascii_lowercase().into()),
            allowed: allowed.clone(),
            streams: AtomicUsize::new(0),
            served: AtomicU32::new(0),
            quiet_since: AtomicU32::new(io.clock().ticks()),
            over: AtomicBool::new(false),
            idle: u32::try_from(plan.keepalive.idle_timeout.as_millis() / TICK.as_millis()).unwrap_or(u32::MAX),
            address: Io::peer(&io),
            tasks,
            clock: io.clock().clone(),
            limit: plan.connections.map(|bound| Arc::clone(bound.limit)),
        };
        match allowed.wait_for(|allowed| *allowed > 0).await {
            Ok(_) => Ok(connection),
            Err(_) => Err(Error::Http2 {
                endpoint: Arc::clone(&remote.name),
                source: "the connection ended before its settings came".into(),
            }),
        }
    };
    let late = |_| Error::ConnectTimeout { endpoint: Arc::clone(&remote.name) };
    tokio::time::timeout(limit, ready).await.map_err(late)?
}

/// Runs a connection, and tells how many streams its peer allows.
async fn drive(
    connection: hyper::client::conn::http2::Connection<TokioIo<IoStream>, Body, Tasks>,
    tasks: Tasks,
    allow: watch::Sender<usize>,
) {
    let mut connection = pin!(connection);
    loop {
        let run = poll_fn(|cx| {
            let ended = connection.as_mut().poll(cx);
            let allowed = connection.current_max_send_streams();
            allow.send_if_modified(|before| std::mem::replace(before, allowed) != allowed);
            // An error here is an error of each stream as well, and is told there.
            ended.map(drop)
        });
        let unsettled = *allow.borrow() == 0;
        tokio::select! {
            () = run => return,
            () = tasks.moved(), if unsettled => {}
        }
    }
}
