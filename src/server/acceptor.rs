//! The strict front for somebody else's listener and service.
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};
use tower::Service;

use super::arrive::Way;
use super::door::{self, BindError};
use super::group::Group;
use super::registry::{Options, Registry};
use super::seat::Seat;
use super::{Limits, Listener};
use crate::ConnectInfo;
use crate::error::{Request, Response};
use crate::net::Transport;

/// Serves connections that the host accepts, with every rule of our own listeners: strict parsing, limits, clocks; TLS and
/// the PROXY protocol, where they are wanted.
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
    way: Arc<Way>,
}

impl StrictAcceptor {
    /// An acceptor for HTTP/1 in clear text with these limits. How many connections there are is the host's business:
    /// [`max_connections`](Limits::max_connections) and [`max_connections_per_ip`](Limits::max_connections_per_ip) are not
    /// looked at.
    pub fn new(limits: Limits) -> Self {
        Self::along(Way::clear(), limits)
    }

    /// As [`new`](Self::new), with what is spoken on `listener`: its protocols, its TLS and its PROXY protocol. Address, options
    /// of the socket and limits of numbers are the host's business.
    ///
    /// ```no_run
    /// # async fn example(gateway: tollgate::gateway::Gateway) -> Result<(), Box<dyn std::error::Error>> {
    /// use tollgate::server::{Limits, Listener, ProxyProtocol, StrictAcceptor};
    ///
    /// let socket = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// let listener = Listener::new(socket.local_addr()?).with_proxy_protocol(ProxyProtocol::default());
    /// let acceptor = StrictAcceptor::for_listener(&listener, Limits::default())?;
    /// loop {
    ///     let (stream, _) = socket.accept().await?;
    ///     let gateway = gateway.clone();
    ///     tokio::spawn(acceptor.serve_with(stream, move |client| gateway.connection(client)));
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`BindError`] when that cannot be spoken: HTTP/2 without the feature `http2`, an optional PROXY header on a Unix
    /// socket, TLS that rustls cannot do.
    pub fn for_listener(listener: &Listener, limits: Limits) -> Result<Self, BindError> {
        door::judge(listener)?;
        let way = Way::new(listener, None).map_err(|error| BindError::of(&listener.address, error))?;
        Ok(Self::along(way, limits))
    }

    fn along(way: Way, mut limits: Limits) -> Self {
        limits.max_connections_per_ip = None;
        let options = Options { limits: Arc::new(limits), problem_details: false };
        Self { group: Registry::new(options).group(), way: Arc::new(way) }
    }

    /// Serves one TCP connection to its end. Must be called inside a tokio runtime.
    pub fn serve<S>(&self, stream: TcpStream, service: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        self.serve_with(stream, |_| service)
    }

    /// As [`serve`](Self::serve), with a service that `make_service` makes once the PROXY header and the TLS handshake are over
    /// and have told whose connection it is; not at all, if they fail.
    pub fn serve_with<S, M>(&self, stream: TcpStream, make_service: M) -> impl Future<Output = ()> + Send + use<S, M>
    where
        M: FnOnce(ConnectInfo) -> S + Send,
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let peer = stream.peer_addr().ok();
        self.lead(Transport::Tcp(stream), peer, make_service)
    }

    /// Serves one connection of a Unix socket to its end. Must be called inside a tokio runtime.
    pub fn serve_unix<S>(&self, stream: UnixStream, service: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        self.serve_unix_with(stream, |_| service)
    }

    /// As [`serve_with`](Self::serve_with), for a Unix socket. A PROXY header is never optional there.
    pub fn serve_unix_with<S, M>(
        &self,
        stream: UnixStream,
        make_service: M,
    ) -> impl Future<Output = ()> + Send + use<S, M>
    where
        M: FnOnce(ConnectInfo) -> S + Send,
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        self.lead(Transport::Unix(stream), None, make_service)
    }

    /// The connection counts from here on, before it is polled.
    fn lead<S, M>(
        &self,
        transport: Transport,
        peer: Option<SocketAddr>,
        make_service: M,
    ) -> impl Future<Output = ()> + Send + use<S, M>
    where
        M: FnOnce(ConnectInfo) -> S + Send,
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        let seat = Seat::free(&self.group);
        let (mut at_once, mut arriving) = (None, None);
        if self.way.is_plain() {
            at_once = Some(self.way.at_once(transport, peer, seat));
        } else {
            let (way, arrival) = (Arc::clone(&self.way), Group::arrive(seat));
            // Boxed, so that what a handshake needs is given back when it is over.
            arriving = Some(Box::pin(async move { way.arrive(transport, peer, arrival).await }));
        }
        async move {
            let arrived = match arriving.take() {
                Some(arriving) => arriving.await,
                None => at_once,
            };
            if let Some(arrived) = arrived {
                let service = make_service(arrived.info.clone());
                arrived.serve(service).await;
            }
        }
    }

    /// From now on answers close their connection, idle connections end, and those that still arrive have a second
    /// ([`Limits::drain_timeout`]).
    pub fn begin_drain(&self) {
        self.group.registry().begin_drain();
        self.group.registry().close_all_idle(None);
    }

    /// Connections at the moment, tunnels and those that still arrive included.
    pub fn connections(&self) -> usize {
        self.group.registry().count()
    }
}

impl fmt::Debug for StrictAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrictAcceptor").field("connections", &self.connections()).finish_non_exhaustive()
    }
}
