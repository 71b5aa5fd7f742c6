//! All upstreams of one gateway, and what they share over reloads.
use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "client")]
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use arc_swap::ArcSwap;

use super::admission::Admission;
use super::balance::{AffinitySecret, BalancerFactory, Ewma, LeastConn, RingFactory, RoundRobin};
use super::budget::Budget;
#[cfg(feature = "client")]
use super::client::RemoteKey;
#[cfg(feature = "client")]
use super::config::Scheme;
use super::config::{NodeConfig, Target, UpstreamConfig, UpstreamKey};
#[cfg(feature = "client")]
use super::connection_limit::ConnectionLimit;
use super::dispatch::Upstream;
use super::endpoint::Endpoint;
use super::error::UpstreamBuildError;
#[cfg(feature = "client")]
use super::health::Secure;
use super::health::{HealthWatch, ProbeKind};
#[cfg(feature = "client")]
use super::names::{Lookup, NamesConfig, Resolve, SystemResolver};
#[cfg(feature = "client")]
use super::network::Network;
#[cfg(feature = "client")]
use super::node::NamedSource;
use super::node::{Node, Source};
#[cfg(feature = "client")]
use super::protocol::{HttpVersion, Wire};
use super::retry::RetryPolicy;
use super::service::Endpoints;
use super::set::{EndpointSet, Rules};
use super::state::States;
#[cfg(all(feature = "client", feature = "tls"))]
use super::tls::{Naming, ProbeSecurity, Security, TlsFault};
use super::upkeep::Upkeep;
#[cfg(feature = "client")]
use crate::net::Sweep;

/// Builds upstreams and keeps what must outlive a reload: connections by address, and by [`UpstreamKey`] the balancers'
/// positions, retry budgets and counts of requests. Owned by one gateway; nothing in it is global.
///
/// It holds nothing alive: what no [`Upstream`] uses any more is freed.
#[derive(Clone)]
pub struct Upstreams(Arc<Shared>);

struct Shared {
    balancers: HashMap<String, Arc<dyn BalancerFactory>>,
    /// For cookies of upstreams that have no secret of their own.
    secret: AffinitySecret,
    upstreams: Mutex<Table>,
    /// Compiled, with an upkeep that has not been started.
    fresh: Mutex<Vec<Weak<Upstream>>>,
    #[cfg(feature = "client")]
    network: Arc<Network>,
}

impl Shared {
    /// Has an upstream begin its upkeep with the next call for it. Those that have gone by then are let go of, should that
    /// call never come.
    fn is_fresh(&self, upstream: Weak<Upstream>) {
        let mut fresh = lock(&self.fresh);
        if fresh.len() == fresh.capacity() {
            fresh.retain(|one| one.strong_count() > 0);
        }
        fresh.push(upstream);
    }
}

/// Upstreams by key, the latest last. More than one is alive while requests end on an older one.
#[derive(Default)]
struct Table {
    versions: HashMap<UpstreamKey, Vec<Weak<Upstream>>>,
    /// How many keys there may be before those are looked for that nobody uses any more.
    room: usize,
}

impl Table {
    /// The upstreams of a key. Now and then, as the table grows, all that are gone are dropped.
    fn versions(&mut self, key: &UpstreamKey) -> &mut Vec<Weak<Upstream>> {
        let drop_gone = |versions: &mut Vec<Weak<Upstream>>| {
            versions.retain(|version| version.strong_count() > 0);
            !versions.is_empty()
        };
        if self.versions.len() >= self.room {
            self.versions.retain(|_, versions| drop_gone(versions));
            self.room = 2 * self.versions.len() + 16;
        }
        let versions = self.versions.entry(key.clone()).or_default();
        drop_gone(versions);
        versions
    }
}

impl Upstreams {
    /// With the balancers `roundrobin`, `chash`, `least_conn` and `ewma`, and the system's resolver.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// To add balancers or to change the resolver.
    pub fn builder() -> UpstreamsBuilder {
        UpstreamsBuilder::default()
    }

    /// Whether a balancer of that name is registered.
    pub fn has_balancer(&self, name: &str) -> bool {
        self.0.balancers.contains_key(name)
    }

