//! The strict front for somebody else's listener and service.
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};
use tower::Service;

use super::connection::Serve;
use super::group::Group;
use super::registry::{Options, Registry};
use super::{Limits, Protocols};
use crate::error::{Request, Response};
use crate::net::{Io, Transport};

/// Serves connections that the host accepts, with every rule of our own listeners: strict parsing, limits, clocks.
///
/// For a host that wants security.md §2 in front of its own service, be it a gateway or not: any tower service of
/// [`Request`] to [`Response`] fits, and [`Next::new`](crate::Next::new) makes one of an axum `Router`.
///
/// ```no_run
/// # async fn example(router: axum::Router) -> std::io::Result<()> {
/// use tollgate::server::{Limits, StrictAcceptor};
///
/// let acceptor = StrictAcceptor::new(Limits::default());
/// let service = tollgate::Next::new(router);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     let (stream, _) = listener.accept().await?;
///     tokio::spawn(acceptor.serve(stream, service.clone()));
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct StrictAcceptor {
    group: Arc<Group>,
    protocols: Protocols,
}

impl StrictAcceptor {
    /// An acceptor for HTTP/1 with these limits. Connections are not counted: `max_connections` is the host's business.
    pub fn new(limits: Limits) -> Self {
        let options = Options { limits: Arc::new(limits), problem_details: false };
        Self { group: Registry::new(options).group(), protocols: Protocols::H1 }
    }

    /// Sets what is spoken. HTTP/2 needs the feature `http2`; without it such a connection is closed.
    #[must_use]
    pub fn with_protocols(mut self, protocols: Protocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Serves one TCP connection to its end. Must be called inside a tokio runtime.
    pub fn serve<S>(&self, stream: TcpStream, service: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        self.serve_transport(Transport::Tcp(stream), service)
    }

    /// Serves one connection of a Unix socket to its end. Must be called inside a tokio runtime.
    pub fn serve_unix<S>(&self, stream: UnixStream, service: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        self.serve_transport(Transport::Unix(stream), service)
    }

    fn serve_transport<S>(&self, transport: Transport, service: S) -> Serve<S>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let io = Io::new(transport, &self.group.registry().sweep);
        let client = io.peer().map(|peer| peer.ip());
        let entry = self.group.enter(io, client);
        Serve::new(entry, service, self.protocols)
    }

    /// From now on answers close their connection, and idle connections end.
    pub fn begin_drain(&self) {
        self.group.registry().begin_drain();
        self.group.registry().close_all_idle(None);
    }

    /// Connections at the moment, tunnels included.
    pub fn connections(&self) -> usize {
        self.group.registry().count()
    }
}

impl fmt::Debug for StrictAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrictAcceptor").field("protocols", &self.protocols).finish_non_exhaustive()
    }
}
