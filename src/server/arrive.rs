//! The way of a connection from its acceptance to its first request: the PROXY header, then the TLS handshake, each where the
//! listener has it. A connection of a plain listener has no way to go.
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tower::Service;

use super::connection::Serve;
use super::door::Accepted;
use super::group::Group;
use super::proxy_protocol::{self, Claim};
use super::registry::{Arrival, Entry};
use super::seat::Seat;
#[cfg(feature = "tls")]
use super::secure::secure;
use super::{Listener, Protocols, ProxyProtocol};
use crate::ConnectInfo;
use crate::error::{Request, Response};
use crate::net::{Io, Transport};
#[cfg(feature = "tls")]
use crate::tls::{HandshakeFault, TlsAcceptor};

/// What stands for the client's address on a Unix socket: somebody on this machine.
const THIS_MACHINE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a listener's connections go through.
pub(super) struct Way {
    protocols: Protocols,
    proxy: Option<ProxyProtocol>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<TlsAcceptor>>,
    max_connections: Option<usize>,
}

/// A connection that can be spoken to.
pub(super) struct Arrived {
    pub(super) entry: Entry,
    pub(super) info: ConnectInfo,
    pub(super) protocols: Protocols,
}

/// Starts the task of a connection that has arrived.
pub(super) type Start = dyn Fn(Arrived) + Send + Sync;

impl Way {
    /// `before`: what the same listener was; TLS that is the same goes on, with its tickets.
    pub(super) fn new(listener: &Listener, before: Option<(&Listener, &Self)>) -> io::Result<Self> {
        #[cfg(not(feature = "tls"))]
        let _ = before;
        Ok(Self {
            protocols: listener.protocols,
            proxy: listener.proxy_protocol.clone(),
            #[cfg(feature = "tls")]
            tls: acceptor(listener, before)?,
            max_connections: listener.max_connections,
        })
    }

    /// HTTP/1 in clear text.
    pub(super) fn clear() -> Self {
        Self {
            protocols: Protocols::H1,
            proxy: None,
            #[cfg(feature = "tls")]
            tls: None,
            max_connections: None,
        }
    }

