//! [`StreamRouteSpec`]: routes of L4 connections.
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::Described;
use super::check::shape::{
    CREATED, DESC, Field, HOST, ID, LABELS, List, NAME, PORT, Shape, Struct, UPDATED, VARS, text,
};
use super::check::walk::Walk;
use super::plugin::{FREE, PLUGINS};
use super::route::both_upstreams;
use super::upstream::UPSTREAM;
use super::{Host, Id, IpOrCidr, Kind, Labels, PluginMap, Resource, UpstreamSpec};

/// An L4 route (model.md §6). All address fields that are given must match.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StreamRouteSpec {
    /// Its id.
    pub id: Id,
    /// A name for people, 1–256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<IpOrCidr>,
    /// Address that the client connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_addr: Option<IpOrCidr>,
    /// Port that the client connected to, 1–65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_port: Option<u16>,
    /// Server name of a TLS connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<Host>,
    /// An upstream of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<UpstreamSpec>>,
    /// Id of an upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<Id>,
    /// Id of a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<Id>,
    /// Its plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<PluginMap>,
    /// A protocol that is spoken inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<StreamProtocol>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

/// A protocol inside an L4 connection.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StreamProtocol {
    /// Its name. Required.
    pub name: String,
    /// Id of the stream route that this one refines; of the same protocol, and not itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superior_id: Option<Id>,
    /// What the protocol is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conf: Option<Map<String, Value>>,
    /// Loggers of its requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logger: Vec<StreamLogger>,
}

/// A logger of a protocol.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StreamLogger {
    /// The plugin's name. Required.
    pub name: String,
    /// Which requests, an expression of router.md §6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
    /// What the plugin is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conf: Option<Map<String, Value>>,
}

impl Resource for StreamRouteSpec {
    const KIND: Kind = Kind::StreamRoute;
    fn id(&self) -> &Id {
        &self.id
    }
}

const LOGGER: Struct =
    Struct::new(&[Field::required("name", text(256)), Field::new("filter", VARS), Field::new("conf", FREE)]);

impl Described for StreamRouteSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        ID,
        NAME,
        DESC,
        LABELS,
        Field::new("remote_addr", Shape::Address),
        Field::new("server_addr", Shape::Address),
        Field::new("server_port", PORT),
        Field::new("sni", HOST),
        Field::new("upstream", UPSTREAM),
        Field::new("upstream_id", Shape::Id),
        Field::new("service_id", Shape::Id),
        Field::new("plugins", PLUGINS),
        Field::new(
            "protocol",
            Shape::Struct(&Struct::new(&[
                Field::required("name", text(256)),
                Field::new("superior_id", Shape::Id),
                Field::new("conf", FREE),
                Field::new(
                    "logger",
                    Shape::List(&List { of: Shape::Struct(&LOGGER), min: 0, max: usize::MAX, unique: false }),
                ),
            ])),
        ),
        CREATED,
        UPDATED,
    ])
    .with_rule(structure);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}

fn structure<'v>(route: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    both_upstreams(route, walk);
    let superior = route.get("protocol").and_then(|protocol| protocol.get("superior_id"));
    if superior.is_some() && superior == route.get("id") {
        walk.error("is its own superior", "write the id of another stream route into `protocol.superior_id`");
    }
}
