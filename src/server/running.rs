//! The server: listeners that come and go, and the drain.
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tower::Service;

use super::Limits;
use super::connection::Serve;
use super::listener::{self, BindError, Listener, Protocols};
use super::registry::{Options, Registry};
use crate::ConnectInfo;
use crate::error::{Request, Response};
use crate::net::{Io, Transport};

/// How often a drain looks again for connections that became idle.
const DRAIN_TICK: Duration = Duration::from_millis(100);

/// Starts the task of one connection.
type Spawn = dyn Fn(&Arc<Registry>, TcpStream, Protocols) + Send + Sync;

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
        let spawn = move |registry: &Arc<Registry>, stream: TcpStream, protocols: Protocols| {
            let io = Io::new(Transport::Tcp(stream), &registry.sweep);
            // Without a peer the connection is gone already.
            let Some(peer) = io.peer() else { return };
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
    address: SocketAddr,
    task: AbortHandle,
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
        let (spawn, registry) = (Arc::clone(&self.spawn), Arc::clone(&self.registry));
        let serve = {
            let registry = Arc::clone(&registry);
            move |stream| spawn(&registry, stream, listener.protocols)
        };
        let task = tokio::spawn(listener::accept(socket, registry, serve)).abort_handle();
        self.listening().push(Listening { address, task });
        Ok(address)
    }

    /// Stops listening on an address; its connections go on. `false` when the server does not listen there.
    pub fn stop_listening(&self, address: SocketAddr) -> bool {
        let mut listening = self.listening();
        let before = listening.len();
        listening.retain(|one| {
            if one.address == address {
                one.task.abort();
            }
            one.address != address
        });
        listening.len() < before
    }

    /// The addresses that the server listens on.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listening().iter().map(|one| one.address).collect()
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
