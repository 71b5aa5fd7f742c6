//! [`Snapshot`]: one whole configuration.
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    ConsumerGroupSpec, ConsumerSpec, CredentialSpec, EnabledPlugin, Finding, GlobalRuleSpec, Host, Id, IpOrCidr, Kind,
    Method, Places, PluginConfigSpec, PluginMetadataSpec, ProtoSpec, Resource, RouteSpec, SecretSpec, ServiceSpec,
    Settings, SslSpec, Status, StreamRouteSpec, UpstreamSpec,
};

/// One whole configuration. Cheap to clone: every list, and every item in it, is shared until it is changed, and
/// whoever takes a snapshot recognises by pointer what has not changed since the one before.
///
/// ```
/// use tollgate::model::{NodeSpec, RouteSpec, Snapshot, UpstreamSpec};
///
/// let mut snapshot = Snapshot::default();
/// snapshot.upstreams.push(UpstreamSpec::new("u1", [NodeSpec::host("127.0.0.1", 7001)]));
/// snapshot.routes.push(RouteSpec { upstream_id: Some("u1".into()), ..RouteSpec::new("r1", "/shop/*") });
/// assert!(tollgate::model::check(&snapshot).is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Snapshot {
    /// Routes; their order breaks ties (router.md §4.3).
    pub routes: Items<RouteSpec>,
    /// Services.
    pub services: Items<ServiceSpec>,
    /// Upstreams.
    pub upstreams: Items<UpstreamSpec>,
    /// Consumers.
    pub consumers: Items<ConsumerSpec>,
    /// Credentials of all consumers; [`CredentialSpec::consumer`] says whose each is.
    pub credentials: Items<CredentialSpec>,
    /// Groups of consumers.
    pub consumer_groups: Items<ConsumerGroupSpec>,
    /// Sets of plugins for routes.
    pub plugin_configs: Items<PluginConfigSpec>,
    /// Plugins for every request.
    pub global_rules: Items<GlobalRuleSpec>,
    /// What plugins are told once.
    pub plugin_metadata: Items<PluginMetadataSpec>,
    /// The plugins that are enabled; `None` for all.
    pub plugins: Option<Items<EnabledPlugin>>,
    /// Protobuf definitions.
    pub protos: Items<ProtoSpec>,
    /// Secret managers.
    pub secrets: Items<SecretSpec>,
    /// Certificates.
    pub ssls: Items<SslSpec>,
    /// L4 routes; their order counts.
    pub stream_routes: Items<StreamRouteSpec>,
    /// Settings of the gateway.
    pub settings: Arc<Settings>,
    /// Items that a reader could not make.
    pub rejected: Vec<Rejected>,
    /// What a reader doubts about the items that it made.
    pub warnings: Vec<Finding>,
    /// What was left out and fails closed (security.md CFG-02): routes, which answer 503 in their place, and certificates
    /// with what they demand of clients, whose hosts answer 421.
    pub blocked: Vec<Blocked>,
    /// Where the items stand in their document, if they came from one.
    pub places: Places,
}

/// An item of a document that could not be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// What it is.
    pub kind: Kind,
    /// Its id, if it has a readable one.
    pub id: Option<Id>,
    /// Its 0-based place in its list.
    pub index: Option<usize>,
    /// Of a route, and of a certificate that demands some of clients: which requests it is for, if that much could be read.
    pub match_part: Option<MatchPart>,
    /// Everything that is wrong with it.
    pub findings: Vec<Finding>,
}

/// A route that was left out, or a certificate that demands some of clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// What it is.
    pub kind: Kind,
    /// Its id, if it has a readable one.
    pub id: Option<Id>,
    /// Its 0-based place in its list, with those that were left out.
    pub index: Option<usize>,
    /// How many items of its list stand before it in the snapshot: what tells who comes first of two that match alike.
    pub behind: usize,
    /// Which requests it is for.
    pub match_part: MatchPart,
    /// Why it was left out: its faults in words.
    pub reason: String,
}

/// Which requests a route is for; of a certificate, its names alone.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MatchPart {
    /// Path patterns.
    pub uris: Vec<Arc<str>>,
    /// Hosts of its own.
    pub hosts: Vec<Host>,
    /// Methods; none means any.
    pub methods: Vec<Method>,
    /// The service that has hosts for it, if it has none.
    pub service_id: Option<Id>,
    /// Client addresses; none also if they could not be read.
    pub remote_addrs: Vec<IpOrCidr>,
    /// The further condition; none also if it could not be read.
    pub vars: Option<Value>,
    /// Name of the predicate; none also if it could not be read.
    pub filter_func: Option<String>,
    /// Its priority; 0 also if it could not be read.
    pub priority: i64,
}

impl MatchPart {
    /// The conditions of a route. `None` if the route is not in use.
    pub fn of(route: &RouteSpec) -> Option<Self> {
        (route.status == Status::Enabled).then(|| Self {
            uris: route.uri.iter().chain(&route.uris).cloned().collect(),
            hosts: route.own_hosts().cloned().collect(),
            methods: route.methods.clone(),
            service_id: route.service_id.clone(),
            remote_addrs: route.clients().collect(),
            vars: route.vars.clone(),
            filter_func: route.filter_func.clone(),
            priority: route.priority,
        })
    }
}

/// A shared list of shared items. Reads as a slice of `Arc<T>`; cloning copies a pointer.
pub struct Items<T>(Arc<Vec<Arc<T>>>);

