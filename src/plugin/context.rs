//! What a plugin's constructor may use.
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::bodies::Bodies;
use super::{Caveat, ConfigError, ConsumerLookup, Registry, shape};
use crate::Next;
use crate::model::{CacheZoneSpec, Id, UpstreamSpec};
#[cfg(feature = "grpc-transcode")]
use crate::proto::Proto;
use crate::upstream::Upstream;

/// What a constructor may use.
#[derive(Clone, Copy)]
pub struct BuildContext<'a> {
    scope: &'a Scope,
    block: Option<&'a Map<String, Value>>,
    workshop: &'a dyn Workshop,
}

/// What a gateway lends to constructors.
pub(crate) trait Workshop {
    /// Metadata by plugin.
    fn metadata(&self, plugin: &str) -> Option<&Map<String, Value>>;
    /// `tollgate.plugin_attr` by plugin.
    fn attr(&self, plugin: &str) -> Option<&Map<String, Value>>;
    /// `tollgate.cache_zones`.
    fn cache_zones(&self) -> &[CacheZoneSpec];
    /// The upstream resource of that id. That it was asked for is noted: the block is built anew when it changes.
    fn upstream_by_id(&self, id: &Id) -> Option<Arc<Upstream>>;
    /// An upstream of a block's own, at `place` in it.
    fn upstream(&self, scope: &Scope, plugin: &str, place: &str, spec: &UpstreamSpec) -> Result<Arc<Upstream>, String>;
    /// The Protobuf definition of that id. That it was asked for is noted, as with upstreams.
    #[cfg(feature = "grpc-transcode")]
    fn proto(&self, id: &Id) -> Option<Proto>;
    /// How bodies are read. That it was asked for is noted: the block is built anew when the limits change.
    fn bodies(&self) -> Bodies;
    /// The gateway itself.
    fn gateway(&self) -> Option<Next>;
    /// Takes note of what a constructor doubts.
    fn doubt(&self, doubt: Caveat);
    /// Every plugin.
    fn registry(&self) -> Option<&Registry>;
}

/// No gateway around.
struct Bare;

impl Workshop for Bare {
    fn metadata(&self, _: &str) -> Option<&Map<String, Value>> {
        None
    }

    fn attr(&self, _: &str) -> Option<&Map<String, Value>> {
        None
    }

    fn cache_zones(&self) -> &[CacheZoneSpec] {
        &[]
    }

    fn upstream_by_id(&self, _: &Id) -> Option<Arc<Upstream>> {
        None
    }

    fn upstream(&self, _: &Scope, _: &str, _: &str, _: &UpstreamSpec) -> Result<Arc<Upstream>, String> {
        Err("there is no gateway around to build an upstream".to_owned())
    }

    #[cfg(feature = "grpc-transcode")]
    fn proto(&self, _: &Id) -> Option<Proto> {
        None
    }

    fn bodies(&self) -> Bodies {
        Bodies::default()
    }

    fn gateway(&self) -> Option<Next> {
        None
    }

    fn doubt(&self, _: Caveat) {}

    fn registry(&self) -> Option<&Registry> {
        None
    }
}

impl<'a> BuildContext<'a> {
    /// A context for tests and for hosts that build layers by hand.
    pub fn new(scope: &'a Scope) -> Self {
        Self { scope, block: None, workshop: &Bare }
    }

    pub(crate) fn with_workshop(scope: &'a Scope, workshop: &'a dyn Workshop) -> Self {
        Self { scope, block: None, workshop }
    }

