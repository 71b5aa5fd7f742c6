//! New connections: TCP, and TLS on it.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio::time::timeout;
use tokio::time::{Instant, timeout_at};

use super::super::attempt::Plan;
use super::super::error::Error;
use super::super::protocol::Wire;
use super::Remote;
use crate::net::{Io, Transport};

/// Which connections of a remote a request may have: any (`None`), or those on which the endpoint proved this name.
///
/// Only where the name depends on the request is there one; everywhere else all connections are alike.
pub(crate) type Label<'a> = Option<&'a str>;

/// The label of a connection.
pub(crate) type OwnLabel = Option<Arc<str>>;

/// Whether a connection may have the request.
pub(crate) fn fits(own: Option<&str>, wanted: Label<'_>) -> bool {
    match (own, wanted) {
        (None, None) => true,
        (Some(own), Some(wanted)) => own.eq_ignore_ascii_case(wanted),
        _ => false,
    }
}

/// A connection that stands.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) io: Arc<Io>,
    /// Whether HTTP/2 is spoken on it; otherwise HTTP/1.1 is.
    #[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "it is never"))]
    pub(crate) http2: bool,
}

impl Remote {
    /// Which connections a request with these fields may have.
    pub(crate) fn label<'r>(&'r self, headers: &'r HeaderMap) -> Label<'r> {
        #[cfg(feature = "tls")]
        if let Some(security) = &self.key.security {
            return security.naming.label(headers.get(http::header::HOST)?.to_str().ok()?);
        }
        let _ = headers;
        None
    }

    /// Opens a connection on which `offer` may be spoken, if there may be one more. TCP must stand at `until`, and TLS
    /// a time-out later.
    pub(crate) async fn open(
        &self,
        label: Label<'_>,
        offer: Wire,
        until: Instant,
        plan: &Plan<'_>,
    ) -> Result<Opened, Error> {
        let place = match plan.connections {
            Some(bound) => Some(bound.place(until).await?),
            None => None,
        };
        let opened = self.open_at_once(label, offer, until, plan.timeouts.connect).await?;
        if let Some(place) = place {
            opened.io.hold(place);
        }
        Ok(opened)
    }

    async fn open_at_once(
        &self,
        label: Label<'_>,
        offer: Wire,
        until: Instant,
        limit: Duration,
    ) -> Result<Opened, Error> {
        let endpoint = || Arc::clone(&self.name);
        let stream = timeout_at(until, TcpStream::connect(self.address())).await;
        let stream = stream.map_err(|_| Error::ConnectTimeout { endpoint: endpoint() })?;
        let stream = stream.map_err(|source| match source.kind() {
            io::ErrorKind::TimedOut => Error::ConnectTimeout { endpoint: endpoint() },
            _ => Error::Connect { endpoint: endpoint(), source },
        })?;
        let transport = Transport::Tcp(stream);
        #[cfg(feature = "tls")]
        if let Some(security) = &self.key.security {
            let hello = security.hello(label, offer);
            let secured = timeout(limit, crate::net::tls::connect(transport, hello, &self.sweep)).await;
            let secured = secured.map_err(|_| Error::TlsTimeout { endpoint: endpoint() })?;
            let secured = secured.map_err(|source| match label {
                Some(_) => Error::TlsOfHost { endpoint: endpoint(), source },
                None => Error::Tls { endpoint: endpoint(), source },
            })?;
            let http2 = secured.protocol.as_deref() == Some(b"h2");
            if offer == Wire::Http2 && !http2 {
                let source = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::NoApplicationProtocol);
                return Err(Error::Tls { endpoint: endpoint(), source });
            }
            return Ok(Opened { io: secured.io, http2 });
        }
        let _ = (label, limit);
        Ok(Opened { io: Io::new(transport, &self.sweep), http2: offer == Wire::Http2 })
    }
}