    /// Whether a connection can be spoken to as it is.
    pub(super) fn is_plain(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return false;
        }
        self.proxy.is_none()
    }

    /// Leads a connection in: at once where nothing is to be learned first, else by a task of its own that ends with the
    /// arrival, so that what a handshake needs is given back.
    pub(super) fn lead(self: &Arc<Self>, accepted: Accepted, group: &Arc<Group>, start: &Arc<Start>) {
        let Accepted { transport, peer } = accepted;
        let client = peer.map(|peer| peer.ip());
        // Of a balancer's connection it is not known yet whose it is.
        let known = if self.proxy.is_some() { None } else { client };
        // Without one it is closed, by being dropped.
        let Some(seat) = group.admit(self.max_connections, known) else { return };
        if self.is_plain() {
            start(self.at_once(transport, peer, seat));
            return;
        }
        let arrival = Group::arrive(seat);
        let ended_by = arrival.ended_by();
        let (way, start) = (Arc::clone(self), Arc::clone(start));
        let task = tokio::spawn(async move {
            if let Some(arrived) = way.arrive(transport, peer, arrival).await {
                start(arrived);
            }
        });
        ended_by(task.abort_handle());
    }

    /// A connection that can be spoken to as it is.
    pub(super) fn at_once(&self, transport: Transport, peer: Option<SocketAddr>, seat: Seat) -> Arrived {
        let io = Io::new(transport, &seat.group().registry().sweep);
        let info = info(peer, &io);
        Arrived { entry: Group::enter(io, seat), info, protocols: self.protocols }
    }

    /// What is to be learned before the first request. `None` when the connection ends before that.
    pub(super) async fn arrive(
        &self,
        transport: Transport,
        peer: Option<SocketAddr>,
        arrival: Arrival,
    ) -> Option<Arrived> {
        let group = Arc::clone(arrival.group());
        let drained = async {
            group.drained().await;
            tokio::time::sleep(group.registry().options.limits.drain_timeout).await;
        };
        tokio::select! {
            arrived = self.go(transport, peer, arrival) => {
                if arrived.as_ref().is_err_and(|error| !is_answered(error)) {
                    group.fail();
                }
                arrived.ok().flatten()
            }
            // Whoever has said nothing of use by then is not waited for.
            () = drained => None,
        }
    }

    async fn go(
        &self,
        transport: Transport,
        peer: Option<SocketAddr>,
        mut arrival: Arrival,
    ) -> io::Result<Option<Arrived>> {
        let claim = match &self.proxy {
            Some(proxy) if proxy.believes(peer.map(|peer| peer.ip())) => {
                within(proxy.timeout, proxy_protocol::read(&transport, proxy)).await?
            }
            Some(proxy) if !proxy.optional => return Err(io::ErrorKind::PermissionDenied.into()),
            _ => Claim::Own,
        };
        let client = match claim {
            Claim::For { client, .. } => Some(client),
            Claim::Own => peer,
        };
        if let Some(client) = client
            && !arrival.is_for(client.ip())
        {
            arrival.group().refuse();
            return Ok(None);
        }
        let (io, info, protocols) = self.spoken(transport, peer, &arrival).await?;
        let info = match claim {
            Claim::Own => info,
            Claim::For { client, server } => info.passed_on_for(client, server),
        };
        Ok(Some(Arrived { entry: arrival.settle(io), info, protocols }))
    }

    /// The TLS handshake, and what is spoken then; in clear text what the listener has.
    async fn spoken(
        &self,
        transport: Transport,
        peer: Option<SocketAddr>,
        arrival: &Arrival,
    ) -> io::Result<(Arc<Io>, ConnectInfo, Protocols)> {
        let registry = arrival.group().registry();
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let done = secure(transport, tls, &registry.sweep);
            let Ok(done) = tokio::time::timeout(registry.options.limits.handshake_timeout, done).await else {
                tls.counters().failed(HandshakeFault::Slow);
                return Err(io::ErrorKind::TimedOut.into());
            };
            let secured = done.map_err(io::Error::other)?;
            let protocols = match (secured.protocol.as_deref(), self.protocols) {
                (Some(H2), _) => Protocols::H2,
                // Without ALPN there is no HTTP/2 (RFC 9113 §3.2).
                (None, Protocols::H2) => return Err(io::ErrorKind::Unsupported.into()),
                _ => Protocols::H1,
            };
            let info = info(peer, &secured.io).with_handshake(secured.handshake);
            return Ok((secured.io, info, protocols));
        }
        let io = Io::new(transport, &registry.sweep);
        let info = info(peer, &io);
        Ok((io, info, self.protocols))
    }
}

/// ALPN of HTTP/2.
#[cfg(feature = "tls")]
const H2: &[u8] = b"h2";
/// ALPN of HTTP/1.
#[cfg(feature = "tls")]
const H1: &[u8] = b"http/1.1";

#[cfg(feature = "tls")]
fn acceptor(listener: &Listener, before: Option<(&Listener, &Way)>) -> io::Result<Option<Arc<TlsAcceptor>>> {
    let Some(tls) = &listener.tls else { return Ok(None) };
    if let Some((before, way)) = before
        && before.tls.as_ref() == Some(tls)
        && before.protocols == listener.protocols
    {
        return Ok(way.tls.clone());
    }
    let protocols: &[&[u8]] = match listener.protocols {
        Protocols::H1 => &[H1],
        Protocols::H2 => &[H2],
        Protocols::Both => &[H2, H1],
    };
    TlsAcceptor::new(tls, protocols).map(|acceptor| Some(Arc::new(acceptor))).map_err(io::Error::other)
}

/// Whether the handshake was all that was wanted: a challenge by which an authority looks at a name.
#[cfg(feature = "tls")]
fn is_answered(error: &io::Error) -> bool {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<HandshakeFault>());
    matches!(fault, Some(HandshakeFault::Challenge))
}

#[cfg(not(feature = "tls"))]
fn is_answered(_: &io::Error) -> bool {
    false
}

async fn within<T>(limit: std::time::Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn info(peer: Option<SocketAddr>, io: &Io) -> ConnectInfo {
    let info = ConnectInfo::new(peer.unwrap_or(THIS_MACHINE)).with_own_codec();
    match io.local() {
        Some(local) => info.with_local(local),
        None => info,
    }
}

impl Arrived {
    /// The connection as a future, served by `service`.
    pub(super) fn serve<S>(self, service: S) -> Serve<S>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
    {
        Serve::new(self.entry, service, self.protocols)
    }
}
