//! One place on the network, with its connections.
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;

use http::HeaderValue;
use tokio::time::Instant;

use super::super::attempt::Plan;
use super::super::config::{Keepalive, Scheme, UpstreamKey};
use super::super::connection_limit::ConnectionLimit;
use super::super::error::Error;
#[cfg(feature = "http2")]
use super::super::http2::Connections;
use super::super::protocol::Wire;
#[cfg(feature = "tls")]
use super::super::tls::Security;
use super::open::{Label, OwnLabel};
use super::pool::{Idle, Pool};
use crate::net::{Io, Sweep};

/// What makes two nodes the same place: they share connections (upstream.md §6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RemoteKey {
    pub(crate) scheme: Scheme,
    /// The node's, in lower case, IPv6 without brackets.
    pub(crate) host: Arc<str>,
    /// The address itself, or one of those that the host has.
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) wire: Wire,
    /// The upstream that may have so many connections only: it shares them with no other.
    pub(crate) bounded: Option<UpstreamKey>,
    /// With TLS.
    #[cfg(feature = "tls")]
    pub(crate) security: Option<Security>,
}

impl RemoteKey {
    /// The same at another address.
    pub(crate) fn at(&self, address: IpAddr) -> Self {
        Self { address, ..self.clone() }
    }
}

/// One socket address: its idle connections. Lives as long as an upstream leads to it, over reloads.
#[derive(Debug)]
pub(crate) struct Remote {
    /// `host:port`.
    pub(crate) name: Arc<str>,
    /// What `Host` says under `pass_host: node`.
    pub(crate) host: HeaderValue,
    pub(super) key: RemoteKey,
    pub(super) sweep: Sweep,
    pool: Pool,
    /// Where HTTP/2 may be spoken.
    #[cfg(feature = "http2")]
    streams: Connections,
}

impl Remote {
    /// `None` when the host cannot stand in a `Host` field.
    pub(crate) fn new(key: RemoteKey, sweep: &Sweep) -> Option<Self> {
        let host = if key.host.contains(':') { format!("[{}]", key.host) } else { key.host.to_string() };
        let name: Arc<str> = format!("{host}:{}", key.port).into();
        if !crate::http1::is_host(name.as_bytes()) {
            return None;
        }
        let standard = key.port == key.scheme.default_port();
        Some(Self {
            host: HeaderValue::from_str(if standard { &host } else { &name }).ok()?,
            name,
            key,
            sweep: sweep.clone(),
            pool: Pool::default(),
            #[cfg(feature = "http2")]
            streams: Connections::new(),
        })
    }

    /// A connection that waits in the pool, if there is one.
    pub(super) async fn idle(self: &Arc<Self>, label: Label<'_>, plan: &Plan<'_>) -> Option<Lease> {
        let Idle { io, label, served } =
            poll_fn(|cx| Poll::Ready(self.pool.take(cx, self.sweep.clock(), label))).await?;
        Some(Lease { served, ..self.leased(io, label, plan) })
    }

    /// A new connection for HTTP/1.
    pub(super) async fn connect(self: &Arc<Self>, label: Label<'_>, plan: &Plan<'_>) -> Result<Lease, Error> {
        let opened = self.open(label, Wire::Http1, Instant::now() + plan.timeouts.connect, plan).await?;
        Ok(self.lease(opened.io, label, plan))
    }

    /// A connection that was opened just now.
    pub(super) fn lease(self: &Arc<Self>, io: Arc<Io>, label: Label<'_>, plan: &Plan<'_>) -> Lease {
        let label = label.map(|label| label.to_ascii_lowercase().into());
        self.leased(io, label, plan)
    }