    /// Builds an upstream; `endpoints` are the services that its nodes may name.
    ///
    /// For a key and configuration that are in use the same `Arc` comes back. With another configuration, what did not
    /// change stays: the balancer with its position if nodes, weights, priorities and policy are the same, the retry
    /// budget and the count of requests in flight if their settings are.
    ///
    /// # Errors
    /// The first thing that is wrong with the configuration.
    pub fn compile(
        &self,
        mut config: UpstreamConfig,
        endpoints: &Endpoints,
    ) -> Result<Arc<Upstream>, UpstreamBuildError> {
        config.check()?;
        if let Some(needs) = probes_need(&config) {
            return Err(UpstreamBuildError::ProbeUnsupported { upstream: config.key, needs });
        }
        let factory = self.0.balancers.get(&config.balancer).ok_or_else(|| UpstreamBuildError::UnknownBalancer {
            upstream: config.key.clone(),
            name: config.balancer.clone(),
        })?;
        let nodes = config.nodes.iter().map(|node| self.node(&config, node, endpoints));
        let nodes = nodes.collect::<Result<Box<[Node]>, _>>()?;
        #[cfg(feature = "client")]
        let probe_tls = self.probe_tls(&config)?;
        let mut upstreams = lock(&self.0.upstreams);
        let versions = upstreams.versions(&config.key);
        let mut alive: Vec<_> = versions.iter().rev().filter_map(Weak::upgrade).collect();
        if let Some(same) = alive.iter().position(|version| version.config == config && leads_to(version, &nodes)) {
            let same = alive.swap_remove(same);
            // One that is in use again goes before those that came since.
            if let Some(at) = versions.iter().position(|version| version.ptr_eq(&same.me))
                && at + 1 < versions.len()
            {
                let again = versions.remove(at);
                self.0.is_fresh(Weak::clone(&again));
                versions.push(again);
            }
            return Ok(same);
        }
        // A ring that goes on counts requests without a key where it has counted them before.
        if let Some(hash) = alive.iter().map(|old| &old.config.hash).find(|hash| **hash == config.hash) {
            config.hash.clone_from(hash);
        }
        let keep = |state: &dyn Fn(&Upstream) -> bool| alive.iter().find(|version| state(version));
        let admission = keep(&|old| *old.admission.config() == config.admission)
            .map_or_else(|| Admission::new(config.admission), |old| Arc::clone(&old.admission));
        #[cfg(feature = "client")]
        let connections = config.max_connections.map(|most| {
            let same = alive.iter().filter_map(|old| old.connections.as_ref()).find(|limit| limit.is(most));
            same.map_or_else(|| ConnectionLimit::new(most), Arc::clone)
        });
        let (ratio, least) = (config.retry.budget_ratio, config.retry.budget_min_per_second);
        let budget =
            keep(&|old| old.config.retry.budget_ratio == ratio && old.config.retry.budget_min_per_second == least)
                .map_or_else(|| Arc::new(Budget::new(ratio, least)), |old| Arc::clone(&old.budget));
        let states =
            alive.first().map_or_else(|| Arc::new(States::new(config.key.clone())), |old| Arc::clone(&old.states));
        let health = config.health.as_ref().map(|health| {
            keep(&|old| old.config.health.as_ref() == Some(health))
                .and_then(|old| old.health.clone())
                .unwrap_or_else(|| Arc::new(HealthWatch::new(health.clone())))
        });
        let own = config.affinity.as_ref().and_then(|affinity| affinity.secret.clone());
        let secret = own.unwrap_or_else(|| self.0.secret.clone());
        let set = {
            let before = keep(&|old| old.config.balancer == config.balancer && old.config.hash == config.hash);
            let before = before.map(|old| old.set.load_full());
            let rules = Rules { config: &config, factory: &**factory, secret: &secret };
            EndpointSet::new(&nodes, &states, &rules, before.as_deref())
        };
        let is_service = |node: &Node| matches!(node.source, Source::Fixed(Endpoint::Service(_)));
        let upstream = Arc::new_cyclic(|me| Upstream {
            retry: RetryPolicy::new(config.retry.clone()),
            calls_services: nodes.iter().any(is_service),
            upkeep: Upkeep::new(health.is_some() || config.slow_start.is_some() || nodes.iter().any(Node::is_kept_up)),
            nodes,
            factory: Arc::clone(factory),
            set: ArcSwap::from_pointee(set),
            refreshing: Mutex::new(()),
            renewed: Arc::default(),
            states,
            health,
            secret,
            #[cfg(feature = "client")]
            probe_tls,
            admission,
            #[cfg(feature = "client")]
            connections,
            budget,
            config,
            me: Weak::clone(me),
        });
        versions.push(Arc::downgrade(&upstream));
        let ends_checks = alive.first().is_some_and(|old| old.health.is_some());
        if upstream.upkeep.is_due() || ends_checks {
            self.0.is_fresh(Arc::downgrade(&upstream));
        }
        Ok(upstream)
    }

    /// Has names looked up by `resolver` from now on, those in use at once. Until that has found something, what was known
    /// of a name stays.
    #[cfg(feature = "client")]
    pub fn look_up(&self, resolver: Arc<dyn Resolve>, config: NamesConfig) {
        self.0.network.look_up(Lookup { resolver, config });
    }

