//! What constructors of plugins are lent while a configuration is compiled.
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::compile::touches;
use super::difference::Tables;
use super::entrance::Entrance;
use super::protos;
use super::secrets::Secrets;
use super::settings::Rules;
use super::tls::Vault;
use super::upstreams::{self, Owner};
use crate::Next;
use crate::model::{CacheZoneSpec, Id, Kind, Settings, UpstreamSpec};
use crate::plugin::bodies::{Bodies, Room};
use crate::plugin::{Caveat, Registry, Scope, Workshop};
use crate::request::CustomVars;
use crate::upstream::{Endpoints, Upstream, Upstreams};

/// Metadata by plugin.
pub(super) type Metadata = BTreeMap<Id, Map<String, Value>>;

/// Lends what the compiler has.
pub(super) struct Bench<'a> {
    pub(super) registry: &'a Registry,
    pub(super) settings: &'a Settings,
    pub(super) metadata: &'a Metadata,
    pub(super) rules: &'a Rules,
    pub(super) pool: &'a Upstreams,
    pub(super) endpoints: &'a Endpoints,
    pub(super) protos: &'a protos::Changes,
    #[cfg(feature = "grpc-transcode")]
    pub(super) protos_before: &'a protos::Protos,
    pub(super) upstreams: &'a Tables<Arc<Upstream>>,
    pub(super) upstreams_before: &'a HashMap<Id, Arc<Upstream>>,
    pub(super) secrets: &'a Secrets<'a>,
    pub(super) vault: &'a Vault<'a>,
    pub(super) custom_vars: &'a CustomVars,
    /// Set when a block names identity fields.
    pub(super) names_fields: &'a Cell<bool>,
    /// The upstreams and Protobuf definitions that the block being built asked for.
    pub(super) asked: RefCell<Vec<(Kind, Id)>>,
    /// What its constructor doubts about it.
    pub(super) doubts: RefCell<Vec<Caveat>>,
    /// What plugins may hold of bodies.
    pub(super) room: &'a Arc<Room>,
    /// The way into the gateway.
    pub(super) entrance: &'a Entrance,
    /// Set when the block being built took up limits of the settings: by an upstream of its own, or to read bodies.
    pub(super) took_limits: Cell<bool>,
    /// Set when the block being built asked for other plugins: what they are told is told to it.
    pub(super) took_registry: Cell<bool>,
    /// Whether those limits differ from before.
    pub(super) other_limits: bool,
}

impl Bench<'_> {
    /// Whether an item that a block may ask for differs from before.
    pub(super) fn touches(&self, kind: Kind, id: &Id) -> bool {
        touches(self.protos, self.upstreams, kind, id)
    }
}

impl Workshop for Bench<'_> {
    fn metadata(&self, plugin: &str) -> Option<&Map<String, Value>> {
        self.metadata.get(plugin)
    }

    fn attr(&self, plugin: &str) -> Option<&Map<String, Value>> {
        self.settings.plugin_attr.get(plugin)
    }

    fn cache_zones(&self) -> &[CacheZoneSpec] {
        &self.settings.cache_zones
    }

    fn upstream_by_id(&self, id: &Id) -> Option<Arc<Upstream>> {
        self.asked.borrow_mut().push((Kind::Upstream, id.clone()));
        self.upstreams.get(self.upstreams_before, id)
    }

    fn upstream(&self, scope: &Scope, plugin: &str, place: &str, spec: &UpstreamSpec) -> Result<Arc<Upstream>, String> {
        self.took_limits.set(true);
        let id = Id::from(format!("{}/{plugin}/{place}", scope.path()));
        let owner = Owner { kind: Kind::Upstream, id: &id };
        let made = upstreams::compile(spec, owner, self.rules, self.vault, self.pool, self.endpoints);
        made.map_err(|finding| match finding.path.as_str() {
            "" => finding.message,
            path => format!("{path}: {}", finding.message),
        })
    }

    #[cfg(feature = "grpc-transcode")]
    fn proto(&self, id: &Id) -> Option<crate::proto::Proto> {
        self.asked.borrow_mut().push((Kind::Proto, id.clone()));
        self.protos.get(self.protos_before, id)
    }

    fn bodies(&self) -> Bodies {
        self.took_limits.set(true);
        Bodies::new(Arc::clone(self.room), &self.settings.limits)
    }

    fn gateway(&self) -> Option<Next> {
        Some(self.entrance.next())
    }

    fn doubt(&self, doubt: Caveat) {
        self.doubts.borrow_mut().push(doubt);
    }

    fn registry(&self) -> Option<&Registry> {
        self.took_registry.set(true);
        Some(self.registry)
    }
}
