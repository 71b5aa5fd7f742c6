//! Where counters are kept, and what happens while they cannot be reached: the fields that all limiters have.
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::model::Sensitive;
use crate::plugin::ConfigError;

/// Where counters are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Policy {
    /// In this process: exact for it, and each gateway counts for itself.
    #[default]
    Local,
    /// In one Redis server, 5 or newer: exact over all gateways that use it.
    Redis,
    /// In a Redis Cluster.
    RedisCluster,
    /// In the Redis server that Sentinels name.
    RedisSentinel,
}

/// What becomes of a request that cannot be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Degradation {
    /// It is answered with 500.
    Reject,
    /// It passes uncounted.
    Pass,
    /// It is counted in this process, with the same numbers, for as long as Redis does not answer.
    Local,
}

/// The role of the server that Sentinels are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The one that is written to.
    #[default]
    Master,
    /// A replica. Counting writes, so it has to be one that takes writes.
    Slave,
}

/// The address of a Sentinel.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sentinel {
    /// Name or address, at least 2 characters.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
}

/// Where the counters of a limiter are kept. The `redis_*` fields are looked at under the policy that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Backend {
    /// `local` (default), `redis`, `redis-cluster`, or (`limit-count` alone) `redis-sentinel`. All but the first need the
    /// feature `redis`.
    pub policy: Policy,
    /// Whether a request passes that Redis cannot count. Default `false`: it is answered with 500.
    pub allow_degradation: bool,
    /// `reject`, `pass` or `local`: what becomes of a request that Redis cannot count. Default: `pass` with
    /// `allow_degradation`, else `reject`. Not in the catalogue.
    pub degradation: Option<Degradation>,
    /// Name or address of the server, at least 2 characters. Required by `redis`.
    pub redis_host: Option<String>,
    /// Port, 1 to 65535. Default 6379. `redis`.
    pub redis_port: Option<u16>,
    /// Name of the user, for servers with access lists. `redis`, `redis-sentinel`.
    pub redis_username: Option<String>,
    /// Password. `redis`, `redis-cluster`, `redis-sentinel`.
    pub redis_password: Option<Sensitive>,
    /// Number of the database, 0 or more. Default 0. `redis`, `redis-sentinel`.
    pub redis_database: Option<u32>,
    /// Milliseconds that one request waits for Redis in all, 1 or more: for a connection, for sending and for the answer.
    /// Default 1000. `redis`, `redis-cluster`.
    pub redis_timeout: Option<u64>,
    /// Whether the connection is encrypted; needs the feature `tls`. Default `false`. `redis`.
    pub redis_ssl: bool,
    /// Whether the server's certificate is verified. Default `false`. `redis`.
    pub redis_ssl_verify: bool,
    /// Milliseconds, 1000 or more. Taken and without effect: one connection carries all requests and stays open.
    pub redis_keepalive_timeout: Option<u64>,
    /// Connections, 1 or more. Taken and without effect: one connection carries all requests.
    pub redis_keepalive_pool: Option<u64>,
    /// `host:port` of some nodes, 1 or more, each of 2 to 100 characters. Required by `redis-cluster`.
    pub redis_cluster_nodes: Option<Vec<String>>,
    /// A name for the cluster. Required by `redis-cluster`.
    pub redis_cluster_name: Option<String>,
    /// Whether connections are encrypted; needs the feature `tls`. Default `false`. `redis-cluster`.
    pub redis_cluster_ssl: bool,
    /// Whether the nodes' certificates are verified. Default `false`. `redis-cluster`.
    pub redis_cluster_ssl_verify: bool,
    /// The Sentinels, 1 or more. Required by `redis-sentinel`.
    pub redis_sentinels: Option<Vec<Sentinel>>,
    /// The name under which the Sentinels watch the server. Required by `redis-sentinel`.
    pub redis_master_name: Option<String>,
    /// `master` (default) or `slave`. `redis-sentinel`.
    pub redis_role: Role,
    /// Milliseconds for a connection, 1 or more. Default 1000. `redis-sentinel`.
    pub redis_connect_timeout: Option<u64>,
    /// Milliseconds for an answer, 1 or more. Default 1000. `redis-sentinel`.
    pub redis_read_timeout: Option<u64>,
    /// Name of the user at the Sentinels. `redis-sentinel`.
    pub sentinel_username: Option<String>,
    /// Password at the Sentinels. `redis-sentinel`.
    pub sentinel_password: Option<Sensitive>,
}

