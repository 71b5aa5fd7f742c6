//! A script that Redis runs as one atomic step.
use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, ToRedisArgs};

/// A script and its digest.
pub(super) struct Script {
    code: &'static str,
    digest: String,
}

impl Script {
    pub(super) fn new(code: &'static str) -> Self {
        Self { code, digest: redis::Script::new(code).get_hash().to_owned() }
    }

    /// Runs the script on one key: by its digest, or by its text where the server does not know it yet, after a start of the
    /// server or on another node of a cluster.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        connection: &mut impl ConnectionLike,
        key: &[u8],
        arguments: &(impl ToRedisArgs + Sync),
    ) -> RedisResult<T> {
        match self.call("EVALSHA", &self.digest, key, arguments).query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.call("EVAL", self.code, key, arguments).query_async(connection).await
            }
            result => result,
        }
    }

    fn call(&self, command: &str, script: &str, key: &[u8], arguments: &impl ToRedisArgs) -> Cmd {
        let mut call = redis::cmd(command);
        call.arg(script).arg(1).arg(key).arg(arguments);
        call
    }
}