impl<T> Items<T> {
    /// Whether both are the very same list.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: impl Into<Arc<T>>) {
        self.to_mut().push(item.into());
    }

    /// The list to change; copies the pointers if somebody else holds it.
    pub fn to_mut(&mut self) -> &mut Vec<Arc<T>> {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: Resource> Items<T> {
    /// The first item of that id. Looks at each: who looks up often builds an index.
    pub fn find(&self, id: &str) -> Option<&Arc<T>> {
        self.iter().find(|item| item.id().as_str() == id)
    }
}

impl<T> Clone for Items<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Deref for Items<T> {
    type Target = [Arc<T>];
    fn deref(&self) -> &[Arc<T>] {
        &self.0
    }
}

impl<T: PartialEq> PartialEq for Items<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
            || (self.len() == other.len()
                && self.iter().zip(other.iter()).all(|(left, right)| Arc::ptr_eq(left, right) || left == right))
    }
}

impl<T: fmt::Debug> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> From<Vec<Arc<T>>> for Items<T> {
    fn from(items: Vec<Arc<T>>) -> Self {
        Self(Arc::new(items))
    }
}

impl<T, I: Into<Arc<T>>> FromIterator<I> for Items<T> {
    fn from_iter<It: IntoIterator<Item = I>>(items: It) -> Self {
        Self(Arc::new(items.into_iter().map(Into::into).collect()))
    }
}

impl<'a, T> IntoIterator for &'a Items<T> {
    type Item = &'a Arc<T>;
    type IntoIter = std::slice::Iter<'a, Arc<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Looks at the lists of a snapshot, whatever their type.
pub(crate) trait Visit {
    fn items<T: super::check::Described + Serialize>(&mut self, items: &Items<T>);
}

/// Makes new lists out of a snapshot's and those of the one before.
pub(crate) trait Fold {
    fn items<T: super::check::Described>(&mut self, items: Items<T>, before: &Items<T>) -> Items<T>;
}

impl Snapshot {
    /// What was left out of one kind.
    pub(crate) fn blocked_of(&self, kind: Kind) -> impl Iterator<Item = &Blocked> {
        self.blocked.iter().filter(move |blocked| blocked.kind == kind)
    }

    /// Shows every list to `visitor`. With [`Snapshot::fold`] the one place that knows them all.
    pub(crate) fn visit(&self, visitor: &mut impl Visit) {
        visitor.items(&self.routes);
        visitor.items(&self.services);
        visitor.items(&self.upstreams);
        visitor.items(&self.consumers);
        visitor.items(&self.credentials);
        visitor.items(&self.consumer_groups);
        visitor.items(&self.plugin_configs);
        visitor.items(&self.global_rules);
        visitor.items(&self.plugin_metadata);
        if let Some(plugins) = &self.plugins {
            visitor.items(plugins);
        }
        visitor.items(&self.protos);
        visitor.items(&self.secrets);
        visitor.items(&self.ssls);
        visitor.items(&self.stream_routes);
    }

    /// Replaces every list by what `fold` makes of it and of the list in `before`.
    pub(crate) fn fold(self, before: &Self, fold: &mut impl Fold) -> Self {
        Self {
            routes: fold.items(self.routes, &before.routes),
            services: fold.items(self.services, &before.services),
            upstreams: fold.items(self.upstreams, &before.upstreams),
            consumers: fold.items(self.consumers, &before.consumers),
            credentials: fold.items(self.credentials, &before.credentials),
            consumer_groups: fold.items(self.consumer_groups, &before.consumer_groups),
            plugin_configs: fold.items(self.plugin_configs, &before.plugin_configs),
            global_rules: fold.items(self.global_rules, &before.global_rules),
            plugin_metadata: fold.items(self.plugin_metadata, &before.plugin_metadata),
            plugins: self
                .plugins
                .map(|plugins| fold.items(plugins, before.plugins.as_ref().unwrap_or(&Items::default()))),
            protos: fold.items(self.protos, &before.protos),
            secrets: fold.items(self.secrets, &before.secrets),
            ssls: fold.items(self.ssls, &before.ssls),
            stream_routes: fold.items(self.stream_routes, &before.stream_routes),
            settings: self.settings,
            rejected: self.rejected,
            warnings: self.warnings,
            blocked: self.blocked,
            places: self.places,
        }
    }

    /// The configuration as a document, which [`read`](super::read) makes the same snapshot of. Secrets stand in it.
    ///
    /// # Errors
    /// None of the types here can fail to serialize; what serde reports is passed on.
    pub fn to_document(&self) -> Result<Value, serde_json::Error> {
        struct Collect(Result<Map<String, Value>, serde_json::Error>);
        impl Visit for Collect {
            fn items<T: super::check::Described + Serialize>(&mut self, items: &Items<T>) {
                let values: Result<Vec<Value>, _> = items.iter().map(serde_json::to_value).collect();
                match (&mut self.0, values) {
                    (Ok(root), Ok(values)) if !values.is_empty() || T::KIND == Kind::Plugin => {
                        let list = root.entry(T::KIND.root_key()).or_insert_with(|| Value::Array(Vec::new()));
                        if let Value::Array(list) = list {
                            list.extend(values);
                        }
                    }
                    (Ok(_), Ok(_)) | (Err(_), _) => {}
                    (root, Err(error)) => *root = Err(error),
                }
            }
        }
        let mut collect = Collect(Ok(Map::new()));
        self.visit(&mut collect);
        let mut root = collect.0?;
        if *self.settings != Settings::default() {
            root.insert(Kind::Settings.root_key().to_owned(), serde_json::to_value(&*self.settings)?);
        }
        Ok(Value::Object(root))
    }
}