    fn leased(self: &Arc<Self>, io: Arc<Io>, label: OwnLabel, plan: &Plan<'_>) -> Lease {
        let limit = plan.connections.map(|bound| Arc::clone(bound.limit));
        Lease { remote: Arc::clone(self), io, label, served: 0, keepalive: *plan.keepalive, limit }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.key.address, self.key.port)
    }

    /// How it is spoken to.
    #[cfg(feature = "http2")]
    pub(crate) fn scheme(&self) -> Scheme {
        self.key.scheme
    }

    /// What may be spoken here.
    #[cfg(feature = "http2")]
    pub(super) fn wire(&self) -> Wire {
        self.key.wire
    }

    /// The HTTP/2 connections.
    #[cfg(feature = "http2")]
    pub(crate) fn streams(&self) -> &Connections {
        &self.streams
    }

    /// Idle connections.
    pub(crate) fn idle_len(&self) -> usize {
        #[cfg(feature = "http2")]
        return self.streams.idle_len() + self.pool.len();
        #[cfg(not(feature = "http2"))]
        self.pool.len()
    }

    /// Closes a connection that waits for a request; whether there was one.
    pub(crate) fn close_idle(&self) -> bool {
        #[cfg(feature = "http2")]
        return self.pool.close_one() || self.streams.close_idle();
        #[cfg(not(feature = "http2"))]
        self.pool.close_one()
    }

    /// Whether connections are not kept, because bytes came that answered nothing (UP-05b).
    pub(crate) fn is_quarantined(&self) -> bool {
        self.pool.is_quarantined(self.sweep.clock())
    }

    /// Drops connections that have ended. Called by the sweep.
    pub(crate) fn reap(&self) {
        let clock = self.sweep.clock();
        self.pool.reap(clock);
        #[cfg(feature = "http2")]
        self.streams.reap(clock);
    }
}

/// A connection in use. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(super) remote: Arc<Remote>,
    pub(super) io: Arc<Io>,
    label: OwnLabel,
    served: u32,
    keepalive: Keepalive,
    /// If there may be so many connections only.
    limit: Option<Arc<ConnectionLimit>>,
}

impl Lease {
    /// Whether it has carried requests before.
    pub(super) fn is_reused(&self) -> bool {
        self.served > 0
    }

    /// The response is complete and the connection in step: another request may have it.
    pub(super) fn give_back(self) {
        let idle = Idle { io: self.io, label: self.label, served: self.served.saturating_add(1) };
        self.remote.pool.put(idle, &self.keepalive, self.remote.sweep.clock());
        // Looked at behind the pool: whoever waits has looked into it before, or finds this one.
        if self.limit.is_some_and(|limit| limit.is_wanted()) {
            self.remote.close_idle();
        }
    }

    /// Takes the connection out of HTTP.
    pub(super) fn into_io(self) -> Arc<Io> {
        self.io
    }

    /// Bytes came behind the end of a response (UP-05b).
    pub(super) fn give_up_on_strays(self) {
        self.remote.pool.quarantine(self.remote.sweep.clock());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hosts_of_nodes() {
        let remote = |scheme, host: &str, port| {
            let key = RemoteKey {
                scheme,
                host: host.into(),
                address: IpAddr::from([127, 0, 0, 1]),
                port,
                wire: Wire::Http1,
                bounded: None,
                #[cfg(feature = "tls")]
                security: None,
            };
            let remote = Remote::new(key, &Sweep::new())?;
            Some((remote.name.to_string(), remote.host.to_str().unwrap().to_owned()))
        };
        // The port that the scheme has anyway is not said in `Host` (upstream.md §5).
        for (scheme, host, port, name, said) in [
            (Scheme::Http, "a.test", 80, "a.test:80", "a.test"),
            (Scheme::Http, "a.test", 443, "a.test:443", "a.test:443"),
            (Scheme::Grpc, "10.0.0.1", 80, "10.0.0.1:80", "10.0.0.1"),
            (Scheme::Https, "a.test", 443, "a.test:443", "a.test"),
            (Scheme::Http, "::1", 80, "[::1]:80", "[::1]"),
            (Scheme::Http, "2001:db8::1", 8080, "[2001:db8::1]:8080", "[2001:db8::1]:8080"),
        ] {
            assert_eq!(remote(scheme, host, port), Some((name.into(), said.into())), "{host}:{port}");
        }
        for host in ["", "a b", "a/b", "u@h", "a\r\nb", ":::"] {
            assert_eq!(remote(Scheme::Http, host, 80), None, "{host:?}");
        }
    }
}
