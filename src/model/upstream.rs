//! [`UpstreamSpec`]: where requests go.
use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::balancing::{AFFINITY, SLOW_START};
use super::check::Described;
use super::check::shape::{
    CREATED, DESC, Field, HOST, ID, LABELS, List, NAME, Rule, Shape, Struct, Text, UPDATED, at_least, text,
};
use super::check::walk::Walk;
use super::health::CHECKS;
use super::node::{self, NODES};
use super::plugin::FREE;
use super::resilience::{ADAPTIVE, HEDGE, RETRY_ON, SOME_MILLISECONDS};
use super::timeouts::TIMEOUT;
use super::{
    AdaptiveConcurrency, Affinity, HealthChecks, Hedge, Host, Id, Kind, Labels, Method, NodeSpec, Resource, RetryOn,
    Seconds, Sensitive, SlowStart, Timeouts,
};

/// An upstream: endpoints, how one is picked, and how it is spoken to (upstream.md §1).
///
/// Exactly one of `nodes` and the pair `service_name` + `discovery_type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSpec {
    /// Its id. An upstream inside a route or service needs none.
    #[serde(skip_serializing_if = "Id::is_empty")]
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
    /// Name of the balancer: `roundrobin`, `chash`, `least_conn`, `ewma`, or a registered one. Default `roundrobin`.
    #[serde(rename = "type")]
    pub balancer: Arc<str>,
    /// The endpoints; empty is legal and answers 503. On the wire a list, or a map `host[:port]` → weight.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "node::from_wire")]
    pub nodes: Option<Vec<NodeSpec>>,
    /// Name that a discovery is asked for, 1–256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Name of the discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_type: Option<String>,
    /// What else the discovery is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery_args: Option<Map<String, Value>>,
    /// The protocol. Default `http`.
    pub scheme: Scheme,
    /// **Extension.** Version of HTTP that endpoints of scheme `http` or `https` are spoken to in: `1.1`, `2`, or `auto` for
    /// what TLS agrees upon (ALPN). Those of `grpc` and `grpcs` always speak 2. Default `1.1`.
    pub http_version: HttpVersion,
    /// Which `Host` is sent. Default `pass`.
    pub pass_host: PassHost,
    /// The `Host` to send; required with `pass_host: rewrite`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_host: Option<Host>,
    /// What is hashed, for the balancer `chash`. Default `vars`.
    pub hash_on: HashOn,
    /// Name of the hashed variable, header or cookie, or a template (upstream.md §3.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Further attempts after the first; 0 for none. Unset: 1, if there is another node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// No attempt begins later than this many seconds after the first. Default 0: no such limit.
    pub retry_timeout: Seconds,
    /// Time-outs. Default 5/60/60 seconds.
    pub timeout: Timeouts,
    /// Health checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Arc<HealthChecks>>,
    /// Idle connections.
    pub keepalive_pool: KeepalivePool,
    /// TLS towards the endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// **Extension.** Answers of the upstream that are retried like a failed connection, and which failures are. Default:
    /// no answer, every failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<RetryOn>,
    /// **Extension.** Methods that may be sent again once they were begun to be sent, beside GET, HEAD, OPTIONS, PUT,
    /// DELETE and TRACE (security.md RET-01). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_methods: Option<Vec<Method>>,
    /// **Extension.** How many retries there may be beside first attempts (security.md RET-05).
    pub retry_budget: RetryBudget,
    /// **Extension.** The pause before a retry (security.md RET-04).
    pub retry_backoff: RetryBackoff,
    /// **Extension.** How long one attempt has until its response head, in milliseconds, at least 1. Default: as long as
    /// `timeout` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try_timeout_ms: Option<u64>,
    /// **Extension.** A second attempt elsewhere while the first has not answered; for requests that may be sent twice,
    /// out of the retry budget. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// **Extension.** The longest `grpc-timeout` of a gRPC call that is honoured, in milliseconds, at least 1; a call that
    /// brings none gets it. Default: any is, and a call without one has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_grpc_timeout_ms: Option<u64>,
    /// **Extension.** Percentage of usable endpoints below which all are used again, 0–100; 0 for never (security.md
    /// HC-01). Default 1.
    pub panic_threshold: u8,
    /// **Extension.** Sessions that stay with an endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Arc<Affinity>>,
    /// **Extension.** How a new endpoint gets its share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<SlowStart>,
    /// **Extension.** Requests at a time, at least 1; tunnels count no longer after their 101 (security.md LIM-12).
    /// Default 1024.
    pub max_requests: u32,
    /// **Extension.** Requests that wait for one of `max_requests` to end. Default 1024.
    pub max_pending: u32,
    /// **Extension.** How long they wait, in milliseconds, before they are answered 503. Default 1000.
    pub queue_timeout_ms: u64,
    /// **Extension.** A limit below `max_requests` that follows latency. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_concurrency: Option<AdaptiveConcurrency>,
    /// **Extension.** Connections to all endpoints together, at least 1; a request that needs one more waits for one to end,
    /// within `timeout.connect`. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// When it was made, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it was last changed, in Unix seconds; set by a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<u64>,
}