    pub(crate) fn with_block<'b>(self, block: &'b Map<String, Value>) -> BuildContext<'b>
    where
        'a: 'b,
    {
        BuildContext { block: Some(block), ..self }
    }

    /// The resource that the block is written on: the owner of the block's state.
    pub fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// The block as written, without `_meta`, and with references to secrets as such; `None` outside of a gateway. In a block that
    /// others hold it is the outermost one. The order of its keys says nothing.
    pub fn block(&self) -> Option<&'a Map<String, Value>> {
        self.block
    }

    /// Where authentication layers find consumers: in the configuration that the request began with.
    pub fn consumers(&self) -> ConsumerLookup {
        ConsumerLookup::of_request()
    }

    /// What `plugin` was told for the whole gateway (`plugin_metadata`).
    ///
    /// # Errors
    /// When it does not have that shape; [`Plugin::check_metadata`](super::Plugin::check_metadata) has said so before.
    pub fn metadata<T: DeserializeOwned>(&self, plugin: &'static str) -> Result<Option<T>, ConfigError> {
        self.workshop.metadata(plugin).map(|map| shape(plugin, map)).transpose()
    }

    /// The static attributes of `plugin` (`tollgate.plugin_attr.<plugin>`).
    ///
    /// # Errors
    /// When they do not have that shape.
    pub fn attr<T: DeserializeOwned>(&self, plugin: &'static str) -> Result<Option<T>, ConfigError> {
        let attr = self.workshop.attr(plugin).map(|map| shape(plugin, map)).transpose();
        attr.map_err(|error| error.under(plugin, &format!("tollgate.plugin_attr.{plugin}")))
    }

    /// The cache zone of that name: of `tollgate.cache_zones`, or one that is there unasked. Blocks of the plugins that
    /// come with the crate and keep answers are built anew when the zones change.
    pub fn cache_zone(&self, name: &str) -> Option<CacheZoneSpec> {
        let own = self.workshop.cache_zones().iter().find(|zone| zone.name == name).cloned();
        own.or_else(|| CacheZoneSpec::standard().into_iter().find(|zone| zone.name == name))
    }

    /// The upstream resource of that id, as it is now; the block is built anew when it changes.
    pub fn upstream_by_id(&self, id: &Id) -> Option<Arc<Upstream>> {
        self.workshop.upstream_by_id(id)
    }

    /// An upstream that stands inside the block, at `place` (a path such as `rules.0.weighted_upstreams.1.upstream`).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn upstream(
        &self,
        plugin: &'static str,
        place: &str,
        spec: &UpstreamSpec,
    ) -> Result<Arc<Upstream>, ConfigError> {
        let made = self.workshop.upstream(self.scope, plugin, place, spec);
        made.map_err(|reason| ConfigError::invalid(plugin, place, reason))
    }

    /// The Protobuf definition of that id (`protos`), as it is now; the block is built anew when it changes.
    #[cfg(feature = "grpc-transcode")]
    pub fn proto(&self, id: &Id) -> Option<Proto> {
        self.workshop.proto(id)
    }

    /// How the plugin reads whole bodies: within the limits of the gateway, which are the default ones without a gateway.
    pub fn bodies(&self) -> Bodies {
        self.workshop.bodies()
    }

    /// The gateway itself, outermost layers included, for requests that a plugin sends through it; `None` without a gateway. They
    /// come from the client of the [`ConnectInfo`](crate::ConnectInfo) in their extensions, if there is one. It is not kept
    /// alive by this, and answers 500 when it is gone.
    pub fn gateway(&self) -> Option<Next> {
        self.workshop.gateway()
    }

    /// Says what is doubtful about the block by what the constructor was lent; [`Plugin::caveats`](super::Plugin::caveats)
    /// is for what the block alone tells.
    pub fn doubt(&self, doubt: Caveat) {
        self.workshop.doubt(doubt);
    }

    /// Every plugin of the gateway, for plugins that hold others' blocks; `None` without a gateway.
    pub fn registry(&self) -> Option<&'a Registry> {
        self.workshop.registry()
    }
}

impl fmt::Debug for BuildContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuildContext").field("scope", self.scope).finish_non_exhaustive()
    }
}

/// The resource that carries a plugin block. Two blocks with equal scope and plugin share state across reloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// A route, by id.
    Route(Arc<str>),
    /// A service, by id.
    Service(Arc<str>),
    /// A plugin config, by id.
    PluginConfig(Arc<str>),
    /// A global rule, by id.
    GlobalRule(Arc<str>),
    /// A consumer, by name.
    Consumer(Arc<str>),
    /// A consumer group, by id.
    ConsumerGroup(Arc<str>),
    /// Built by the host in code.
    Code,
}

impl Scope {
    /// The resource's path, `routes/1`: the same text in every gateway that has this configuration.
    pub fn path(&self) -> String {
        match self {
            Self::Route(id) => format!("routes/{id}"),
            Self::Service(id) => format!("services/{id}"),
            Self::PluginConfig(id) => format!("plugin_configs/{id}"),
            Self::GlobalRule(id) => format!("global_rules/{id}"),
            Self::Consumer(id) => format!("consumers/{id}"),
            Self::ConsumerGroup(id) => format!("consumer_groups/{id}"),
            Self::Code => "code".to_owned(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(id) => write!(f, "route `{id}`"),
            Self::Service(id) => write!(f, "service `{id}`"),
            Self::PluginConfig(id) => write!(f, "plugin config `{id}`"),
            Self::GlobalRule(id) => write!(f, "global rule `{id}`"),
            Self::Consumer(id) => write!(f, "consumer `{id}`"),
            Self::ConsumerGroup(id) => write!(f, "consumer group `{id}`"),
            Self::Code => f.write_str("code"),
        }
    }
}
