//! Probes as the configuration wants them.
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::super::checker::Probe;
use super::super::config::{ActiveConfig, ProbeKind};
use super::super::machine::Report;
use super::super::statuses::Statuses;
use super::connect::connect;
#[cfg(feature = "http2")]
use super::grpc;
use super::http::Message;

/// A stream that was secured.
pub(crate) trait SecureStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> SecureStream for S {}

/// A handshake that goes on.
pub(crate) type Securing<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn SecureStream>>> + Send + 'a>>;

/// Speaks TLS over a stream.
pub(crate) trait Secure: Send + Sync {
    /// Shakes hands with whom `host` (a `Host` field, perhaps with a port) names.
    fn secure<'a>(&'a self, stream: TcpStream, host: &'a str) -> Securing<'a>;
}

/// Makes the probes of one upstream.
pub(crate) struct Prober {
    kind: Kind,
    tls: Option<Arc<dyn Secure>>,
    timeout: Duration,
    healthy: Statuses,
    unhealthy: Statuses,
}

enum Kind {
    Tcp,
    Http(Message),
    #[cfg(feature = "http2")]
    Grpc(Box<str>),
}

impl Prober {
    /// Probes as `config` says; over TLS by `tls` where that is there.
    pub(crate) fn new(config: &ActiveConfig, tls: Option<Arc<dyn Secure>>) -> Self {
        let kind = match &config.probe {
            ProbeKind::Tcp => Kind::Tcp,
            ProbeKind::Http(probe) => Kind::Http(Message::new(probe)),
            #[cfg(feature = "http2")]
            ProbeKind::Grpc { service } => Kind::Grpc(service.as_str().into()),
            // Refused at the load; a connection is the least that it takes.
            #[cfg(not(feature = "http2"))]
            ProbeKind::Grpc { .. } => Kind::Tcp,
        };
        Self {
            kind,
            tls,
            timeout: config.timeout,
            healthy: config.healthy_statuses,
            unhealthy: config.unhealthy_statuses,
        }
    }

    async fn ask(&self, address: SocketAddr, host: &HeaderValue) -> Option<Report> {
        let Ok(stream) = connect(address).await else { return Some(Report::TcpFailure) };
        if matches!(self.kind, Kind::Tcp) {
            return Some(Report::Success);
        }
        match &self.tls {
            None => self.ask_over(stream, host).await,
            Some(tls) => match tls.secure(stream, host.to_str().unwrap_or_default()).await {
                Ok(stream) => self.ask_over(stream, host).await,
                Err(_) => Some(Report::TcpFailure),
            },
        }
    }

    async fn ask_over(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Send + Unpin,
        host: &HeaderValue,
    ) -> Option<Report> {
        match &self.kind {
            Kind::Tcp => Some(Report::Success),
            Kind::Http(message) => message.ask(&mut stream, host).await.report(&self.healthy, &self.unhealthy),
            // HTTP/2 keeps much for a connection; the usual probe's future has no room for it.
            #[cfg(feature = "http2")]
            Kind::Grpc(service) => {
                let host = host.to_str().unwrap_or_default();
                Some(Box::pin(grpc::ask(stream, self.tls.is_some(), host, service)).await)
            }
        }
    }
}

impl Probe for Prober {
    async fn probe(&self, address: SocketAddr, host: &HeaderValue) -> Option<Report> {
        let asked = tokio::time::timeout(self.timeout, self.ask(address, host)).await;
        asked.unwrap_or(Some(Report::Timeout))
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
