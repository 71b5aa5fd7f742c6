//! The directory: one connection for each log-in.
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::message::{self, Answer, MAX_ANSWER, Unread};
use super::{LdapAuthConfig, LdapAuthPlugin};
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::callout::client;

/// Port of directories (RFC 4511 §5.2).
const PORT: u16 = 389;
/// Binds that are under way at once.
const MOST_AT_ONCE: usize = 64;

/// Where a directory is, and how it is spoken to.
pub(super) struct Directory {
    host: String,
    port: u16,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    timeout: Duration,
    /// A crowd of log-ins is no load that the directory has to bear at once.
    places: Semaphore,
}

/// Why a directory gave no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("the exchange failed")]
    Io(#[from] io::Error),
    #[error("the connection was closed before the answer")]
    Closed,
    #[error("the answer is no LDAP")]
    Nonsense,
    #[error("the directory answered with result code {0}")]
    Fault(u8),
}

impl Directory {
    pub(super) fn new(config: &LdapAuthConfig) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: &str| ConfigError::invalid(LdapAuthPlugin::NAME, field, reason);
        if config.ldap_uri.is_empty() {
            return Err(wrong("ldap_uri", "property \"ldap_uri\" is required: write `host:port` of the directory"));
        }
        let (host, port) = address(&config.ldap_uri)
            .ok_or_else(|| wrong("ldap_uri", "is no address: write `host:port`, without a scheme"))?;
        if !(1..=60_000).contains(&config.timeout) {
            return Err(wrong("timeout", "is out of range: write 1 to 60000"));
        }
        let tls = match config.use_tls {
            false => None,
            true => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| wrong("ldap_uri", "has a host that no certificate can have"))?;
                let config = client(config.tls_verify).map_err(|error| wrong("use_tls", &error.to_string()))?;
                Some((name, Arc::new(config)))
            }
        };
        let timeout = Duration::from_millis(config.timeout);
        Ok(Self { host: host.to_owned(), port, tls, timeout, places: Semaphore::new(MOST_AT_ONCE) })
    }

    /// Whether the directory lets an entry in with that password.
    pub(super) async fn admits(&self, name: &str, password: &[u8]) -> Result<bool, Away> {
        let exchange = async {
            // nobody closes the places
            let _place = self.places.acquire().await.ok();
            let stream = TcpStream::connect((&*self.host, self.port)).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => bind(stream, name, password).await,
                Some((host, config)) => {
                    let stream = TlsConnector::from(Arc::clone(config)).connect(host.clone(), stream).await?;
                    bind(stream, name, password).await
                }
            }
        };
        let answer = tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(Away::Timeout(self.timeout)))?;
        match answer {
            Answer::Right => Ok(true),
            Answer::Wrong => Ok(false),
            Answer::Fault(code) => Err(Away::Fault(code)),
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({}:{}, tls: {})", self.host, self.port, self.tls.is_some())
    }
}

/// One bind on a connection, which is then left.
async fn bind<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, name: &str, password: &[u8]) -> Result<Answer, Away> {
    stream.write_all(&message::bind(name, password)).await?;
    stream.flush().await?;
    let mut seen = Vec::with_capacity(64);
    loop {
        // a byte more than an answer may have, so that a longer one is seen to be none
        let read = (&mut stream).take((MAX_ANSWER + 64).saturating_sub(seen.len()) as u64).read_buf(&mut seen).await?;
        match message::answer(&seen) {
            Ok(answer) => {
                // the verdict is there; whether the goodbye arrives does not matter
                let _ = stream.write_all(&message::UNBIND).await;
                let _ = stream.shutdown().await;
                return Ok(answer);
            }
            Err(Unread::Nonsense) => return Err(Away::Nonsense),
            Err(Unread::More) if read == 0 => return Err(Away::Closed),
            Err(Unread::More) => {}
        }
    }
}

/// Host and port; an IPv6 address with a port stands in brackets.
fn address(text: &str) -> Option<(&str, u16)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest {
        "" => PORT,
        rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return None;
    }
    Some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_a_port_or_without() {
        for (text, wanted) in [
            ("ldap.internal:636", Some(("ldap.internal", 636))),
            ("10.0.0.1", Some(("10.0.0.1", 389))),
            ("[::1]:1389", Some(("::1", 1389))),
            ("[::1]", Some(("::1", 389))),
            ("ldap://a:389", None),
            ("a:0", None),
            ("a:b", None),
            ("a:70000", None),
            ("a:", None),
            (":389", None),
            ("::1", None),
            ("[::1]x", None),
            ("[a]:1", None),
            ("a b", None),
        ] {
            assert_eq!(address(text), wanted, "{text}");
        }
    }
}
