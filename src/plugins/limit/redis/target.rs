//! Which Redis, as whom, and how to get there.
use std::fmt;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisFuture,
    RedisResult, Value,
};

use crate::model::Sensitive;
use crate::plugins::limit::backend::{Backend, Policy, Role};

const DEFAULT_TIMEOUT: u64 = 1000;
const DEFAULT_PORT: u16 = 6379;
/// Answers that one connection waits for at the same time; more requests wait for their turn, each within its time.
const IN_FLIGHT: usize = 4096;

/// Everything that tells one connection from another: blocks with equal targets share one, blocks with other credentials or
/// another database never do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    place: Place,
    username: Option<String>,
    password: Option<Sensitive>,
    database: i64,
    tls: Option<Tls>,
    pub(super) timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Server {
        host: String,
        port: u16,
    },
    Cluster {
        name: String,
        nodes: Vec<(String, u16)>,
    },
    Sentinels {
        nodes: Vec<(String, u16)>,
        master: String,
        role: Role,
        username: Option<String>,
        password: Option<Sensitive>,
    },
}

/// Encrypted, with the server's certificate verified or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tls {
    verify: bool,
}

impl Target {
    /// The target of a block that [`Backend::check`] has passed; `None` for the policy `local`.
    pub(crate) fn of(backend: &Backend) -> Option<Self> {
        let timeout = backend.redis_timeout.unwrap_or(DEFAULT_TIMEOUT);
        let (place, timeout, tls) = match backend.policy {
            Policy::Local => return None,
            Policy::Redis => {
                let host = backend.redis_host.clone()?;
                let place = Place::Server { host, port: backend.redis_port.unwrap_or(DEFAULT_PORT) };
                (place, timeout, backend.redis_ssl.then_some(Tls { verify: backend.redis_ssl_verify }))
            }
            Policy::RedisCluster => {
                let nodes = backend.redis_cluster_nodes.as_ref()?.iter().filter_map(|node| node_of(node)).collect();
                let place = Place::Cluster { name: backend.redis_cluster_name.clone()?, nodes };
                (place, timeout, backend.redis_cluster_ssl.then_some(Tls { verify: backend.redis_cluster_ssl_verify }))
            }
            Policy::RedisSentinel => {
                let nodes =
                    backend.redis_sentinels.as_ref()?.iter().map(|node| (node.host.clone(), node.port)).collect();
                let place = Place::Sentinels {
                    nodes,
                    master: backend.redis_master_name.clone()?,
                    role: backend.redis_role,
                    username: backend.sentinel_username.clone(),
                    password: backend.sentinel_password.clone(),
                };
                let connect = backend.redis_connect_timeout.unwrap_or(DEFAULT_TIMEOUT);
                let read = backend.redis_read_timeout.unwrap_or(DEFAULT_TIMEOUT);
                (place, connect.saturating_add(read), None)
            }
        };
        Some(Self {
            place,
            username: backend.redis_username.clone(),
            password: backend.redis_password.clone(),
            database: backend.redis_database.unwrap_or(0).into(),
            tls,
            timeout: Duration::from_millis(timeout),
        })
    }

    /// A new connection, with the user logged in and the database chosen.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        match &self.place {
            Place::Server { host, port } => {
                let info = self.address(host, *port).into_connection_info()?.set_redis_settings(self.login());
                let connection =
                    Client::open(info)?.get_multiplexed_async_connection_with_config(&self.config()).await?;
                Ok(Connection::One(connection))
            }
            Place::Cluster { nodes, .. } => Ok(Connection::Cluster(self.cluster(nodes)?.get_async_connection().await?)),
            Place::Sentinels { nodes, master, role, username, password } => {
                let sentinels = nodes.iter().map(|(host, port)| ConnectionAddr::Tcp(host.clone(), *port));
                let role = match role {
                    Role::Master => SentinelServerType::Master,
                    Role::Slave => SentinelServerType::Replica,
                };
                let mut builder = SentinelClientBuilder::new(sentinels, master, role)?;
                if let Some(username) = username {
                    builder = builder.set_client_to_sentinel_username(username);
                }
                if let Some(password) = password {
                    builder = builder.set_client_to_sentinel_password(password.expose());
                }
                if let Some(username) = &self.username {
                    builder = builder.set_client_to_redis_username(username);
                }
                if let Some(password) = &self.password {
                    builder = builder.set_client_to_redis_password(password.expose());
                }
                let mut client = builder.set_client_to_redis_db(self.database).build()?;
                Ok(Connection::One(client.get_async_connection_with_config(&self.config()).await?))
            }
        }
    }

    fn cluster(&self, nodes: &[(String, u16)]) -> RedisResult<ClusterClient> {
        let nodes = nodes.iter().map(|(host, port)| self.address(host, *port));
        let mut builder = ClusterClientBuilder::new(nodes)
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            .connection_concurrency_limit(IN_FLIGHT)
            .retries(2);
        if let Some(password) = &self.password {
            builder = builder.password(password.expose());
        }
        builder.build()
    }

    fn address(&self, host: &str, port: u16) -> ConnectionAddr {
        match self.tls {
            None => ConnectionAddr::Tcp(host.to_owned(), port),
            Some(Tls { verify }) => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: !verify, tls_params: None }
            }
        }
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_db(self.database).set_skip_set_lib_name();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.expose());
        }
        login
    }

    /// A request's own time-out covers all; these only end what nobody waits for any more.
    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_concurrency_limit(IN_FLIGHT)
    }
}

/// A name for logs, without credentials.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Server { host, port } => write!(f, "{host}:{port}/{}", self.database),
            Place::Cluster { name, .. } => write!(f, "cluster {name}"),
            Place::Sentinels { master, .. } => write!(f, "sentinel {master}"),
        }
    }
}

fn node_of(node: &str) -> Option<(String, u16)> {
    let (host, port) = node.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// An open connection; a clone uses the same one.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a redis::Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(cmd, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
