//! The server: listeners that come and go, and the drain.
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower::Service;

use super::Limits;
use super::connection::Serve;
use super::listener::{self, BindError, Door, Listener, Protocols};
use super::registry::{Options, Registry};
use super::unix::{self, UnixBindError};
use crate::ConnectInfo;
use crate::error::{Request, Response};
use crate::net::{Io, Transport};

/// How often a drain looks again for connections that became idle.
const DRAIN_TICK: Duration = Duration::from_millis(100);

/// Starts the task of one connection.
type Spawn = dyn Fn(&Arc<Registry>, Transport, Protocols) + Send + Sync;

/// What stands for the client's address on a Unix socket: somebody on this machine.
const THIS_MACHINE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

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
        let spawn = move |registry: &Arc<Registry>, stream: Transport, protocols: Protocols| {
            let is_unix = matches!(stream, Transport::Unix(_));
            let io = Io::new(stream, &registry.sweep);
            // Without a peer a connection by TCP is gone already.
            let Some(peer) = io.peer().or(is_unix.then_some(THIS_MACHINE)) else { return };
            let mut info = ConnectInfo::new(peer).with_own_codec();
            if let Some(local) = io.local() {
                info = info.with_local(local);
            }
            let service = make_service(info);
            let entry = registry.enter(io);
            let client = Arc::clone(entry.client());
            client.set_task(tokio::spawn(Serve::new(entry, service, protocols)).abort_handle());
        };
        Server { registry: Registry::new(self.options), spawn: Arc::new(spawn), listening: Mutex::default() }
    }
}

/// A server: listeners, and the connections that came in through them.
///
/// Dropping it stops the listeners and cuts all connections; [`Server::drain`] ends them in good order.
pub struct Server {
    registry: Arc<Registry>,
    spawn: Arc<Spawn>,
    listening: Mutex<Vec<Listening>>,
}

struct Listening {
    at: At,
    task: AbortHandle,
}

#[derive(PartialEq, Eq)]
enum At {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Server {
    /// Begins with the defaults.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Listens on one more address; tells which it became when the port was 0. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`] when the address cannot be had.
    pub fn listen(&self, listener: Listener) -> Result<SocketAddr, BindError> {
        let socket = listener::bind(&listener)?;
        let asked = listener.address;
        let address = socket.local_addr().map_err(|source| BindError::Other { address: asked, source })?;
        self.open(At::Tcp(address), Door::Tcp(socket), listener.protocols);
        Ok(address)
    }

    /// Listens with HTTP/1 on a Unix socket that only this process's user can connect to (mode 0600). What requests are told
    /// of such a client is the address 127.0.0.1, port 0. The socket is removed when the server stops listening; one that
    /// a process left behind that is gone is replaced. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`UnixBindError`] when the path cannot be had.
    pub fn listen_unix(&self, path: impl Into<PathBuf>) -> Result<(), UnixBindError> {
        let path = path.into();
        let door = unix::Door::open(&path)?;
        self.open(At::Unix(path), Door::Unix(door), Protocols::H1);
        Ok(())
    }

    fn open(&self, at: At, door: Door, protocols: Protocols) {
        let (spawn, registry) = (Arc::clone(&self.spawn), Arc::clone(&self.registry));
        let serve = {
            let registry = Arc::clone(&registry);
            move |stream| spawn(&registry, stream, protocols)
        };
        let task = tokio::spawn(listener::accept(door, registry, serve)).abort_handle();
        self.listening().push(Listening { at, task });
    }

    /// Stops listening on an address; its connections go on. `false` when the server does not listen there.
    pub fn stop_listening(&self, address: SocketAddr) -> bool {
        self.close(&At::Tcp(address))
    }

    /// As [`Server::stop_listening`], for a Unix socket.
    pub fn stop_listening_unix(&self, path: &Path) -> bool {
        self.close(&At::Unix(path.to_owned()))
    }

    fn close(&self, at: &At) -> bool {
        let mut listening = self.listening();
        let before = listening.len();
        listening.retain(|one| {
            if one.at == *at {
                one.task.abort();
            }
            one.at != *at
        });
        listening.len() < before
    }

    /// The addresses that the server listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |one: &Listening| match one.at {
            At::Tcp(address) => Some(address),
            At::Unix(_) => None,
        };
        self.listening().iter().filter_map(address).collect()
    }

    /// Connections at the moment, tunnels included.
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
            self.registry.close_idle_oldest(usize::MAX);
            let tick = end.min(Instant::now() + DRAIN_TICK).max(Instant::now() + Duration::from_millis(1));
            tokio::select! {
                () = self.registry.departed() => {}
                () = tokio::time::sleep_until(tick) => {}
            }
        }
    }

    fn stop_all(&self) {
        for one in self.listening().drain(..) {
            one.task.abort();
        }
    }

    fn listening(&self) -> MutexGuard<'_, Vec<Listening>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_all();
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