impl Default for UpstreamSpec {
    fn default() -> Self {
        Self {
            id: Id::default(),
            name: None,
            desc: None,
            labels: Labels::new(),
            balancer: "roundrobin".into(),
            nodes: None,
            service_name: None,
            discovery_type: None,
            discovery_args: None,
            scheme: Scheme::default(),
            http_version: HttpVersion::default(),
            pass_host: PassHost::default(),
            upstream_host: None,
            hash_on: HashOn::default(),
            key: None,
            retries: None,
            retry_timeout: Seconds(0.0),
            timeout: Timeouts::default(),
            checks: None,
            keepalive_pool: KeepalivePool::default(),
            tls: None,
            retry_on: Vec::new(),
            retry_methods: None,
            retry_budget: RetryBudget::default(),
            retry_backoff: RetryBackoff::default(),
            per_try_timeout_ms: None,
            hedge: None,
            max_grpc_timeout_ms: None,
            panic_threshold: 1,
            affinity: None,
            slow_start: None,
            max_requests: 1024,
            max_pending: 1024,
            queue_timeout_ms: 1000,
            adaptive_concurrency: None,
            max_connections: None,
            create_time: None,
            update_time: None,
        }
    }
}

impl UpstreamSpec {
    /// An upstream of these nodes, without an id, as a route or service holds one.
    pub fn of(nodes: impl IntoIterator<Item = NodeSpec>) -> Self {
        Self { nodes: Some(nodes.into_iter().collect()), ..Self::default() }
    }

    /// An upstream of these nodes.
    pub fn new(id: impl Into<Id>, nodes: impl IntoIterator<Item = NodeSpec>) -> Self {
        Self { id: id.into(), ..Self::of(nodes) }
    }
}

/// Protocol towards the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP/1.1; plain TCP for an L4 route.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 without TLS.
    Grpc,
    /// HTTP/2 over TLS.
    Grpcs,
    /// L4: TCP.
    Tcp,
    /// L4: TLS.
    Tls,
    /// L4: UDP.
    Udp,
}

impl Scheme {
    /// The port of a node that names none; L4 has no such port.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::Grpc => Some(80),
            Self::Https | Self::Grpcs => Some(443),
            Self::Tcp | Self::Tls | Self::Udp => None,
        }
    }
}

/// Version of HTTP towards the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2: with TLS by ALPN, else with prior knowledge. An endpoint that does not speak it fails.
    #[serde(rename = "2")]
    Http2,
    /// With TLS what the endpoint prefers (ALPN), but HTTP/1.1 for upgrades; without TLS, HTTP/1.1.
    #[serde(rename = "auto")]
    Auto,
}

/// Which `Host` goes to the endpoint (upstream.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PassHost {
    /// The client's, as sent.
    #[default]
    Pass,
    /// The node's name or address, with its port unless that is the scheme's.
    Node,
    /// `upstream_host`.
    Rewrite,
}

/// What the balancer `chash` hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HashOn {
    /// A variable.
    #[default]
    Vars,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The consumer's name.
    Consumer,
    /// A template of variables.
    VarsCombinations,
}

/// Idle connections to an upstream (upstream.md §6).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct KeepalivePool {
    /// How many are kept, at least 1. Default 320.
    pub size: u32,
    /// How long each is kept, in seconds. Default 60.
    pub idle_timeout: Seconds,
    /// Requests over one connection, at least 1. Default 1000.
    pub requests: u64,
}

impl Default for KeepalivePool {
    fn default() -> Self {
        Self { size: 320, idle_timeout: Seconds(60.0), requests: 1000 }
    }
}

/// TLS towards an upstream (upstream.md §6).
///
/// `client_cert` and `client_key` go together, and exclude `client_cert_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct UpstreamTls {
    /// Client certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// Its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<Sensitive>,
    /// Id of an [`SslSpec`](super::SslSpec) of type `client`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert_id: Option<Id>,
    /// Whether the upstream's certificate is verified. Default `true` (the reference: `false`); `false` is warned about.
    pub verify: bool,
    /// **Extension.** Name to ask for and to verify, instead of the `Host` that is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<Host>,
    /// **Extension.** Certificates to verify against, PEM. Unset: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { client_cert: None, client_key: None, client_cert_id: None, verify: true, sni: None, ca: None }
    }
}

