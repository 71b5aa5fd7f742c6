//! The directory: one connection for each log-in.
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_rustls::TlsConnector;

use super::exchange::{Unsettled, bind};
use super::{LdapAuthConfig, LdapAuthPlugin};
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::callout::{Names, client};

/// Port of directories (RFC 4511 §5.2).
const PORT: u16 = 389;
/// Binds that are under way at once.
pub(super) const MOST_AT_ONCE: usize = 64;
/// Binds that wait for their turn.
pub(super) const MOST_WAITING: usize = 256;

/// Where a directory is, and how it is spoken to.
pub(super) struct Directory {
    host: String,
    port: u16,
    names: Names,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
    /// A crowd of log-ins is no load that the directory has to bear at once.
    places: Semaphore,
    /// Nor is it one for the gateway to keep waiting.
    queue: Semaphore,
}

/// Why a directory gave no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("{MOST_AT_ONCE} log-ins are under way, and {MOST_WAITING} wait")]
    Crowded,
    #[error("cannot connect")]
    Connect(#[from] io::Error),
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
}

impl Directory {
    pub(super) fn new(config: &LdapAuthConfig) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: &str| ConfigError::invalid(LdapAuthPlugin::NAME, field, reason);
        if config.ldap_uri.is_empty() {
            return Err(wrong("ldap_uri", "property \"ldap_uri\" is required: write `host:port` of the directory"));
        }
        let (host, port) = address(&config.ldap_uri)
            .ok_or_else(|| wrong("ldap_uri", "is no address: write `host:port`, without a scheme"))?;
        let tls = match config.use_tls {
            false => None,
            true => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| wrong("ldap_uri", "has a host that no certificate can have"))?;
                let config = client(config.tls_verify).map_err(|error| wrong("use_tls", &error.to_string()))?;
                Some((name, Arc::new(config)))
            }
        };
        let (places, queue) = (Semaphore::new(MOST_AT_ONCE), Semaphore::new(MOST_WAITING));
        Ok(Self { host: host.to_owned(), port, names: Names::default(), tls, places, queue })
    }

    /// Whether the directory lets an entry in with that password.
    pub(super) async fn admits(&self, name: &str, password: &str, timeout: Duration) -> Result<bool, Away> {
        let exchange = async {
            let _place = self.turn().await?;
            let addresses = self.names.addresses(&self.host, self.port).await?;
            let stream = TcpStream::connect(&*addresses).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => Ok(bind(stream, name, password).await?),
                Some((host, config)) => {
                    let stream = TlsConnector::from(Arc::clone(config)).connect(host.clone(), stream).await?;
                    Ok(bind(stream, name, password).await?)
                }
            }
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Away::Timeout(timeout)))
    }

    /// A place for one bind.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Away> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let _waiting = self.queue.try_acquire().map_err(|_| Away::Crowded)?;
        // nobody closes the places
        self.places.acquire().await.map_err(|_| Away::Crowded)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({}:{}, tls: {})", self.host, self.port, self.tls.is_some())
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn a_crowd_waits_for_its_turn_and_what_is_too_much_is_refused_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let directory = Arc::new(Directory::new(&LdapAuthConfig::new(address, "dc=x")).unwrap());
        let ask =
            |directory: Arc<Directory>| async move { directory.admits("cn=a", "x", Duration::from_secs(60)).await };
        let mut crowd = JoinSet::new();
        for _ in 0..MOST_AT_ONCE + MOST_WAITING {
            crowd.spawn(ask(Arc::clone(&directory)));
        }
        while directory.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(ask(Arc::clone(&directory)).await, Err(Away::Crowded)));
        let mut streams = Vec::new();
        for _ in 0..MOST_AT_ONCE {
            streams.push(listener.accept().await.unwrap().0);
        }
        assert_eq!(directory.places.available_permits(), 0);
        // one that is done lets the next one in
        let mut stream = streams.pop().unwrap();
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        stream.write_all(&[0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0]).await.unwrap();
        assert!(crowd.join_next().await.unwrap().unwrap().unwrap());
        listener.accept().await.unwrap();
        assert_eq!(directory.queue.available_permits(), 1);
    }

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