    /// Has the upstreams that were compiled since the last call begin what they do beside requests: following the names of
    /// their nodes, and health checks. Outside of a tokio runtime nothing happens, and they wait for the next call; each
    /// begins with its first request at the latest.
    pub fn keep_up(&self) {
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        for upstream in std::mem::take(&mut *lock(&self.0.fresh)).iter().filter_map(Weak::upgrade) {
            upstream.keep_up();
        }
    }

    /// Every upstream that is in use, in its latest version.
    pub(crate) fn all(&self) -> Vec<Arc<Upstream>> {
        let table = lock(&self.0.upstreams);
        table.versions.values().filter_map(|versions| versions.iter().rev().find_map(Weak::upgrade)).collect()
    }

    fn node(
        &self,
        config: &UpstreamConfig,
        node: &NodeConfig,
        services: &Endpoints,
    ) -> Result<Node, UpstreamBuildError> {
        let source = match self.source(config, &node.target, services)? {
            // Nobody is sent there, so whether it resolves is nothing to anybody (upstream.md §2).
            #[cfg(feature = "client")]
            Source::Named(_) if node.weight == 0 && config.has_weight(node.priority) => Source::Unused,
            source => source,
        };
        Ok(Node { source, weight: node.weight, priority: node.priority })
    }

    fn source(
        &self,
        config: &UpstreamConfig,
        target: &Target,
        services: &Endpoints,
    ) -> Result<Source, UpstreamBuildError> {
        match target {
            Target::Service(name) => services
                .get(name)
                .map(|service| Source::Fixed(Endpoint::Service(Arc::clone(service))))
                .ok_or_else(|| UpstreamBuildError::UnknownService { upstream: config.key.clone(), name: name.clone() }),
            Target::Host { host, port } => self.host(config, host, *port),
        }
    }

    #[cfg(feature = "client")]
    fn host(&self, config: &UpstreamConfig, host: &str, port: Option<u16>) -> Result<Source, UpstreamBuildError> {
        let upstream = || config.key.clone();
        if let Some(needs) = missing(config.scheme, config.http_version) {
            return Err(UpstreamBuildError::SchemeUnsupported { upstream: upstream(), scheme: config.scheme, needs });
        }
        let bare: Arc<str> = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase().into();
        let literal: Option<IpAddr> = bare.parse().ok();
        let key = RemoteKey {
            scheme: config.scheme,
            host: Arc::clone(&bare),
            address: literal.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: port.unwrap_or(config.scheme.default_port()),
            wire: Wire::new(config.scheme, config.http_version),
            bounded: config.max_connections.map(|_| config.key.clone()),
            #[cfg(feature = "tls")]
            security: self.security(config, &bare)?,
        };
        let network = &self.0.network;
        // Made even for a name: that way a host that can be none is found now.
        let remote = network.remote(&key);
        let remote = remote.ok_or_else(|| UpstreamBuildError::BadHost { upstream: upstream(), host: host.into() })?;
        Ok(match literal {
            Some(_) => Source::Fixed(Endpoint::Remote(remote)),
            None => Source::Named(NamedSource { name: network.name(&key.host), network: Arc::clone(network), key }),
        })
    }

    /// The TLS of probes, if they speak it: of HTTP ones as they are told, of gRPC ones as the upstream does.
    #[cfg(feature = "client")]
    fn probe_tls(&self, config: &UpstreamConfig) -> Result<Option<Arc<dyn Secure>>, UpstreamBuildError> {
        #[cfg(feature = "tls")]
        {
            let Some(active) = config.health.as_ref().and_then(|health| health.active.as_ref()) else {
                return Ok(None);
            };
            let (verify, wire) = match &active.probe {
                ProbeKind::Http(probe) if probe.tls => (probe.verify, Wire::Http1),
                ProbeKind::Grpc { .. } if config.scheme.is_secure() => (true, Wire::Http2),
                _ => return Ok(None),
            };
            let network = &self.0.network;
            let security = ProbeSecurity::new(network.identities(), &config.tls, verify, wire, network.sweep());
            let fault =
                |TlsFault { field, reason }| UpstreamBuildError::Tls { upstream: config.key.clone(), field, reason };
            security.map(|security| Some(Arc::new(security) as _)).map_err(fault)
        }
        #[cfg(not(feature = "tls"))]
        {
            let _ = config;
            Ok(None)
        }
    }