/// How many retries an upstream may get: `ratio` of its requests over 10 s, but `min_per_second` at least.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries to requests, 0 or more. Default 0.2.
    pub ratio: f64,
    /// Retries a second that are always allowed. Default 3.
    pub min_per_second: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { ratio: 0.2, min_per_second: 3 }
    }
}

/// The pause before a retry: random below a bound that doubles from `base_ms` up to `max_ms`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryBackoff {
    /// First bound in milliseconds; 0 for no pause. Default 25.
    pub base_ms: u64,
    /// Last bound in milliseconds. Default 1000.
    pub max_ms: u64,
}

impl Default for RetryBackoff {
    fn default() -> Self {
        Self { base_ms: 25, max_ms: 1000 }
    }
}

impl Resource for UpstreamSpec {
    const KIND: Kind = Kind::Upstream;
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Described for UpstreamSpec {
    const SHAPE: &'static Struct = &TABLE;
    fn set_id(&mut self, id: Id) {
        self.id = id;
    }
}

const U32: i64 = u32::MAX as i64;
const MILLISECONDS: Shape = Shape::Int(0, 3_600_000);
const CERTIFICATE: Shape = Shape::Text(Text { min: 128, max: 65_536, rule: Some(&Rule::PEM) });
const PRIVATE_KEY: Shape = Shape::Text(Text { min: 64, max: 65_536, rule: Some(&Rule::PEM) });

/// An upstream inside another resource.
pub(crate) const UPSTREAM: Shape = Shape::Struct(&TABLE);

static TABLE: Struct = Struct::new(&[
    ID,
    NAME,
    DESC,
    LABELS,
    Field::new("type", text(256)),
    Field::new("nodes", NODES),
    Field::new("service_name", text(256)),
    Field::new("discovery_type", text(256)),
    Field::new("discovery_args", FREE),
    Field::new("scheme", Shape::Word(&["http", "https", "grpc", "grpcs", "tcp", "tls", "udp"])),
    Field::extension("http_version", Shape::Word(&["1.1", "2", "auto"])),
    Field::new("pass_host", Shape::Word(&["pass", "node", "rewrite"])),
    Field::new("upstream_host", HOST),
    Field::new("hash_on", Shape::Word(&["vars", "header", "cookie", "consumer", "vars_combinations"])),
    Field::new("key", text(4096)),
    Field::new("retries", Shape::Int(0, U32)),
    Field::new("retry_timeout", Shape::From(0.0)),
    Field::new("timeout", TIMEOUT),
    Field::new("checks", CHECKS),
    Field::new(
        "keepalive_pool",
        Shape::Struct(
            &Struct::new(&[
                Field::new("size", Shape::Int(1, U32)),
                Field::new("idle_timeout", Shape::From(0.0)),
                Field::new("requests", at_least(1)),
            ])
            .tolerant(),
        ),
    ),
    Field::new(
        "tls",
        Shape::Struct(
            &Struct::new(&[
                Field::new("client_cert", CERTIFICATE),
                Field::new("client_key", PRIVATE_KEY),
                Field::new("client_cert_id", Shape::Id),
                Field::new("verify", Shape::Bool),
                Field::extension("sni", HOST),
                Field::extension("ca", Shape::Text(Text { min: 128, max: 1 << 20, rule: Some(&Rule::PEM) })),
            ])
            .tolerant()
            .with_rule(tls_structure),
        ),
    ),
    Field::extension("retry_on", RETRY_ON),
    Field::extension(
        "retry_methods",
        Shape::List(&List { of: Shape::Word(Method::NAMES), min: 0, max: usize::MAX, unique: true }),
    ),
    Field::extension(
        "retry_budget",
        Shape::Struct(&Struct::new(&[
            Field::extension("ratio", Shape::From(0.0)),
            Field::extension("min_per_second", Shape::Int(0, U32)),
        ])),
    ),
    Field::extension(
        "retry_backoff",
        Shape::Struct(&Struct::new(&[
            Field::extension("base_ms", MILLISECONDS),
            Field::extension("max_ms", MILLISECONDS),
        ])),
    ),
    Field::extension("per_try_timeout_ms", SOME_MILLISECONDS),
    Field::extension("hedge", HEDGE),
    Field::extension("max_grpc_timeout_ms", Shape::Int(1, i64::MAX)),
    Field::extension("panic_threshold", Shape::Int(0, 100)),
    Field::extension("affinity", AFFINITY),
    Field::extension("slow_start", SLOW_START),
    Field::extension("max_requests", Shape::Int(1, U32)),
    Field::extension("max_pending", Shape::Int(0, U32)),
    Field::extension("queue_timeout_ms", MILLISECONDS),
    Field::extension("adaptive_concurrency", ADAPTIVE),
    Field::extension("max_connections", Shape::Int(1, U32)),
    CREATED,
    UPDATED,
])
.with_rule(structure);

fn structure<'v>(upstream: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let has = |name: &str| upstream.contains_key(name);
    let text = |name: &str| upstream.get(name).and_then(Value::as_str);
    match (has("nodes"), has("service_name"), has("discovery_type")) {
        (true, false, false) | (false, true, true) => {}
        (false, false, false) => {
            walk.error("has no endpoints", "write `nodes`, or `service_name` with `discovery_type`")
        }
        (true, ..) => {
            walk.error("has both nodes and a discovery", "keep `nodes`, or `service_name` with `discovery_type`")
        }
        _ => walk.error("has half of a discovery", "write both `service_name` and `discovery_type`"),
    }
    if text("pass_host") == Some("rewrite") && !has("upstream_host") {
        walk.error("has pass_host rewrite, but no host to write", "write `upstream_host`");
    }
    if text("type") == Some("chash") {
        hash_key(
            text("hash_on").unwrap_or("vars"),
            upstream.get("key").map(|key| key.as_str().unwrap_or_default()),
            walk,
        );
    }
    let least = upstream.get("adaptive_concurrency").and_then(|adaptive| adaptive.get("min")).and_then(Value::as_u64);
    let most = upstream.get("max_requests").and_then(Value::as_u64).unwrap_or(1024);
    if least.is_some_and(|least| least > most) {
        let mend = "write a `min` of at most `max_requests`";
        walk.under("adaptive_concurrency", |walk| walk.error("has a `min` above `max_requests`", mend));
    }
    if let Some(nodes) = upstream.get("nodes") {
        node_set(nodes, text("scheme").unwrap_or("http"), walk);
    }
}

