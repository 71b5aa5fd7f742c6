//! What an upstream is told to be: plain values, checked by [`UpstreamConfig::check`] before anything is built.
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};

use super::adaptive::AdaptiveConfig;
use super::balance::{AffinityConfig, HashKey, SlowStart};
use super::error::UpstreamBuildError;
use super::health::HealthConfig;
use super::protocol::HttpVersion;
use super::tls::TlsConfig;

/// The stable identity of an upstream: the kind and id of the resource that holds it, such as `upstream/7` or `route/3`.
///
/// What a reload must not lose (balancer position, retry budget, requests in flight) is kept under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamKey(Arc<str>);

impl UpstreamKey {
    /// The key of the resource `kind`/`id`.
    pub fn new(kind: &str, id: &str) -> Self {
        Self(format!("{kind}/{id}").into())
    }

    /// `kind/id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the endpoints are spoken to (upstream.md §1, `scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// HTTP in clear. The default.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
    /// HTTP/2 in clear with prior knowledge (RFC 9113 §3.3).
    Grpc,
    /// HTTP/2 over TLS.
    Grpcs,
}

impl Scheme {
    /// The port of a node that names none: 80, or 443 with TLS.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::Grpc => 80,
            Self::Https | Self::Grpcs => 443,
        }
    }

    /// Whether connections are secured by TLS.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }

    /// The scheme of the URI that is sent over HTTP/2.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http | Self::Grpc => "http",
            Self::Https | Self::Grpcs => "https",
        }
    }
}

/// Where a node leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// An address on the network.
    Host {
        /// A name, an IPv4 address, or an IPv6 address with or without brackets.
        host: String,
        /// `None`: [`Scheme::default_port`].
        port: Option<u16>,
    },
    /// A tower service of this process, by the name it was registered under.
    Service(String),
}

impl Target {
    /// An address on the network.
    pub fn host(host: impl Into<String>, port: u16) -> Self {
        Self::Host { host: host.into(), port: Some(port) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port: Some(port) } => write!(f, "{host}:{port}"),
            Self::Host { host, port: None } => f.write_str(host),
            Self::Service(name) => write!(f, "service {name}"),
        }
    }
}

/// One node of an upstream (upstream.md §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where it leads.
    pub target: Target,
    /// Its share of the requests among the nodes of its priority. 0 = none, unless all of them have 0.
    pub weight: u32,
    /// Nodes of a lower priority serve only when those of all higher ones were tried. Default 0.
    pub priority: i32,
}

impl NodeConfig {
    /// A node of weight 1 and priority 0.
    pub fn new(target: Target) -> Self {
        Self { target, weight: 1, priority: 0 }
    }

    /// Sets the weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn with_priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}

/// The `Host` that an endpoint is sent (upstream.md §5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassHost {
    /// The client's, as sent. The default.
    #[default]
    Pass,
    /// The node's name or address, with its port unless it is the scheme's own.
    Node,
    /// This one.
    Rewrite(HeaderValue),
}

/// Time-outs of one attempt (upstream.md §1, security.md UP-09). All must be above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands, over all addresses of the endpoint; and again until TLS stands on it. Default 5 s.
    pub connect: Duration,
    /// Each stall while the request is sent. Default 60 s.
    pub send: Duration,
    /// The whole response head, and then each gap in the body. Default 60 s.
    pub read: Duration,
    /// All of it: waiting for its turn, every attempt, and the response to its end. Tunnels are exempt. Default none.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            send: Duration::from_secs(60),
            read: Duration::from_secs(60),
            total: None,
        }
    }
}

/// Idle connections (upstream.md §1 and §6, `keepalive_pool`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Idle connections kept per endpoint address; at least 1. Default 320.
    pub size: usize,
    /// How long one may be idle. Default 60 s; zero keeps none.
    pub idle_timeout: Duration,
    /// Requests that one connection carries before it is closed; at least 1. Default 1,000.
    pub requests: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { size: 320, idle_timeout: Duration::from_secs(60), requests: 1000 }
    }
}

