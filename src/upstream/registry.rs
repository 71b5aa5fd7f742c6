//! All upstreams of one gateway, and what they share over reloads.
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use super::admission::Admission;
use super::balance::{BalancerFactory, Groups, Member, RoundRobin};
use super::budget::Budget;
#[cfg(feature = "client")]
use super::client::{Remote, RemoteKey, Resolve, SystemResolver};
#[cfg(feature = "client")]
use super::config::Scheme;
use super::config::{Target, UpstreamConfig, UpstreamKey};
use super::dispatch::Upstream;
use super::endpoint::Endpoint;
use super::error::UpstreamBuildError;
use super::retry::RetryPolicy;
use super::service::Endpoints;
#[cfg(feature = "client")]
use crate::net::{Reap, Sweep};

/// Builds upstreams and keeps what must outlive a reload: connections by address, and by [`UpstreamKey`] the balancers'
/// positions, retry budgets and counts of requests. Owned by one gateway; nothing in it is global.
///
/// It holds nothing alive: what no [`Upstream`] uses any more is freed.
#[derive(Clone)]
pub struct Upstreams(Arc<Shared>);

struct Shared {
    balancers: HashMap<String, Arc<dyn BalancerFactory>>,
    upstreams: Mutex<Table>,
    #[cfg(feature = "client")]
    network: Arc<Network>,
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
    /// With `roundrobin` and the system's resolver.
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
    pub fn compile(&self, config: UpstreamConfig, endpoints: &Endpoints) -> Result<Arc<Upstream>, UpstreamBuildError> {
        config.check()?;
        let factory = self.0.balancers.get(&config.balancer).ok_or_else(|| UpstreamBuildError::UnknownBalancer {
            upstream: config.key.clone(),
            name: config.balancer.clone(),
        })?;
        let members = config
            .nodes
            .iter()
            .map(|node| self.endpoint(&config, &node.target, endpoints).map(|endpoint| (endpoint, node)))
            .collect::<Result<Vec<_>, _>>()?;
        let (members, endpoints): (Vec<_>, Vec<_>) = members
            .into_iter()
            .map(|(endpoint, node)| {
                let member = Member::new(Arc::clone(endpoint.name()), node.weight);
                ((member, node.priority), endpoint)
            })
            .unzip();
        let mut upstreams = lock(&self.0.upstreams);
        let versions = upstreams.versions(&config.key);
        let alive: Vec<_> = versions.iter().rev().filter_map(Weak::upgrade).collect();
        if let Some(same) = alive.iter().find(|version| version.config == config && leads_to(version, &endpoints)) {
            return Ok(Arc::clone(same));
        }
        let keep = |state: &dyn Fn(&Upstream) -> bool| alive.iter().find(|version| state(version));
        let groups = keep(&|old| *old.members == *members && old.config.balancer == config.balancer)
            .map_or_else(|| Arc::new(Groups::new(&members, &**factory)), |old| Arc::clone(&old.groups));
        let admission = keep(&|old| *old.admission.config() == config.admission)
            .map_or_else(|| Admission::new(config.admission), |old| Arc::clone(&old.admission));
        let (ratio, least) = (config.retry.budget_ratio, config.retry.budget_min_per_second);
        let budget =
            keep(&|old| old.config.retry.budget_ratio == ratio && old.config.retry.budget_min_per_second == least)
                .map_or_else(|| Arc::new(Budget::new(ratio, least)), |old| Arc::clone(&old.budget));
        let upstream = Arc::new(Upstream {
            retry: RetryPolicy::new(config.retry.clone(), endpoints.len()),
            calls_services: endpoints.iter().any(|endpoint| matches!(endpoint, Endpoint::Service(_))),
            endpoints: endpoints.into(),
            members: members.into(),
            groups,
            admission,
            budget,
            config,
        });
        versions.push(Arc::downgrade(&upstream));
        Ok(upstream)
    }

    fn endpoint(
        &self,
        config: &UpstreamConfig,
        target: &Target,
        services: &Endpoints,
    ) -> Result<Endpoint, UpstreamBuildError> {
        match target {
            Target::Service(name) => services
                .get(name)
                .map(|service| Endpoint::Service(Arc::clone(service)))
                .ok_or_else(|| UpstreamBuildError::UnknownService { upstream: config.key.clone(), name: name.clone() }),
            Target::Host { host, port } => self.host(config, host, *port),
        }
    }