    #[cfg(all(feature = "client", feature = "tls"))]
    fn security(&self, config: &UpstreamConfig, host: &str) -> Result<Option<Security>, UpstreamBuildError> {
        if !config.scheme.is_secure() {
            return Ok(None);
        }
        let fault =
            |TlsFault { field, reason }| UpstreamBuildError::Tls { upstream: config.key.clone(), field, reason };
        let identity = self.0.network.identities().get(&config.tls).map_err(fault)?;
        let naming = Naming::new(&config.tls, &config.pass_host, host).map_err(fault)?;
        Ok(Some(Security { identity, naming }))
    }

    #[cfg(not(feature = "client"))]
    fn host(&self, config: &UpstreamConfig, _: &str, _: Option<u16>) -> Result<Source, UpstreamBuildError> {
        let (upstream, scheme) = (config.key.clone(), config.scheme);
        Err(UpstreamBuildError::SchemeUnsupported { upstream, scheme, needs: "the feature `client`" })
    }
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = lock(&self.0.upstreams);
        let alive = table.versions.iter().filter(|(_, versions)| versions.iter().any(|one| one.strong_count() > 0));
        f.debug_list().entries(alive.map(|(key, _)| key)).finish()
    }
}

/// What a scheme needs that this build does not have.
#[cfg(feature = "client")]
fn missing(scheme: Scheme, version: HttpVersion) -> Option<&'static str> {
    if scheme.is_secure() && !cfg!(feature = "tls") {
        return Some("the feature `tls`");
    }
    (Wire::new(scheme, version) == Wire::Http2 && !cfg!(feature = "http2")).then_some("the feature `http2`")
}

/// What its probes need that this build does not have.
fn probes_need(config: &UpstreamConfig) -> Option<&'static str> {
    let active = config.health.as_ref()?.active.as_ref()?;
    match &active.probe {
        _ if cfg!(not(feature = "client")) => Some("the feature `client`"),
        ProbeKind::Grpc { .. } if cfg!(not(feature = "http2")) => Some("the feature `http2`"),
        ProbeKind::Http(probe) if probe.tls && cfg!(not(feature = "tls")) => Some("the feature `tls`"),
        _ => None,
    }
}

/// Whether an upstream has exactly these nodes.
fn leads_to(upstream: &Upstream, nodes: &[Node]) -> bool {
    upstream.nodes.len() == nodes.len() && upstream.nodes.iter().zip(nodes).all(|(old, new)| old.is_same(new))
}

/// Makes [`Upstreams`].
#[derive(Clone)]
pub struct UpstreamsBuilder {
    balancers: HashMap<String, Arc<dyn BalancerFactory>>,
    #[cfg(feature = "client")]
    lookup: Lookup,
    #[cfg(feature = "client")]
    sweep: Sweep,
}

impl Default for UpstreamsBuilder {
    fn default() -> Self {
        let builtin: [(&str, Arc<dyn BalancerFactory>); 4] = [
            ("roundrobin", Arc::new(RoundRobin::build)),
            ("chash", Arc::new(RingFactory)),
            ("least_conn", Arc::new(LeastConn::build)),
            ("ewma", Arc::new(Ewma::build)),
        ];
        Self {
            balancers: builtin.into_iter().map(|(name, factory)| (name.to_owned(), factory)).collect(),
            #[cfg(feature = "client")]
            lookup: Lookup { resolver: Arc::new(SystemResolver::default()), config: NamesConfig::default() },
            #[cfg(feature = "client")]
            sweep: Sweep::new(),
        }
    }
}

impl UpstreamsBuilder {
    /// Adds a balancing policy under `name`, in place of one of that name.
    #[must_use]
    pub fn balancer(mut self, name: impl Into<String>, factory: impl BalancerFactory) -> Self {
        self.balancers.insert(name.into(), Arc::new(factory));
        self
    }

    /// Finds addresses by `resolver`. Default: [`SystemResolver`].
    #[cfg(feature = "client")]
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.lookup.resolver = Arc::new(resolver);
        self
    }

    /// How long what was found out about names is gone by.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn names(mut self, config: NamesConfig) -> Self {
        self.lookup.config = config;
        self
    }

    /// Has `sweep` watch the deadlines. Default: one of its own.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn sweep(mut self, sweep: Sweep) -> Self {
        self.sweep = sweep;
        self
    }

    /// The registry.
    pub fn build(self) -> Upstreams {
        #[cfg(feature = "client")]
        let network = {
            let Self { sweep, lookup, .. } = self;
            Network::new(sweep, lookup)
        };
        Upstreams(Arc::new(Shared {
            balancers: self.balancers,
            secret: AffinitySecret::random(),
            upstreams: Mutex::default(),
            fresh: Mutex::default(),
            #[cfg(feature = "client")]
            network,
        }))
    }
}

impl fmt::Debug for UpstreamsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamsBuilder").field("balancers", &self.balancers.keys()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
