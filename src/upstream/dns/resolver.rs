//! The resolver that a gateway has: it reads the system's files anew when they change.
use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Hosts, TokioResolver, system_conf};

use super::super::names::{Resolve, Resolved};
use super::asking::Asking;
use super::config::DnsConfig;

/// Looks names up in the hosts file and by DNS.
///
/// * All addresses of a name are given, IPv4 first; aliases (CNAME) are followed. The time that an answer holds is the
///   shortest of all its records; nothing is cached here.
/// * A name whose first two labels begin with `_`, such as `_http._tcp.shop.test`, is a service name (SRV): each place
///   has the port, weight and priority of its record, and an address of its target. A port of 0 is the node's port.
/// * Servers are asked in turn until one knows; the one that knew last is asked first. An answer that does not fit into a
///   datagram is asked for again over TCP.
/// * `/etc/resolv.conf` and the hosts file are read again when they have changed.
pub struct DnsResolver {
    config: DnsConfig,
    files: Files,
    asking: Mutex<Option<(Stamps, Arc<Asking>)>>,
}

/// Where the system says how names are looked up.
struct Files {
    /// On Unix.
    resolv_conf: PathBuf,
    hosts: PathBuf,
}

/// When files were written last, and how long they are.
type Stamps = [Option<(SystemTime, u64)>; 2];

impl Files {
    fn of_system() -> Self {
        let hosts = if cfg!(windows) { r"C:\Windows\System32\drivers\etc\hosts" } else { "/etc/hosts" };
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: hosts.into() }
    }

    fn stamps(&self) -> Stamps {
        let stamp = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.modified().ok()?, file.len()))
        };
        [stamp(&self.resolv_conf), stamp(&self.hosts)]
    }

    #[cfg(unix)]
    fn system(&self) -> io::Result<(ResolverConfig, ResolverOpts)> {
        system_conf::parse_resolv_conf(fs::read(&self.resolv_conf)?).map_err(io::Error::other)
    }

    #[cfg(not(unix))]
    fn system(&self) -> io::Result<(ResolverConfig, ResolverOpts)> {
        system_conf::read_system_conf().map_err(io::Error::other)
    }

    /// What the hosts file says; nothing if it cannot be read.
    fn hosts(&self) -> Hosts {
        let mut hosts = Hosts::default();
        if let Ok(file) = fs::File::open(&self.hosts) {
            // Lines that make no sense are left out, and what was read before an error counts.
            let _ = hosts.read_hosts_conf(file);
        }
        hosts
    }
}

impl DnsResolver {
    /// A resolver with these settings. Files are read with the first look-up.
    pub fn new(config: DnsConfig) -> Self {
        Self { config, files: Files::of_system(), asking: Mutex::new(None) }
    }

    /// What a look-up needs, as the system's files are now.
    fn asking(&self) -> io::Result<Arc<Asking>> {
        let stamps = self.files.stamps();
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read_at, asking)) = &*asking
            && *read_at == stamps
        {
            return Ok(Arc::clone(asking));
        }
        let new = Arc::new(self.read()?);
        *asking = Some((stamps, Arc::clone(&new)));
        Ok(new)
    }

    fn read(&self) -> io::Result<Asking> {
        let config = &self.config;
        let asks_system = config.search || config.servers.is_empty();
        let (system, mut options) = if asks_system { self.files.system()? } else { Default::default() };
        options.timeout = config.timeout;
        // Here it means further ones.
        options.attempts = 0;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let (domain, search, mut servers) = system.into_parts();
        if !config.servers.is_empty() {
            servers = config.servers.iter().map(|address| server(*address)).collect();
        }
        let resolver = |server| {
            let config = ResolverConfig::from_parts(domain.clone(), search.clone(), vec![server]);
            let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.with_options(options.clone()).build().map_err(io::Error::other)
        };
        Ok(Asking {
            hosts: if config.hosts_file { self.files.hosts() } else { Hosts::default() },
            servers: servers.into_iter().map(resolver).collect::<io::Result<_>>()?,
            preferred: AtomicUsize::new(0),
            attempts: config.attempts.max(1),
            family: config.family,
            whole: !config.search,
        })
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![with_port(ConnectionConfig::udp()), with_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

impl Resolve for DnsResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Resolved>> + Send + 'a>> {
        Box::pin(async move { self.asking()?.resolve(host).await })
    }
}

impl Default for DnsResolver {
    /// With the system's servers.
    fn default() -> Self {
        Self::new(DnsConfig::default())
    }
}

impl fmt::Debug for DnsResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsResolver").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::testing::{Server, a};
    use super::*;

    #[tokio::test]
    async fn files_are_read_again_when_they_have_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let server = Server::start().await;
        server.put(&a("a.inside.test.", 30, [10, 0, 0, 1]));
        server.put(&a("a.", 30, [10, 0, 0, 9]));
        let config = DnsConfig { servers: vec![server.address], search: true, ..DnsConfig::default() };
        let files = Files { resolv_conf: file("resolv.conf"), hosts: file("hosts") };
        let resolver = DnsResolver { config, files, asking: Mutex::new(None) };
        let first = async |host| resolver.resolve(host).await.map(|answer| answer.locations[0].address);

        assert_eq!(first("a").await.unwrap_err().kind(), io::ErrorKind::NotFound, "without resolv.conf");
        fs::write(file("resolv.conf"), "nameserver 127.0.0.1\nsearch inside.test\n").unwrap();
        assert_eq!(first("a").await.unwrap(), IpAddr::from([10, 0, 0, 1]));
        assert_eq!(first("a.").await.unwrap(), IpAddr::from([10, 0, 0, 9]), "a dot at the end: whole");
        // The hosts file goes before; the search list is not for it.
        fs::write(file("hosts"), "10.0.0.7 a # and a comment\n10.0.0.8 b a\n").unwrap();
        assert_eq!(first("a").await.unwrap(), IpAddr::from([10, 0, 0, 7]));
        assert_eq!(resolver.resolve("A").await.unwrap().locations.len(), 2);
        assert_eq!(first("b").await.unwrap(), IpAddr::from([10, 0, 0, 8]));
        fs::write(file("hosts"), "").unwrap();
        assert_eq!(first("a").await.unwrap(), IpAddr::from([10, 0, 0, 1]));
    }
}