    #[cfg(feature = "client")]
    fn host(&self, config: &UpstreamConfig, host: &str, port: Option<u16>) -> Result<Endpoint, UpstreamBuildError> {
        let upstream = || config.key.clone();
        if let Some(needs) = missing(config.scheme) {
            return Err(UpstreamBuildError::SchemeUnsupported { upstream: upstream(), scheme: config.scheme, needs });
        }
        let key = RemoteKey {
            scheme: config.scheme,
            host: host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase(),
            port: port.unwrap_or(config.scheme.default_port()),
        };
        let remote = self.0.network.remote(key);
        let remote = remote.ok_or_else(|| UpstreamBuildError::BadHost { upstream: upstream(), host: host.into() })?;
        Ok(Endpoint::Remote(remote))
    }

    #[cfg(not(feature = "client"))]
    fn host(&self, config: &UpstreamConfig, _: &str, _: Option<u16>) -> Result<Endpoint, UpstreamBuildError> {
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
fn missing(scheme: Scheme) -> Option<&'static str> {
    match scheme {
        Scheme::Http => None,
        Scheme::Grpc if cfg!(feature = "http2") => None,
        Scheme::Grpc => Some("the feature `http2`"),
        Scheme::Https | Scheme::Grpcs => Some("TLS to upstreams, which is not there yet"),
    }
}

/// Whether an upstream has exactly these endpoints.
fn leads_to(upstream: &Upstream, endpoints: &[Endpoint]) -> bool {
    upstream.endpoints.len() == endpoints.len()
        && upstream.endpoints.iter().zip(endpoints).all(|(old, new)| old.is_same(new))
}

/// What all upstreams of a gateway share of the network.
#[cfg(feature = "client")]
struct Network {
    sweep: Sweep,
    resolver: Arc<dyn Resolve>,
    remotes: Mutex<HashMap<RemoteKey, Weak<Remote>>>,
}

#[cfg(feature = "client")]
impl Network {
    /// The remote of that key, a new one if nobody uses one; `None` when it cannot be a host.
    fn remote(&self, key: RemoteKey) -> Option<Arc<Remote>> {
        let mut remotes = lock(&self.remotes);
        if let Some(remote) = remotes.get(&key).and_then(Weak::upgrade) {
            return Some(remote);
        }
        let remote = Arc::new(Remote::new(key.clone(), &self.sweep, &self.resolver)?);
        remotes.insert(key, Arc::downgrade(&remote));
        Some(remote)
    }
}

#[cfg(feature = "client")]
impl Reap for Network {
    fn reap(&self) {
        let mut alive = Vec::new();
        lock(&self.remotes).retain(|_, remote| match remote.upgrade() {
            Some(remote) => {
                alive.push(remote);
                true
            }
            None => false,
        });
        for remote in alive {
            remote.reap();
        }
    }
}

/// Makes [`Upstreams`].
#[derive(Clone)]
pub struct UpstreamsBuilder {
    balancers: HashMap<String, Arc<dyn BalancerFactory>>,
    #[cfg(feature = "client")]
    resolver: Arc<dyn Resolve>,
    #[cfg(feature = "client")]
    sweep: Sweep,
}

impl Default for UpstreamsBuilder {
    fn default() -> Self {
        let round_robin: Arc<dyn BalancerFactory> = Arc::new(RoundRobin::build);
        Self {
            balancers: HashMap::from([(String::from("roundrobin"), round_robin)]),
            #[cfg(feature = "client")]
            resolver: Arc::new(SystemResolver::default()),
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
        self.resolver = Arc::new(resolver);
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
            let Self { sweep, resolver, .. } = self;
            let network = Arc::new(Network { sweep, resolver, remotes: Mutex::default() });
            let reaper: Weak<Network> = Arc::downgrade(&network);
            network.sweep.reap(reaper);
            network
        };
        Upstreams(Arc::new(Shared {
            balancers: self.balancers,
            upstreams: Mutex::default(),
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
