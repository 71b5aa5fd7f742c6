//! Sessions in Redis. Every call ends in its time, with an error where Redis fails: that is not the same as no session.
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _, RedisConnectionInfo};
use tokio::sync::OnceCell;

use super::RedisSessions;
use super::plugin::NAME;
use crate::plugin::ConfigError;

/// Redis, or the way to it, failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedisError {
    #[error("redis failed")]
    Failed(#[from] redis::RedisError),
    #[error("redis did not answer in time")]
    Timeout,
}

/// The server, and one connection to it for all requests, which mends itself.
pub(super) struct RedisStore {
    client: Client,
    /// Made by the first request: a configuration may be built where nothing runs.
    manager: OnceCell<ConnectionManager>,
    prefix: String,
    connect: Duration,
    answer: Duration,
}

/// How long a gateway that fell over while renewing keeps the others from it.
const CLAIM_MS: u64 = 10_000;

/// Sets a key to the second argument if it holds the first, for as many seconds as the third says; 0: without end.
const EXCHANGE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then
  if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2])
  else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
end";

impl RedisStore {
    pub(super) fn new(config: &RedisSessions) -> Result<Self, ConfigError> {
        let wrong = |field: &str, reason: &str| ConfigError::invalid(NAME, format!("session.redis.{field}"), reason);
        if config.host.is_empty() {
            return Err(wrong("host", "is required"));
        }
        if config.ssl && cfg!(not(feature = "tls")) {
            return Err(wrong("ssl", "needs a build with the feature `tls`"));
        }
        if config.server_name.as_ref().is_some_and(|name| *name != config.host) {
            return Err(wrong("server_name", "must be `host`, by which the server is called; leave it out"));
        }
        for (value, field) in [
            (config.connect_timeout, "connect_timeout"),
            (config.send_timeout, "send_timeout"),
            (config.read_timeout, "read_timeout"),
        ] {
            if !(1..=3_600_000).contains(&value) {
                return Err(wrong(field, "is out of range: write 1 to 3,600,000 milliseconds"));
            }
        }
        let (host, port) = (config.host.clone(), config.port);
        let address = match config.ssl {
            false => ConnectionAddr::Tcp(host, port),
            true => ConnectionAddr::TcpTls { host, port, insecure: !config.ssl_verify, tls_params: None },
        };
        let mut login = RedisConnectionInfo::default().set_db(config.database.into()).set_skip_set_lib_name();
        if let Some(username) = &config.username {
            login = login.set_username(username);
        }
        if let Some(password) = &config.password {
            login = login.set_password(password.expose());
        }
        let client = address.into_connection_info().and_then(|info| Client::open(info.set_redis_settings(login)));
        Ok(Self {
            client: client.map_err(|error| wrong("host", &format!("cannot be used: {error}")))?,
            manager: OnceCell::new(),
            prefix: config.prefix.clone(),
            connect: Duration::from_millis(config.connect_timeout),
            answer: Duration::from_millis(config.send_timeout.saturating_add(config.read_timeout)),
        })
    }

    pub(super) async fn get(&self, id: &str) -> Result<Option<String>, RedisError> {
        self.run(Cmd::get(self.key(id))).await
    }

    /// Keeps a session for `seconds`, or without end.
    pub(super) async fn set(&self, id: &str, sealed: &str, seconds: Option<u64>) -> Result<(), RedisError> {
        self.run(set(&self.key(id), sealed, seconds)).await
    }

    /// As [`RedisStore::set`], if there is a session of that name.
    pub(super) async fn replace(&self, id: &str, sealed: &str, seconds: Option<u64>) -> Result<(), RedisError> {
        let mut command = set(&self.key(id), sealed, seconds);
        command.arg("XX");
        self.run(command).await
    }

    /// As [`RedisStore::set`], if what is there is `found`.
    pub(super) async fn exchange(
        &self,
        id: &str,
        found: &str,
        sealed: &str,
        seconds: Option<u64>,
    ) -> Result<(), RedisError> {
        let mut command = redis::cmd("EVAL");
        command.arg(EXCHANGE).arg(1).arg(self.key(id)).arg(found).arg(sealed).arg(seconds.unwrap_or(0));
        self.run(command).await
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), RedisError> {
        self.run(Cmd::del(self.key(id))).await
    }

    /// Whether this gateway is the first to claim something of a session; it has it for some seconds.
    pub(super) async fn claim(&self, id: &str) -> Result<bool, RedisError> {
        let mut command = redis::cmd("SET");
        command.arg(format!("{}:claim", self.key(id))).arg(1).arg("NX").arg("PX").arg(CLAIM_MS);
        let told: Option<String> = self.run(command).await?;
        Ok(told.is_some())
    }

    /// Gives the claim back.
    pub(super) async fn release(&self, id: &str) -> Result<(), RedisError> {
        self.run(Cmd::del(format!("{}:claim", self.key(id)))).await
    }

    fn key(&self, id: &str) -> String {
        format!("{}:{id}", self.prefix)
    }

    async fn run<T: FromRedisValue>(&self, command: Cmd) -> Result<T, RedisError> {
        let call = async {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(self.connect))
                .set_response_timeout(Some(self.answer))
                .set_number_of_retries(1);
            let manager = self
                .manager
                .get_or_try_init(async || ConnectionManager::new_lazy_with_config(self.client.clone(), config))
                .await?;
            command.query_async(&mut manager.clone()).await
        };
        let told = tokio::time::timeout(self.connect.saturating_add(self.answer), call).await;
        Ok(told.map_err(|_| RedisError::Timeout)??)
    }
}

/// `SET` with its time.
fn set(key: &str, sealed: &str, seconds: Option<u64>) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(key).arg(sealed);
    if let Some(seconds) = seconds {
        command.arg("EX").arg(seconds.max(1));
    }
    command
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
