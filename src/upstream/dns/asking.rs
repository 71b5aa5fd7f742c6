//! One look-up.
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use tokio::task::JoinSet;

use super::super::names::Resolved;
use super::config::AddressFamily;
use super::records::{self, Addresses};

/// How long an entry of the hosts file holds; then the file is looked at again.
const HOSTS_TTL: Duration = Duration::from_secs(10);

/// Targets of a service name that are looked up at once.
const AT_ONCE: usize = 16;

/// Everything that a look-up needs, as the settings and the system's files are now.
pub(super) struct Asking {
    pub(super) hosts: Hosts,
    /// One a server: the pool inside of a resolver gives up when one of its servers says SERVFAIL.
    pub(super) servers: Vec<TokioResolver>,
    /// The server that answered last; it is asked first.
    pub(super) preferred: AtomicUsize,
    pub(super) attempts: u32,
    pub(super) family: AddressFamily,
    /// Whether names stand as they are, without the search list.
    pub(super) whole: bool,
}

impl Asking {
    /// The places of a host, or of a service name: one whose first two labels begin with `_` (RFC 2782).
    pub(super) async fn resolve(self: Arc<Self>, host: &str) -> io::Result<Resolved> {
        let mut name =
            Name::from_str_relaxed(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        // A name that ends with a dot is whole already.
        if self.whole {
            name.set_fqdn(true);
        }
        let mut labels = host.split('.');
        let is_service = labels.by_ref().take(2).filter(|label| label.starts_with('_')).count() == 2;
        if is_service {
            return self.services(name).await;
        }
        let addresses = self.addresses(&name).await?;
        Ok(Resolved::addresses(addresses.found, addresses.ttl))
    }

    async fn services(self: Arc<Self>, name: Name) -> io::Result<Resolved> {
        let (services, ttl) = records::services(self.lookup(&name, RecordType::SRV).await)?;
        let mut left: Vec<_> = services.iter().map(|service| service.target.clone()).collect();
        left.sort();
        left.dedup();
        let mut left = left.into_iter();
        let mut begin = |asked: &mut JoinSet<_>| {
            if let Some(target) = left.next() {
                let asking = Arc::clone(&self);
                asked.spawn(async move {
                    let addresses = asking.addresses(&target).await;
                    (target, addresses)
                });
            }
        };
        let mut asked = JoinSet::new();
        (0..AT_ONCE).for_each(|_| begin(&mut asked));
        let (mut targets, mut failed) = (BTreeMap::new(), None);
        while let Some(ended) = asked.join_next().await {
            begin(&mut asked);
            let (target, addresses) = ended?;
            targets.insert(target, addresses.map_err(|error| failed = Some(error)).ok());
        }
        match failed {
            Some(error) if targets.values().all(Option::is_none) => Err(error),
            _ => Ok(records::locations(&services, ttl, &targets)),
        }
    }

    /// The addresses of a host: the hosts file's, if it has any.
    async fn addresses(&self, name: &Name) -> io::Result<Addresses> {
        let (v4, v6) = (self.family != AddressFamily::V6, self.family != AddressFamily::V4);
        let given = |record_type| self.hosts.lookup_static_host(&Query::query(name.clone(), record_type));
        let given = [v4.then(|| given(RecordType::A)), v6.then(|| given(RecordType::AAAA))];
        let given = given.iter().flatten().flatten().flat_map(Lookup::answers);
        let given: Vec<_> = given.filter_map(|record| record.data.ip_addr()).collect();
        if !given.is_empty() {
            return Ok(Addresses { found: given, ttl: HOSTS_TTL });
        }
        let asked = async |record_type| records::addresses(self.lookup(name, record_type).await);
        match self.family {
            AddressFamily::V4 => asked(RecordType::A).await,
            AddressFamily::V6 => asked(RecordType::AAAA).await,
            AddressFamily::Both => {
                let (v4, v6) = tokio::join!(asked(RecordType::A), asked(RecordType::AAAA));
                Addresses::of_both(v4, v6)
            }
        }
    }

    /// Asks one server after the other until one knows, beginning with the one that knew last.
    async fn lookup(&self, name: &Name, record_type: RecordType) -> Result<Lookup, NetError> {
        let mut failed = NetError::NoConnections;
        for _ in 0..self.attempts {
            let first = self.preferred.load(Relaxed);
            for (index, server) in self.servers.iter().enumerate().cycle().skip(first).take(self.servers.len()) {
                // Its cache holds nothing, but what came a moment ago may still be on its way out of it.
                server.clear_cache();
                match server.lookup(name.clone(), record_type).await {
                    Err(error) if !is_answer(&error) => failed = error,
                    answer => {
                        self.preferred.store(index, Relaxed);
                        return answer;
                    }
                }
            }
        }
        Err(failed)
    }
}

/// Whether it is said for certain that there is nothing.
const fn is_answer(error: &NetError) -> bool {
    matches!(error, NetError::Dns(DnsError::NoRecordsFound(_)))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::super::testing::{Mood, Server, a, aaaa, cname, srv};
    use super::super::{DnsConfig, DnsResolver};
    use super::*;
    use crate::upstream::{Location, Resolve};

    fn resolver(servers: &[&Server]) -> DnsResolver {
        DnsResolver::new(DnsConfig {
            servers: servers.iter().map(|server| server.address).collect(),
            timeout: Duration::from_millis(300),
            hosts_file: false,
            ..DnsConfig::default()
        })
    }

    fn addresses(answer: &Resolved) -> Vec<String> {
        answer.locations.iter().map(|location| location.address.to_string()).collect()
    }

    #[tokio::test]
    async fn all_addresses_come_with_the_shortest_time() {
        let server = Server::start().await;
        server.put(&aaaa("a.test.", 40, "2001:db8::1"));
        server.put(&a("a.test.", 60, [10, 0, 0, 2]));
        server.put(&a("a.test.", 50, [10, 0, 0, 1]));
        let answer = resolver(&[&server]).resolve("A.test").await.unwrap();
        let mut found = addresses(&answer);
        assert_eq!(found.pop().as_deref(), Some("2001:db8::1"), "IPv6 comes last");
        found.sort();
        assert_eq!(found, ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(answer.ttl, Duration::from_secs(40));
        assert_eq!(answer.locations[0], Location::new(answer.locations[0].address));
    }

    #[tokio::test]
    async fn one_family_alone_is_asked_for() {
        let server = Server::start().await;
        server.put(&aaaa("a.test.", 40, "2001:db8::1"));
        server.put(&a("a.test.", 60, [10, 0, 0, 1]));
        for (family, address, ttl) in [(AddressFamily::V4, "10.0.0.1", 60), (AddressFamily::V6, "2001:db8::1", 40)] {
            let config = DnsConfig { servers: vec![server.address], family, ..DnsConfig::default() };
            let answer = DnsResolver::new(config).resolve("a.test").await.unwrap();
            assert_eq!((addresses(&answer), answer.ttl.as_secs()), (vec![address.to_owned()], ttl));
        }
    }

    #[tokio::test]
    async fn aliases_are_followed_and_their_time_counts() {
        let server = Server::start().await;
        server.put(&cname("www.test.", 20, "cdn.test."));
        server.put(&cname("cdn.test.", 90, "a.test."));
        server.put(&a("a.test.", 60, [10, 0, 0, 1]));
        let answer = resolver(&[&server]).resolve("www.test").await.unwrap();
        assert_eq!((addresses(&answer), answer.ttl.as_secs()), (vec![String::from("10.0.0.1")], 20));
        // Nothing is cached.
        server.clear();
        server.put(&a("www.test.", 7, [10, 0, 0, 2]));
        let answer = resolver(&[&server]).resolve("www.test").await.unwrap();
        assert_eq!((addresses(&answer), answer.ttl.as_secs()), (vec![String::from("10.0.0.2")], 7));
    }

    #[tokio::test]
    async fn what_does_not_exist_is_an_answer() {
        let server = Server::start().await;
        server.put(&cname("other.test.", 9, "nowhere.test."));
        let resolver = resolver(&[&server]);
        // The server's SOA says 11 s.
        for name in ["none.test", "other.test", "_http._tcp.none.test"] {
            let answer = resolver.resolve(name).await.unwrap();
            assert_eq!((answer.locations.len(), answer.ttl.as_secs()), (0, 11), "{name}");
        }
        server.put(&a("none.test.", 5, [10, 0, 0, 1]));
        assert_eq!(addresses(&resolver.resolve("none.test").await.unwrap()), ["10.0.0.1"], "it is asked again at once");
        assert!(resolver.resolve(&"a".repeat(70)).await.is_err());
    }

    #[tokio::test]
    async fn servers_are_asked_in_turn_and_the_one_that_knew_is_remembered() {
        let [ill, silent, well] = [Server::start().await, Server::start().await, Server::start().await];
        ill.set(Mood::Fails);
        silent.set(Mood::Silent);
        well.put(&a("a.test.", 5, [10, 0, 0, 1]));
        let resolver = resolver(&[&ill, &silent, &well]);
        assert_eq!(addresses(&resolver.resolve("a.test").await.unwrap()), ["10.0.0.1"]);
        let before = (ill.asked(), silent.asked());
        assert!(before.0 > 0 && before.1 > 0);
        assert_eq!(addresses(&resolver.resolve("a.test").await.unwrap()), ["10.0.0.1"]);
        assert_eq!((ill.asked(), silent.asked()), before);

        well.set(Mood::Fails);
        assert!(resolver.resolve("a.test").await.is_err(), "that no server knows is a failure");
        well.set(Mood::Answers);
        assert_eq!(addresses(&resolver.resolve("a.test").await.unwrap()), ["10.0.0.1"]);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_a_failure() {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let config = |servers: Vec<SocketAddr>| DnsConfig {
            servers,
            timeout: Duration::from_millis(50),
            hosts_file: false,
            ..DnsConfig::default()
        };
        let nobody = DnsResolver::new(config(vec![address]));
        assert_eq!(nobody.resolve("a.test").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(socket);
        assert!(nobody.resolve("a.test").await.is_err());
    }

    #[tokio::test]
    async fn what_is_too_much_for_a_datagram_comes_over_tcp() {
        let server = Server::start().await;
        server.set(Mood::Truncates);
        for last in 0..200 {
            server.put(&a("a.test.", 60, [10, 0, 0, last]));
        }
        let answer = resolver(&[&server]).resolve("a.test").await.unwrap();
        assert_eq!(answer.locations.len(), 200);
    }

    #[tokio::test]
    async fn half_of_a_failed_answer_is_not_taken_for_the_whole() {
        let server = Server::start().await;
        server.put(&a("a.test.", 60, [10, 0, 0, 1]));
        server.put(&aaaa("a.test.", 60, "2001:db8::1"));
        server.put(&aaaa("six.test.", 60, "2001:db8::2"));
        server.set(Mood::FailsFor(RecordType::AAAA));
        let resolver = resolver(&[&server]);
        assert_eq!(addresses(&resolver.resolve("a.test").await.unwrap()), ["10.0.0.1"]);
        assert!(resolver.resolve("six.test").await.is_err());
        server.set(Mood::FailsFor(RecordType::A));
        assert!(resolver.resolve("a.test").await.is_err());
    }

    #[tokio::test]
    async fn service_names_lead_to_ports_with_weights() {
        let server = Server::start().await;
        server.put(&srv("_http._tcp.shop.test.", 30, (10, 3, 8001), "one.test."));
        server.put(&srv("_http._tcp.shop.test.", 30, (10, 1, 8002), "two.test."));
        server.put(&srv("_http._tcp.shop.test.", 30, (20, 0, 0), "one.test."));
        server.put(&srv("_http._tcp.shop.test.", 30, (10, 5, 8003), "lost.test."));
        server.put(&a("one.test.", 60, [10, 0, 0, 1]));
        server.put(&a("two.test.", 25, [10, 0, 0, 2]));
        server.put(&a("two.test.", 25, [10, 0, 0, 3]));
        let answer = resolver(&[&server]).resolve("_http._tcp.shop.test").await.unwrap();
        let mut found: Vec<_> = answer
            .locations
            .iter()
            .map(|place| (place.address.to_string(), place.port, place.weight, place.priority, place.host.as_deref()))
            .collect();
        found.sort();
        let ip = String::from;
        assert_eq!(
            found,
            [
                // Two addresses share their record's weight, so all weights are doubled.
                (ip("10.0.0.1"), None, 0, 20, Some("one.test")),
                (ip("10.0.0.1"), Some(8001), 6, 10, Some("one.test")),
                (ip("10.0.0.2"), Some(8002), 1, 10, Some("two.test")),
                (ip("10.0.0.3"), Some(8002), 1, 10, Some("two.test")),
            ]
        );
        // The shortest time of all: that of a target's address, that of the one without.
        assert_eq!((answer.ttl.as_secs(), answer.unknown.len()), (11, 0));

        server.set(Mood::FailsAbout("two.test."));
        let answer = resolver(&[&server]).resolve("_http._tcp.shop.test").await.unwrap();
        assert_eq!(answer.unknown, [Arc::from("two.test")], "not known is not the same as not there");

        server.clear();
        server.set(Mood::Answers);
        server.put(&srv("_http._tcp.shop.test.", 30, (0, 0, 0), "."));
        let answer = resolver(&[&server]).resolve("_http._tcp.shop.test").await.unwrap();
        assert_eq!(answer.locations, [], "the service is said not to be there");
    }

    #[tokio::test]
    async fn hosts_of_one_underscore_are_hosts() {
        let server = Server::start().await;
        server.put(&a("_web.test.", 60, [10, 0, 0, 1]));
        let answer = resolver(&[&server]).resolve("_web.test").await.unwrap();
        assert_eq!(answer.locations[0].address, IpAddr::from([10, 0, 0, 1]));
    }
}