/// What is tried again (upstream.md §4, security.md RET-01 to RET-06).
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    /// Attempts after the first. `None`: one if there is another node, else none.
    pub retries: Option<u32>,
    /// No further attempt is begun so long after the first. Zero (the default) = no limit.
    pub timeout: Duration,
    /// Share of the requests of the last 10 s that may be retried. Default 0.2 (RET-05).
    pub budget_ratio: f32,
    /// Retries per second that are always allowed. Default 3 (RET-05).
    pub budget_min_per_second: u32,
    /// The longest wait before the first retry; doubled for each further one, and a random part of it is waited. Default
    /// 25 ms (RET-04).
    pub backoff_base: Duration,
    /// The longest wait before any retry. Default 1 s (RET-04).
    pub backoff_max: Duration,
    /// Statuses of an endpoint that are retried like a failure. Default none.
    pub statuses: Vec<StatusCode>,
    /// Values of `grpc-status`, in the head of a response without a message, that are retried like a failure. Default
    /// none.
    pub grpc_statuses: Vec<u8>,
    /// Which failures without an answer are retried. Default all.
    pub failures: RetriedFailures,
    /// Methods that are retried though a second delivery may matter, beside those of RET-01. Default none.
    pub methods: Vec<Method>,
    /// Time for one attempt until its response head. Default none.
    pub per_try: Option<Duration>,
    /// Time for the first attempt until its response head, after which a second one at another endpoint goes alongside,
    /// if the request may be sent twice; the first answer wins. Default none.
    pub hedge_after: Option<Duration>,
    /// How much of a body, in bytes, is kept for another attempt; once more of it was sent the request is not sent again.
    /// Default 65,536; 0 keeps none (RET-03).
    pub replay_bytes: usize,
}

/// Kinds of failures without an answer, and whether each is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetriedFailures {
    /// No connection: the name has no address, refused, or not in time.
    pub connect: bool,
    /// The connection or stream ended before the response head.
    pub reset: bool,
    /// The endpoint did not take the request, or did not answer, in time.
    pub timeout: bool,
}

impl Default for RetriedFailures {
    fn default() -> Self {
        Self { connect: true, reset: true, timeout: true }
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            retries: None,
            timeout: Duration::ZERO,
            budget_ratio: 0.2,
            budget_min_per_second: 3,
            backoff_base: Duration::from_millis(25),
            backoff_max: Duration::from_secs(1),
            statuses: Vec::new(),
            grpc_statuses: Vec::new(),
            failures: RetriedFailures::default(),
            methods: Vec::new(),
            per_try: None,
            hedge_after: None,
            replay_bytes: 64 * 1024,
        }
    }
}

/// How many requests an upstream takes at once (security.md LIM-12).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdmissionConfig {
    /// Requests in flight; at least 1. Default 1,024.
    pub max_requests: usize,
    /// Requests that wait for one of them to end. Default 1,024; 0 = none waits.
    pub max_pending: usize,
    /// How long one waits. Default 1 s.
    pub queue_timeout: Duration,
    /// A limit below `max_requests` that follows latency. Default none.
    pub adaptive: Option<AdaptiveConfig>,
}

impl Default for AdmissionConfig {
    fn default() -> Self {
        Self { max_requests: 1024, max_pending: 1024, queue_timeout: Duration::from_secs(1), adaptive: None }
    }
}

/// How much an endpoint may say before the body of its response (security.md UP-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Bytes of all field lines together. Default 65,536. Over it: 502. Over HTTP/2 65,536 always.
    pub header_bytes: usize,
    /// Number of field lines. Default 200. Over it: 502.
    pub header_count: usize,
    /// Interim (1xx) responses to one request. Default 16. Over it: 502.
    pub interim: u32,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self { header_bytes: 64 * 1024, header_count: 200, interim: 16 }
    }
}

/// Everything about one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamConfig {
    /// Its identity over reloads.
    pub key: UpstreamKey,
    /// How its endpoints are spoken to.
    pub scheme: Scheme,
    /// In which version of HTTP.
    pub http_version: HttpVersion,
    /// TLS, with [`Scheme::Https`] and [`Scheme::Grpcs`].
    pub tls: TlsConfig,
    /// Its nodes; may be empty, then each request is answered with 503.
    pub nodes: Vec<NodeConfig>,
    /// The balancer's name: `roundrobin`, `chash`, `least_conn`, `ewma`, or one registered with
    /// [`UpstreamsBuilder::balancer`](super::UpstreamsBuilder::balancer).
    pub balancer: String,
    /// What is hashed of a request, for a balancer that hashes.
    pub hash: Option<HashKey>,
    /// Sessions that stay with an endpoint. Default none.
    pub affinity: Option<AffinityConfig>,
    /// How a new endpoint gets its share. Default: at once.
    pub slow_start: Option<SlowStart>,
    /// The `Host` that is sent.
    pub pass_host: PassHost,
    /// Time-outs of an attempt; a route may replace them
    /// ([`ForwardContext::timeouts`](super::ForwardContext::timeouts)).
    pub timeouts: Timeouts,
    /// Idle connections.
    pub keepalive: Keepalive,
    /// Retries.
    pub retry: RetryConfig,
    /// Requests at once.
    pub admission: AdmissionConfig,
    /// Heads of responses.
    pub answers: AnswerLimits,
    /// Connections to all endpoints together; at least 1. Default no limit.
    pub max_connections: Option<u32>,
    /// The longest deadline that a gRPC call may bring; one that brings none gets it. Default none.
    pub max_grpc_timeout: Option<Duration>,
    /// How endpoints are judged. Default: nobody is.
    pub health: Option<HealthConfig>,
    /// When fewer than so many of 100 endpoints are usable, all are used (security.md HC-01); 0: never, requests are then
    /// answered with 503. Default 1.
    pub panic_threshold: u8,
}