impl Backend {
    /// Reads what a plugin's own fields have left over, so that a block stays flat and a wrong name is still refused.
    pub(crate) fn rest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const OWN: [&str; 3] = ["policy", "allow_degradation", "degradation"];
        let fields = Map::<String, Value>::deserialize(deserializer)?;
        let known = |name: &str| OWN.contains(&name) || name.starts_with("redis_") || name.starts_with("sentinel_");
        if let Some(name) = fields.keys().find(|name| !known(name)) {
            return Err(D::Error::custom(format_args!("unknown field `{name}`")));
        }
        serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
            match error.path().to_string().as_str() {
                "." => D::Error::custom(error.into_inner()),
                path => D::Error::custom(format_args!("{path}: {}", error.inner())),
            }
        })
    }

    /// What becomes of a request that cannot be counted.
    pub(crate) fn degradation(&self) -> Degradation {
        let catalogue = if self.allow_degradation { Degradation::Pass } else { Degradation::Reject };
        self.degradation.unwrap_or(catalogue)
    }

    /// Refuses a policy that the plugin does not have, and what the policy needs and the block lacks.
    pub(crate) fn check(&self, plugin: &'static str, policies: &[Policy]) -> Result<(), ConfigError> {
        if !policies.contains(&self.policy) {
            return Err(ConfigError::invalid(plugin, "policy", "is not a policy of this plugin"));
        }
        if self.policy != Policy::Local && !cfg!(feature = "redis") {
            return Err(ConfigError::invalid(
                plugin,
                "policy",
                "needs a build with the feature `redis`; write `local`",
            ));
        }
        let fault = match self.policy {
            Policy::Local => None,
            Policy::Redis => self.fault_of_server(),
            Policy::RedisCluster => self.fault_of_cluster(),
            Policy::RedisSentinel => self.fault_of_sentinels(),
        };
        fault.map_or(Ok(()), |(field, reason)| Err(ConfigError::invalid(plugin, field, reason)))
    }

    fn fault_of_server(&self) -> Fault {
        required("redis_host", self.redis_host.as_ref(), |host| host.len() >= 2, "needs at least 2 characters")
            .or_else(|| optional("redis_port", self.redis_port, |port| port >= 1, "needs 1 to 65535"))
            .or_else(|| self.fault_of_times())
            .or_else(|| tls("redis_ssl", self.redis_ssl))
    }

    fn fault_of_cluster(&self) -> Fault {
        let nodes = |nodes: &Vec<String>| !nodes.is_empty() && nodes.iter().all(|node| is_node(node));
        required("redis_cluster_nodes", self.redis_cluster_nodes.as_ref(), nodes, "needs `host:port`, at least one")
            .or_else(|| required("redis_cluster_name", self.redis_cluster_name.as_ref(), |_| true, ""))
            .or_else(|| self.fault_of_times())
            .or_else(|| tls("redis_cluster_ssl", self.redis_cluster_ssl))
    }

    fn fault_of_sentinels(&self) -> Fault {
        let good = |sentinel: &Sentinel| sentinel.host.len() >= 2 && sentinel.port >= 1;
        let all = |sentinels: &Vec<Sentinel>| !sentinels.is_empty() && sentinels.iter().all(good);
        let positive = |field, value: Option<u64>| optional(field, value, |value| value >= 1, "needs 1 or more");
        required("redis_sentinels", self.redis_sentinels.as_ref(), all, "needs a host and a port, at least one")
            .or_else(|| {
                required("redis_master_name", self.redis_master_name.as_ref(), |name| !name.is_empty(), "is empty")
            })
            .or_else(|| positive("redis_connect_timeout", self.redis_connect_timeout))
            .or_else(|| positive("redis_read_timeout", self.redis_read_timeout))
            .or_else(|| self.fault_of_times())
    }

    fn fault_of_times(&self) -> Fault {
        optional("redis_timeout", self.redis_timeout, |value| value >= 1, "needs 1 or more")
            .or_else(|| {
                optional("redis_keepalive_timeout", self.redis_keepalive_timeout, |ms| ms >= 1000, "needs 1000 or more")
            })
            .or_else(|| {
                optional("redis_keepalive_pool", self.redis_keepalive_pool, |size| size >= 1, "needs 1 or more")
            })
    }
}

type Fault = Option<(&'static str, &'static str)>;

fn required<T>(field: &'static str, value: Option<&T>, good: impl Fn(&T) -> bool, reason: &'static str) -> Fault {
    match value {
        None => Some((field, "is required by this policy")),
        Some(value) => (!good(value)).then_some((field, reason)),
    }
}

fn optional<T>(field: &'static str, value: Option<T>, good: impl Fn(T) -> bool, reason: &'static str) -> Fault {
    value.and_then(|value| (!good(value)).then_some((field, reason)))
}

fn tls(field: &'static str, wanted: bool) -> Fault {
    (wanted && !cfg!(feature = "tls")).then_some((field, "needs a build with the feature `tls`"))
}

fn is_node(node: &str) -> bool {
    let port = node.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
    (2..=100).contains(&node.len()) && port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}
