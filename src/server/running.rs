//! The server: listeners that come and go, and the drain.
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tower::Service;

use super::apply::Applied;
use super::arrive::{Arrived, Start};
use super::door::{BindError, InheritedSocket};
use super::drain::{Drain, DrainHandle, Phase};
use super::listening::{Listeners, Listening, UNDER_WAY};
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
        Server { registry: Registry::new(self.options), start: Arc::new(start), listeners: Mutex::default() }
    }
}

/// A server: listeners, and the connections that came in through them.
///
/// Listeners come, change and go one by one ([`open`](Server::open), [`close`](Server::close)) or as a set
/// ([`apply`](Server::apply)), and no connection of another one notices.
///
/// Dropping it stops the listeners and cuts all connections; [`Server::drain`] ends them in good order.
pub struct Server {
    registry: Arc<Registry>,
    start: Arc<Start>,
    listeners: Mutex<Listeners>,
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
        let mut listeners = self.state();
        if listeners.ended {
            return Err(BindError::Draining(listener.address));
        }
        let with = (&self.registry, &self.start);
        let asked = listener.address.clone();
        let one = Listening::begin(listener, &listeners.inherited, false, with).map_err(|(_, error)| error)?;
        let address = one.address();
        listeners.open.push(one);
        // What `apply` could not have is there now; tried again, it would be wanted twice.
        listeners.missing.retain(|(one, _)| one.address != asked);
        Ok(address)
    }

    /// Takes a socket over that listens already, such as one that the process was started with. Listeners at
    /// [`ListenAddress::Inherited`] of this `name` accept by it; several sockets may have one name. It stays open as long as
    /// the server is there, whether it is listened on or not.
    pub fn adopt(&self, name: impl Into<String>, socket: impl Into<InheritedSocket>) {
        self.state().inherited.entry(name.into()).or_default().push(socket.into());
    }

    /// Goes over to this set of listeners, compared with those at work, however they came to be:
    ///
    /// * One at the same address goes on with its socket: no connection is refused or closed. What is different about it
    ///   holds for connections that are accepted from now on.
    /// * One that is new is opened, one that is not wanted is closed. Where both want one port, as 127.0.0.1:80 and
    ///   0.0.0.0:80 do, the new one is opened before the old one is closed.
    /// * What cannot be had is named, and the rest is in force. What it should have replaced stays.
    ///
    /// Connections that the system took in for a socket that is closed are served like the others. A server that drains
    /// opens nothing any more. Must be called inside a tokio runtime.
    pub fn apply(&self, wanted: Vec<Listener>) -> Applied {
        self.change(|_| wanted)
    }

    /// Tries again what [`apply`](Self::apply) could not have; `None` when nothing is missing. A host calls it now and then.
    pub fn retry(&self) -> Option<Applied> {
        let is_missing = !self.state().missing.is_empty();
        is_missing.then(|| self.change(Listeners::wanted))
    }

    fn change(&self, wanted: impl FnOnce(&Listeners) -> Vec<Listener>) -> Applied {
        let mut listeners = self.state();
        if listeners.ended {
            return Applied::default();
        }
        let wanted = wanted(&listeners);
        let (applied, ended) = listeners.apply(wanted, (&self.registry, &self.start));
        drop(listeners);
        // Without the lock: connections that wait are started by this, and what serves them may ask for listeners.
        ended.iter().for_each(|one| one.end(&self.start));
        applied
    }

    /// Stops listening on an address; its connections go on. One that could not be had is not tried again. `false` when the
    /// server neither listens there nor should.
    pub fn stop_listening(&self, address: SocketAddr) -> bool {
        self.close(&ListenAddress::Tcp(address))
    }

    /// As [`Server::stop_listening`], for a Unix socket.
    pub fn stop_listening_unix(&self, path: &Path) -> bool {
        self.close(&ListenAddress::Unix(path.to_owned()))
    }

    /// As [`Server::stop_listening`], for any kind of address.
    pub fn close(&self, address: &ListenAddress) -> bool {
        let mut listeners = self.state();
        let wanted = listeners.missing.len();
        listeners.missing.retain(|(one, _)| one.address != *address);
        let was_missing = listeners.missing.len() < wanted;
        let Some(at) = listeners.open.iter().position(|one| one.is_at(address)) else { return was_missing };
        let closed = listeners.open.swap_remove(at);
        // Another process that listens there has what is not accepted any more; waiting for that takes a runtime.
        if closed.shares_port() && Handle::try_current().is_ok() {
            let closed = Arc::new(closed);
            closed.end_later(&self.start);
            listeners.leaving.retain(|one| !one.entrance.door.is_closed());
            listeners.leaving.push(closed);
            return true;
        }
        drop(listeners);
        closed.end(&self.start);
        true
    }

    /// The addresses of TCP that the server listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.state().open.iter().flat_map(|one| one.entrance.door.addresses()).collect()
    }

    /// The listeners, those that are wanted and cannot be had included, and what became of their connections.
    pub fn listeners(&self) -> Vec<ListenerStatus> {
        self.state().status()
    }

    /// Connections at the moment, tunnels and those that still arrive included.
    pub fn connections(&self) -> usize {
        self.registry.count()
    }

    /// Sees the end of this server, and can hasten it.
    pub fn drain_handle(&self) -> DrainHandle {
        self.registry.end.clone()
    }

    /// Ends in good order without a grace period: see [`drain_with`](Self::drain_with).
    pub async fn drain(&self, deadline: Duration) {
        self.drain_with(Drain::within(deadline)).await;
    }

    /// Ends in good order (DRN-01): tells [`DrainHandle`]s at once, accepts connections for as long as `drain.grace` says, stops
    /// listening, closes idle connections, lets each answer close its connection, says goodbye to WebSockets and HTTP/2
    /// clients, and cuts what is left after `drain.deadline`. Connections that still arrive have a second
    /// ([`Limits::drain_timeout`]). Returns when nothing is left.
    pub async fn drain_with(&self, drain: Drain) {
        let registry = &self.registry;
        registry.end.raise(Phase::Announced);
        if !drain.grace.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(drain.grace) => {}
                () = registry.end.reached(Phase::Cut) => {}
            }
        }
        if self.share() {
            // Another process has the address as well: what begins now is to begin there.
            tokio::select! {
                () = tokio::time::sleep(UNDER_WAY) => {}
                () = registry.end.reached(Phase::Cut) => {}
            }
        }
        self.stop_all();
        registry.begin_drain();
        let end = Instant::now() + drain.deadline;
        let mut next_look = Instant::now();
        while registry.count() > 0 {
            let cut = registry.end.is(Phase::Cut);
            if cut || Instant::now() >= end {
                registry.abort_all();
            }
            // Again and again: one that was about to become idle may have missed the first look.
            // Not at each departure: there may be many of both.
            if Instant::now() >= next_look {
                registry.close_all_idle(None);
                next_look = Instant::now() + DRAIN_TICK;
            }
            let tick = end.min(next_look).max(Instant::now() + Duration::from_millis(1));
            tokio::select! {
                () = registry.departed() => {}
                () = registry.end.reached(Phase::Cut), if !cut => {}
                () = tokio::time::sleep_until(tick) => {}
            }
        }
    }

    /// Leaves new connections to others that listen on the same addresses; tells whether there may be any (DRN-03).
    fn share(&self) -> bool {
        let listeners = self.state();
        let shared = listeners.open.iter().filter(|one| one.shares_port());
        shared.inspect(|one| one.entrance.door.begin_to_close()).count() > 0
    }

    fn stop_all(&self) {
        let (open, leaving) = {
            let mut listeners = self.state();
            listeners.ended = true;
            listeners.missing.clear();
            (std::mem::take(&mut listeners.open), std::mem::take(&mut listeners.leaving))
        };
        open.iter().chain(leaving.iter().map(AsRef::as_ref)).for_each(|one| one.end(&self.start));
    }

    fn state(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whoever waits for the end must hear of it.
        self.registry.end.raise(Phase::Cut);
        let mut listeners = self.state();
        listeners.open.drain(..).for_each(|one| one.cut());
        listeners.leaving.drain(..).for_each(|one| one.cut());
        drop(listeners);
        self.registry.leave();
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