impl UpstreamConfig {
    /// An upstream of these nodes, everything else at its default.
    pub fn new(key: UpstreamKey, nodes: Vec<NodeConfig>) -> Self {
        Self {
            key,
            scheme: Scheme::default(),
            http_version: HttpVersion::default(),
            tls: TlsConfig::default(),
            nodes,
            balancer: String::from("roundrobin"),
            hash: None,
            affinity: None,
            slow_start: None,
            pass_host: PassHost::default(),
            timeouts: Timeouts::default(),
            keepalive: Keepalive::default(),
            retry: RetryConfig::default(),
            admission: AdmissionConfig::default(),
            answers: AnswerLimits::default(),
            max_connections: None,
            max_grpc_timeout: None,
            health: None,
            panic_threshold: 1,
        }
    }

    /// Whether a node of that priority has a weight above 0.
    #[cfg(feature = "client")]
    pub(super) fn has_weight(&self, priority: i32) -> bool {
        self.nodes.iter().any(|node| node.priority == priority && node.weight > 0)
    }

    /// Looks for what cannot work whatever else is configured.
    ///
    /// # Errors
    /// The first fault found: a zero where a positive value is needed, or a node that is there twice.
    pub fn check(&self) -> Result<(), UpstreamBuildError> {
        let positive = [
            ("timeout.connect", self.timeouts.connect.is_zero()),
            ("timeout.send", self.timeouts.send.is_zero()),
            ("timeout.read", self.timeouts.read.is_zero()),
            ("keepalive_pool.size", self.keepalive.size == 0),
            ("keepalive_pool.requests", self.keepalive.requests == 0),
            ("max_requests", self.admission.max_requests == 0),
            ("timeout.total", self.timeouts.total.is_some_and(|time| time.is_zero())),
            ("per_try_timeout_ms", self.retry.per_try.is_some_and(|time| time.is_zero())),
            ("hedge.after_ms", self.retry.hedge_after.is_some_and(|time| time.is_zero())),
            ("max_connections", self.max_connections == Some(0)),
            ("max_grpc_timeout_ms", self.max_grpc_timeout.is_some_and(|time| time.is_zero())),
            ("slow_start.window", self.slow_start.is_some_and(|slow| slow.window.is_zero())),
            (
                "slow_start.aggression",
                self.slow_start.is_some_and(|slow| slow.aggression.is_nan() || slow.aggression <= 0.0),
            ),
        ];
        if let Some((field, _)) = positive.into_iter().find(|(_, zero)| *zero) {
            return Err(UpstreamBuildError::NotPositive { upstream: self.key.clone(), field });
        }
        if let Some(field) = self.health.as_ref().and_then(HealthConfig::zero) {
            return Err(UpstreamBuildError::NotPositive { upstream: self.key.clone(), field });
        }
        if !(0.0..=f32::MAX).contains(&self.retry.budget_ratio) {
            return Err(UpstreamBuildError::NotPositive { upstream: self.key.clone(), field: "retry.budget_ratio" });
        }
        if let Some(field) = self.affinity.as_ref().and_then(AffinityConfig::fault) {
            return Err(UpstreamBuildError::BadCookie { upstream: self.key.clone(), field });
        }
        let mut seen = HashSet::new();
        for node in &self.nodes {
            let target = match &node.target {
                Target::Host { host, port } => {
                    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
                    Target::Host { host, port: Some(port.unwrap_or(self.scheme.default_port())) }
                }
                service @ Target::Service(_) => service.clone(),
            };
            if !seen.insert((node.priority, target)) {
                return Err(UpstreamBuildError::DuplicateNode {
                    upstream: self.key.clone(),
                    node: node.target.to_string(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(nodes: Vec<NodeConfig>) -> UpstreamConfig {
        UpstreamConfig::new(UpstreamKey::new("upstream", "1"), nodes)
    }

    #[test]
    fn a_node_may_stand_once_in_a_priority() {
        let twice = |priority| {
            config(vec![
                NodeConfig::new(Target::Host { host: String::from("A.test"), port: None }),
                NodeConfig::new(Target::host("a.test", 80)).with_priority(priority),
            ])
        };
        assert!(matches!(twice(0).check(), Err(UpstreamBuildError::DuplicateNode { .. })));
        twice(1).check().unwrap();
    }

    #[test]
    fn zeros_are_named() {
        let mut zero = config(Vec::new());
        zero.timeouts.read = Duration::ZERO;
        assert_eq!(zero.check().unwrap_err().to_string(), "upstream/1: `timeout.read` must be above zero");
    }
}
