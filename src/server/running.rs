//! The server: listeners that come and go, and the drain.
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower::Service;

use super::accept::{Entrance, accept};
use super::arrive::{Arrived, Start, Way};
use super::door::{self, BindError};
use super::registry::{Options, Registry};
use super::{Limits, Listener, ListenerStatus};
use crate::ConnectInfo;
use crate::error::{Request, Response};
use crate::model::ListenAddress;

/// How often a drain looks again for connections that became idle.
const DRAIN_TICK: Duration = Duration::from_millis(100);

/// Options of a [`Server`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ServerBuilder {
    options: Options,
}

impl ServerBuilder {
    /// Limits and time-outs of all connections. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = Arc::new(limits);
        self
    }

    /// Whether the server's own answers are `application/problem+json` (RFC 9457). Default `false`.
    pub fn problem_details(mut self, problem_details: bool) -> Self {
        self.options.problem_details = problem_details;
        self
    }

    /// Makes the server: `make_service` is called once for each connection, and its service once for each request.
    ///
    /// The future of the service is held inside the connection; a large one should be boxed, so that an idle connection
    /// stays small.
    pub fn serve<M, S>(self, make_service: M) -> Server
    where
        M: Fn(ConnectInfo) -> S + Send + Sync + 'static,
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let start = move |arrived: Arrived| {
            let service = make_service(arrived.info.clone());
            let client = Arc::clone(arrived.entry.client());
            client.set_task(tokio::spawn(arrived.serve(service)).abort_handle());
        };
        Server { registry: Registry::new(self.options), start: Arc::new(start), listening: Mutex::default() }
    }
}

/// A server: listeners, and the connections that came in through them.
///
/// Dropping it stops the listeners and cuts all connections; [`Server::drain`] ends them in good order.
pub struct Server {
    registry: Arc<Registry>,
    start: Arc<Start>,
    listening: Mutex<Vec<Listening>>,
}

struct Listening {
    listener: Listener,
    /// The address that was asked for became this one.
    address: ListenAddress,
    since: SystemTime,
    entrance: Arc<Entrance>,
    task: AbortHandle,
}

impl Server {
    /// Begins with the defaults.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Listens on one more address of TCP; tells which it became when the port was 0. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] when the address cannot be had, or is none of TCP: [`Server::open`] takes all kinds.
    pub fn listen(&self, listener: Listener) -> Result<SocketAddr, BindError> {
        if !matches!(listener.address, ListenAddress::Tcp(_)) {
            return Err(BindError::NotTcp(listener.address));
        }
        match self.open(listener)? {
            ListenAddress::Tcp(address) => Ok(address),
            other => Err(BindError::NotTcp(other)),
        }
    }

    /// Listens with HTTP/1 on a Unix socket that only this process's user can connect to (mode 0600). What requests are told
    /// of such a client is the address 127.0.0.1, port 0. The socket is removed when the server stops listening; one that
    /// a process left behind that is gone is replaced. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] when the path cannot be had.
    pub fn listen_unix(&self, path: impl Into<PathBuf>) -> Result<(), BindError> {
        self.open(Listener::unix(path)).map(drop)
    }

    /// Listens on one more address of any kind, and tells which it became. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] when the address cannot be had.
    pub fn open(&self, listener: Listener) -> Result<ListenAddress, BindError> {
        let (door, address) = door::open(&listener)?;
        let way = ArcSwap::from_pointee(Way::new(&listener));
        let entrance = Arc::new(Entrance { door, group: self.registry.group(), way });
        let task = tokio::spawn(accept(Arc::clone(&entrance), Arc::clone(&self.start))).abort_handle();
        let since = SystemTime::now();
        self.listening().push(Listening { listener, address: address.clone(), since, entrance, task });
        Ok(address)
    }

    /// Stops listening on an address; its connections go on. `false` when the server does not listen there.
    pub fn stop_listening(&self, address: SocketAddr) -> bool {
        self.close(&ListenAddress::Tcp(address))
    }

    /// As [`Server::stop_listening`], for a Unix socket.
    pub fn stop_listening_unix(&self, path: &Path) -> bool {
        self.close(&ListenAddress::Unix(path.to_owned()))
    }

    /// As [`Server::stop_listening`], for any kind of address.
    pub fn close(&self, address: &ListenAddress) -> bool {
        let mut listening = self.listening();
        let Some(at) = listening.iter().position(|one| one.address == *address) else { return false };
        let closed = listening.swap_remove(at);
        drop(listening);
        closed.end(&self.start);
        true
    }

    /// The addresses of TCP that the server listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |one: &Listening| match one.address {
            ListenAddress::Tcp(address) => Some(address),
            _ => None,
        };
        self.listening().iter().filter_map(address).collect()
    }

    /// The listeners, and what became of their connections.
    pub fn listeners(&self) -> Vec<ListenerStatus> {
        self.listening().iter().map(Listening::status).collect()
    }

    /// Connections at the moment, tunnels and those that still arrive included.
    pub fn connections(&self) -> usize {
        self.registry.count()
    }

    /// Ends in good order (DRN-01): stops listening, closes idle connections, lets each answer close its connection,
    /// says goodbye to WebSockets and HTTP/2 clients, and cuts what is left after `deadline`. Returns when nothing is left.
    pub async fn drain(&self, deadline: Duration) {
        self.stop_all();
        self.registry.begin_drain();
        let end = Instant::now() + deadline;
        while self.registry.count() > 0 {
            if Instant::now() >= end {
                self.registry.abort_all();
            }
            // Again and again: one that was about to become idle may have missed the first look.
            self.registry.close_all_idle();
            let tick = end.min(Instant::now() + DRAIN_TICK).max(Instant::now() + Duration::from_millis(1));
            tokio::select! {
                () = self.registry.departed() => {}
                () = tokio::time::sleep_until(tick) => {}
            }
        }
    }

    fn stop_all(&self) {
        let all = std::mem::take(&mut *self.listening());
        all.iter().for_each(|one| one.end(&self.start));
    }

    fn listening(&self) -> MutexGuard<'_, Vec<Listening>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    fn status(&self) -> ListenerStatus {
        let group = &self.entrance.group;
        ListenerStatus {
            asked: self.listener.address.clone(),
            address: self.address.clone(),
            protocols: self.listener.protocols,
            since: self.since,
            connections: group.open(),
            accepted: group.accepted(),
            refused: group.refused(),
            failed: group.failed(),
        }
    }

    fn end(&self, start: &Arc<Start>) {
        self.entrance.close(start);
        // The loop would see that the door is closed at the next connection, and there is none.
        self.task.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for one in self.listening().drain(..) {
            one.entrance.door.close(drop);
            one.task.abort();
        }
        self.registry.abort_all();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
