//! [`HostAcceptor`]: what a host's own server needs of a table of certificates.
use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ClientHello;

use super::ServerTls;
use super::acceptor::TlsAcceptor;
use super::greeting::{for_anybody, for_hello};

/// TLS for another server that takes rustls, such as one with tokio-rustls. It is compiled once, by
/// [`ServerTls::acceptor`]; certificates are looked up in the table at each handshake. A clone is the same one.
///
/// ```no_run
/// # async fn example(tls: tollgate::tls::ServerTls, stream: tokio::net::TcpStream) -> Result<(), tollgate::BoxError> {
/// use tokio_rustls::{LazyConfigAcceptor, rustls::server::Acceptor};
///
/// let acceptor = tls.acceptor(&[b"h2", b"http/1.1"])?; // once
/// let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?; // for each connection
/// let config = acceptor.config_for(&hello.client_hello())?;
/// let stream = hello.into_stream(config).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct HostAcceptor {
    acceptor: Arc<TlsAcceptor>,
    usual: Arc<ServerConfig>,
}

impl HostAcceptor {
    pub(super) fn new(tls: &ServerTls, protocols: &[&[u8]]) -> Result<Self, rustls::Error> {
        let acceptor = Arc::new(TlsAcceptor::new(tls, protocols)?);
        let usual = for_anybody(&acceptor)?;
        Ok(Self { acceptor, usual })
    }

    /// For servers that take one configuration for all clients.
    ///
    /// Certificates with rules of their own, about versions or clients, are not shown by it, since one configuration cannot
    /// follow them; see [`config_for`](Self::config_for).
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.usual)
    }

    /// For one client whose hello was read (by `tokio_rustls::LazyConfigAcceptor` or `rustls::server::Acceptor`), with the
    /// rules of its certificate. Requests are judged by [`Certificate::admits`](super::Certificate::admits), with what
    /// [`judge_client`](super::Certificate::judge_client) says of the client.
    ///
    /// # Errors
    /// When rustls cannot make one.
    pub fn config_for(&self, hello: &ClientHello<'_>) -> Result<Arc<ServerConfig>, rustls::Error> {
        Ok(for_hello(&self.acceptor, hello)?.unwrap_or_else(|| self.config()))
    }
}

impl fmt::Debug for HostAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostAcceptor").field(self.acceptor.tls()).finish()
    }
}
