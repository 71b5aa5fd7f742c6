//! TLS of probes.
use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::super::health::{Secure, Securing};
use super::super::protocol::Wire;
use super::config::{TlsConfig, TlsFault};
use super::identity::{Identities, Identity};
use super::naming::name;
use super::security::hello;
use crate::net::{IoStream, Sweep, Transport, tls};

/// Shakes hands as requests do, but with whom the probe's `Host` names.
pub(crate) struct ProbeSecurity {
    identity: Arc<Identity>,
    sni: Option<ServerName<'static>>,
    wire: Wire,
    sweep: Sweep,
}

impl ProbeSecurity {
    /// As the upstream does; without verification unless `verify`.
    ///
    /// # Errors
    /// As for the upstream itself.
    pub(crate) fn new(
        identities: &Identities,
        config: &TlsConfig,
        verify: bool,
        wire: Wire,
        sweep: &Sweep,
    ) -> Result<Self, TlsFault> {
        let mut config = config.clone();
        if !verify {
            config = config.dangerous_without_verification();
        }
        let sni = config.sni.as_deref().map(|sni| name(sni).ok_or_else(|| TlsFault::new("sni", "is no name")));
        Ok(Self { identity: identities.get(&config)?, sni: sni.transpose()?, wire, sweep: sweep.clone() })
    }

    async fn handshake(&self, stream: TcpStream, host: &str) -> io::Result<IoStream> {
        let name = match self.sni.clone().or_else(|| name(host)) {
            Some(name) => name,
            None => ServerName::IpAddress(stream.peer_addr()?.ip().into()),
        };
        let hello = hello(&self.identity, name, self.wire);
        Ok(IoStream(tls::connect(Transport::Tcp(stream), hello, &self.sweep).await?.io))
    }
}

impl Secure for ProbeSecurity {
    fn secure<'a>(&'a self, stream: TcpStream, host: &'a str) -> Securing<'a> {
        Box::pin(async move { Ok(Box::new(self.handshake(stream, host).await?) as _) })
    }
}