fn node_set<'v>(nodes: &'v Value, scheme: &str, walk: &mut Walk<'_, 'v>) {
    let default_port = match scheme {
        "http" | "grpc" => Some(80),
        "https" | "grpcs" => Some(443),
        _ => None,
    };
    walk.under("nodes", |walk| {
        let mut seen = HashSet::new();
        for (group, address) in node::identities(nodes, default_port) {
            if !seen.insert((group, address.clone())) {
                walk.error(format!("has {address} twice"), "leave one of them out, or give it another `priority`");
            }
        }
        if default_port.is_none() && node::lack_port(nodes) {
            walk.error(
                format!("has a node without a port, and {scheme} has none by default"),
                "write a port for each node",
            );
        }
    });
}

fn hash_key<'v>(hash_on: &str, key: Option<&str>, walk: &mut Walk<'_, 'v>) {
    const VARIABLES: &[&str] = &[
        "uri",
        "server_name",
        "server_addr",
        "request_uri",
        "remote_port",
        "remote_addr",
        "query_string",
        "host",
        "hostname",
        "mqtt_client_id",
    ];
    let word =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let mend = match (hash_on, key) {
        ("consumer", _) | ("vars_combinations", Some(_)) => return,
        ("vars", Some(key)) if VARIABLES.contains(&key) || key.strip_prefix("arg_").is_some_and(word) => return,
        ("header" | "cookie", Some(key)) if word(key) => return,
        ("vars", _) => format!("write one of `{}`, or `arg_` and the name of a query argument", VARIABLES.join("`, `")),
        ("vars_combinations", None) => "write a template such as `$host-$arg_user`".to_owned(),
        _ => format!("write the name of the {hash_on}: letters, digits, `-` and `_`"),
    };
    let message = if key.is_none() { "is missing" } else { "cannot be hashed" };
    walk.under("key", |walk| walk.error(message, mend));
}

fn tls_structure<'v>(tls: &'v Map<String, Value>, walk: &mut Walk<'_, 'v>) {
    let has = |name: &str| tls.contains_key(name);
    if has("client_cert") != has("client_key") {
        walk.error("has one half of a client certificate", "write both `client_cert` and `client_key`");
    }
    if has("client_cert_id") && (has("client_cert") || has("client_key")) {
        walk.error("has two client certificates", "keep `client_cert_id`, or `client_cert` with `client_key`");
    }
    if tls.get("verify") == Some(&Value::Bool(false)) {
        walk.warn(
            "does not verify the upstream's certificate",
            "set `verify` to true, and `ca` if it has an authority of its own",
        );
    }
}
