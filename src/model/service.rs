//! [`ServiceSpec`]: what several routes have in common.
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::check::Described;
use super::check::shape::{CREATED, DESC, Field, HOSTS, ID, LABELS, NAME, Shape, Struct, UPDATED};
use super::plugin::PLUGINS;
use super::route::both_upstreams;
use super::upstream::UPSTREAM;
use super::{Host, Id, Kind, Labels, PluginMap, Resource, UpstreamSpec};

/// A service: plugins, hosts and an upstream that lie beneath the routes bound to it (model.md §3, §7.1). Every field
/// is optional.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ServiceSpec {
    /// Its id.
    pub id: Id,
    /// A name for people, 1–256 characters; the variable `service_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels; a route's own replace them all.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Hosts of its routes that have neither `host` nor `hosts`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// Plugins; a route's plugin of the same name replaces one as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<PluginMap>,
    /// An upstream of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<UpstreamSpec>>,
    /// Id of an upstream; beats `upstream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<Id>,
    /// Whether upgrades are forwarded, unless the route says. Unset: not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_websocket: Option<bool>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

impl Resource for ServiceSpec {
    const KIND: Kind = Kind::Service;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for ServiceSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        ID,
        NAME,
        DESC,
        LABELS,
        Field::new("hosts", HOSTS),
        Field::new("plugins", PLUGINS),
        Field::new("upstream", UPSTREAM),
        Field::new("upstream_id", Shape::Id),
        Field::new("enable_websocket", Shape::Bool),
        CREATED,
        UPDATED,
    ])
    .refusing(&[
        ("script", "remove it: Lua does not run here; use plugins, or a tower layer in code"),
        ("service_protocol", "remove it, and write the protocol as `upstream.scheme`, such as grpc"),
    ])
    .with_rule(both_upstreams);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}
