//! [`RouteSpec`]: which requests, and what happens to them.
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::Described;
use super::check::shape::{
    ADDRESSES, CREATED, DESC, Field, HOST, HOSTS, ID, LABELS, List, NAME, Rule, Shape, Struct, Text, UPDATED, VARS,
    text,
};
use super::check::walk::Walk;
use super::plugin::PLUGINS;
use super::settings::ENCODED_SLASH;
use super::timeouts::TIMEOUT;
use super::upstream::UPSTREAM;
use super::{
    EncodedSlash, Host, Id, IpOrCidr, Kind, Labels, MatchPart, Method, PluginMap, Resource, Status, Timeouts,
    UpstreamSpec,
};

/// A route: conditions on a request, plugins, and the upstream behind them (model.md §2).
///
/// Structural rules: exactly one of `uri` and `uris`; at most one of `host` and `hosts`, of `remote_addr` and
/// `remote_addrs`; at least one of `plugins`, `upstream`, `upstream_id`, `service_id`.
///
/// ```
/// use tollgate::model::{Host, NodeSpec, RouteSpec, UpstreamSpec};
///
/// let route = RouteSpec {
///     hosts: vec![Host::from("api.shop.test")],
///     upstream: Some(UpstreamSpec::of([NodeSpec::host("127.0.0.1", 7001)]).into()),
///     ..RouteSpec::new("orders", "/orders/*")
/// };
/// assert_eq!(route.patterns().collect::<Vec<_>>(), ["/orders/*"]);
/// ```
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RouteSpec {
    /// Its id.
    pub id: Id,
    /// A name for people, 1–256 characters; the variable `route_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A description, up to 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Free labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// One path pattern, 1–4096 characters (router.md §3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<Arc<str>>,
    /// Several path patterns, independent of each other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uris: Vec<Arc<str>>,
    /// One host. Without `host` and `hosts`: the service's hosts, else any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Several hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// Methods; none means any, unknown ones included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// One client address or network that is let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<IpOrCidr>,
    /// Several client addresses or networks that are let in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_addrs: Vec<IpOrCidr>,
    /// A further condition, an expression of router.md §6; `[]` always holds. Judged by the router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vars: Option<Value>,
    /// Name of a predicate that the host program registered (the reference has Lua source here), 1–256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_func: Option<String>,
    /// Higher wins, among patterns that are equal otherwise (router.md §4). Default 0.
    pub priority: i64,
    /// Whether it is in use. Default 1.
    pub status: Status,
    /// Its plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<PluginMap>,
    /// Id of a [`PluginConfigSpec`](super::PluginConfigSpec) whose plugins fill in what `plugins` lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_config_id: Option<Id>,
    /// An upstream of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<UpstreamSpec>>,
    /// Id of an upstream; beats `upstream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<Id>,
    /// Id of the service beneath the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<Id>,
    /// Replaces the upstream's `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeouts>,
    /// Whether upgrades are forwarded. Unset: as the service has it, else not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_websocket: Option<bool>,
    /// **Extension.** What an encoded slash in the path means for this route, judged after the match (router.md §2).
    /// Unset: as `tollgate.router.encoded_slash` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoded_slash: Option<EncodedSlash>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

impl RouteSpec {
    /// A route of one pattern. Give it plugins, an upstream or a service before it is applied.
    pub fn new(id: impl Into<Id>, uri: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), uri: Some(uri.into()), ..Self::default() }
    }

    /// Its path patterns, whichever field they stand in.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.uri.iter().chain(&self.uris).map(AsRef::as_ref)
    }

    /// Its own hosts, whichever field they stand in.
    pub fn own_hosts(&self) -> impl Iterator<Item = &Host> {
        self.host.iter().chain(&self.hosts)
    }

    /// Its client addresses, whichever field they stand in.
    pub fn clients(&self) -> impl Iterator<Item = IpOrCidr> {
        self.remote_addr.iter().chain(&self.remote_addrs).copied()
    }
}

impl Resource for RouteSpec {
    const KIND: Kind = Kind::Route;
    fn id(&self) -> &Id {
        &self.id
    }
}

const URI: Shape = text(4096);
const LUA: &str = "remove it: Lua does not run here; use plugins, or a tower layer in code";

impl Described for RouteSpec {
    const SHAPE: &'static Struct = &Struct::new(&[
        ID,
        NAME,
        DESC,
        LABELS,
        Field::new("uri", URI),
        Field::new("uris", Shape::List(&List { of: URI, min: 1, max: usize::MAX, unique: true })),
        Field::new("host", HOST),
        Field::new("hosts", HOSTS),
        Field::new(
            "methods",
            Shape::List(&List { of: Shape::Word(Method::NAMES), min: 0, max: usize::MAX, unique: true }),
        ),
        Field::new("remote_addr", Shape::Address),
        Field::new("remote_addrs", ADDRESSES),
        Field::new("vars", VARS),
        Field::new("filter_func", Shape::Text(Text { min: 1, max: 256, rule: Some(&PREDICATE) })),
        Field::new("priority", Shape::Int(i64::MIN, i64::MAX)),
        Field::new("status", Shape::Int(0, 1)),
        Field::new("plugins", PLUGINS),
        Field::new("plugin_config_id", Shape::Id),
        Field::new("upstream", UPSTREAM),
        Field::new("upstream_id", Shape::Id),
        Field::new("service_id", Shape::Id),
        Field::new("timeout", TIMEOUT),
        Field::new("enable_websocket", Shape::Bool),
        Field::extension("encoded_slash", ENCODED_SLASH),
        CREATED,
        UPDATED,
    ])
    .refusing(&[
        ("script", LUA),
        ("script_id", LUA),
        ("service_protocol", "remove it, and write the protocol as `upstream.scheme`, such as grpc"),
    ])
    .with_rule(structure);

    fn set_id(&mut self, id: Id) {
        self.id = id;
    }

    fn match_part(&self) -> Option<MatchPart> {
        MatchPart::of(self)
    }
}

const PREDICATE: Rule = Rule {
    holds: |name| !name.trim_start().starts_with("function"),
    expects: "the name of a predicate that the host program registered (Lua does not run here)",
};

fn structure<'v>(route: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let has = |name: &str| route.contains_key(name);
    if has("uri") == has("uris") {
        let message = if has("uri") { "has both uri and uris" } else { "has neither uri nor uris" };
        walk.error(message, "write `uri` for one path, or `uris` for several");
    }
    for (one, several) in [("host", "hosts"), ("remote_addr", "remote_addrs")] {
        if has(one) && has(several) {
            walk.error(format!("has both {one} and {several}"), format!("put all of them into `{several}`"));
        }
    }
    if !["plugins", "upstream", "upstream_id", "service_id"].into_iter().any(has) {
        walk.error(
            "leads nowhere",
            "write at least one of `upstream_id`, `upstream`, `service_id` and `plugins` (`plugin_config_id` alone is not enough)",
        );
    }
    both_upstreams(route, walk);
}

/// `upstream` beside `upstream_id` is legal, and seldom what was meant.
pub(crate) fn both_upstreams<'v>(item: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    if item.contains_key("upstream") && item.contains_key("upstream_id") {
        walk.warn("has both upstream and upstream_id, and upstream is never used", "remove one of them");
    }
}
