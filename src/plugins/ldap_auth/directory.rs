//! The directory: one connection for each log-in.
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_rustls::TlsConnector;

use super::exchange::{Unsettled, bind};
use super::shares::Shares;
use super::{LdapAuthConfig, LdapAuthPlugin};
use crate::plugin::{ConfigError, Plugin as _};
use crate::plugins::callout::{Names, client};

/// Port of directories (RFC 4511 §5.2).
const PORT: u16 = 389;
/// Binds that are under way at once.
pub(super) const MOST_AT_ONCE: usize = 64;
/// Binds that wait for their turn.
pub(super) const MOST_WAITING: usize = 256;
/// Of both, for one client: a quarter.
const MOST_OF_ONE: usize = (MOST_AT_ONCE + MOST_WAITING) / 4;

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
    shares: Shares,
}

/// Why a directory gave no verdict.
#[derive(Debug, thiserror::Error)]
pub(super) enum Away {
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("{MOST_AT_ONCE} log-ins are under way, and {MOST_WAITING} wait, or {MOST_OF_ONE} of this client alone")]
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
        Ok(Self {
            host: host.to_owned(),
            port,
            names: Names::default(),
            tls,
            places,
            queue,
            shares: Shares::of(MOST_OF_ONE),
        })
    }

    /// Whether the directory lets an entry in with that password.
    pub(super) async fn admits(
        &self,
        client: Option<IpAddr>,
        name: &str,
        password: &str,
        timeout: Duration,
    ) -> Result<bool, Away> {
        let exchange = async {
            let _share = self.shares.take(client).ok_or(Away::Crowded)?;
            let _place = self.turn().await?;
            let addresses = self.names.addresses(&self.host, self.port).await?;
            let stream = connect(&addresses, timeout * 2 / 3).await?;
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

/// Connects to the first address that answers; each has an equal part of the time, so that one which is silent leaves some to
/// the next.
async fn connect(addresses: &[SocketAddr], within: Duration) -> io::Result<TcpStream> {
    let each = within / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(late) => failed = late.into(),
        }
    }
    Err(failed)
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
        let ask = |directory: Arc<Directory>| async move {
            directory.admits(None, "cn=a", "x", Duration::from_secs(60)).await
        };
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

    #[tokio::test]
    async fn one_client_cannot_keep_all_others_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let directory = Arc::new(Directory::new(&LdapAuthConfig::new(address, "dc=x")).unwrap());
        let ask = |client: [u8; 4]| {
            let directory = Arc::clone(&directory);
            async move { directory.admits(Some(client.into()), "cn=a", "x", Duration::from_secs(60)).await }
        };
        let mut crowd = JoinSet::new();
        for _ in 0..MOST_OF_ONE {
            crowd.spawn(ask([10, 0, 0, 1]));
        }
        while directory.queue.available_permits() > MOST_WAITING + MOST_AT_ONCE - MOST_OF_ONE {
            tokio::task::yield_now().await;
        }
        assert!(matches!(ask([10, 0, 0, 1]).await, Err(Away::Crowded)));
        crowd.spawn(ask([10, 0, 0, 2]));
        while directory.queue.available_permits() > MOST_WAITING + MOST_AT_ONCE - MOST_OF_ONE - 1 {
            tokio::task::yield_now().await;
        }
    }

    /// A queue of connections that is full answers no further one, as a host behind a firewall does.
    async fn silent() -> (SocketAddr, Vec<tokio::task::JoinHandle<io::Result<TcpStream>>>, tokio::net::TcpListener) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        while filling.last().is_none_or(tokio::task::JoinHandle::is_finished) {
            filling.push(tokio::spawn(TcpStream::connect(address)));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        (address, filling, listener)
    }

    #[tokio::test]
    async fn an_address_that_is_silent_leaves_time_to_the_next_one() {
        let (silent, _filling, _listener) = silent().await;
        let lively = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lively = lively.local_addr().map(|address| (lively, address)).unwrap();
        let stream = connect(&[silent, lively.1], Duration::from_millis(200)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), lively.1);
        let late = connect(&[silent], Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert_eq!(connect(&[], Duration::from_secs(1)).await.unwrap_err().kind(), io::ErrorKind::NotFound);
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
