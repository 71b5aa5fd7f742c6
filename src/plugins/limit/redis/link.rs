//! One connection to Redis for all requests that use the same target, made anew when it breaks.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use tokio::time::{Instant, timeout};

use super::script::Script;
use super::target::{Connection, Target};
use crate::plugins::limit::bucket::{Admission, Leak};
use crate::plugins::limit::clock::Clock;
use crate::plugins::limit::window::{Slide, Verdict};

/// After a connection could not be made, requests fail at once for this long, so that a server that comes back is not met
/// by one connection for each of them.
const PAUSE: Duration = Duration::from_millis(100);
/// Milliseconds between two reports of failures.
const REPORT_EVERY: u64 = 1000;

/// Why Redis did not count a request.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// Redis, or the way to it, said no.
    #[error("redis failed: {0}")]
    Redis(#[from] RedisError),
    /// No answer within the time-out.
    #[error("redis did not answer in time")]
    Timeout,
    /// The last connection could not be made, and it is too soon for the next.
    #[error("redis could not be reached a moment ago")]
    Unreachable,
}

/// The connections of one plugin by target. One lives as long as a block of a configuration in force uses it.
#[derive(Default)]
pub(crate) struct Links(Mutex<Vec<Weak<Link>>>);

impl Links {
    /// The connection of a target, which is not made before the first request needs it.
    pub(crate) fn link(&self, target: &Target) -> Arc<Link> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        let known = links.iter().filter_map(Weak::upgrade).find(|link| link.target == *target);
        known.unwrap_or_else(|| {
            let link = Arc::new(Link::new(target.clone()));
            links.push(Arc::downgrade(&link));
            link
        })
    }
}

/// A connection to Redis and the scripts that run on it. Every call ends within the target's time-out.
pub(crate) struct Link {
    target: Target,
    open: ArcSwapOption<Connection>,
    /// Held while a connection is made, so that all who need one wait for the same; inside, when the next may be tried.
    connecting: tokio::sync::Mutex<Option<Instant>>,
    scripts: Scripts,
    clock: Clock,
    /// Since the last report.
    failures: AtomicU64,
    next_report: AtomicU64,
}

struct Scripts {
    fixed: Script,
    sliding: Script,
    leak: Script,
    take: Script,
}

impl Link {
    fn new(target: Target) -> Self {
        let scripts = Scripts {
            fixed: Script::new(include_str!("fixed.lua")),
            sliding: Script::new(include_str!("sliding.lua")),
            leak: Script::new(include_str!("leak.lua")),
            take: Script::new(include_str!("take.lua")),
        };
        Self {
            target,
            open: ArcSwapOption::empty(),
            connecting: tokio::sync::Mutex::new(None),
            scripts,
            clock: Clock::new(),
            failures: AtomicU64::new(0),
            next_report: AtomicU64::new(0),
        }
    }

    /// Within which every call ends.
    pub(crate) fn timeout(&self) -> Duration {
        self.target.timeout
    }

    /// Adds `cost` to a fixed window of `width` milliseconds: what is used of it now, and milliseconds until it ends.
    pub(crate) async fn fixed(&self, key: &[u8], cost: u64, width: u64) -> Result<(u64, u64), BackendError> {
        self.call(|mut connection| async move { self.scripts.fixed.run(&mut connection, key, &(cost, width)).await })
            .await
    }

    /// Counts one request against a sliding window, by the server's clock.
    pub(crate) async fn sliding(&self, key: &[u8], width: u64, limit: u64) -> Result<Verdict, BackendError> {
        let told =
            self.call(
                |mut connection| async move { self.scripts.sliding.run(&mut connection, key, &(width, limit)).await },
            );
        let (admitted, used, previous, elapsed): (bool, u64, u64, u64) = told.await?;
        Ok(Slide { width, elapsed, used, previous }.verdict(admitted, limit))
    }

    /// Pours one request into a bucket, by the server's clock.
    pub(crate) async fn pour(&self, key: &[u8], leak: Leak) -> Result<Admission, BackendError> {
        let arguments = (leak.rate, leak.burst);
        let told =
            self.call(|mut connection| async move { self.scripts.leak.run(&mut connection, key, &arguments).await });
        let excess: Option<f64> = told.await?;
        Ok(excess.map_or(Admission::Rejected, |excess| Admission::After(leak.delay(excess))))
    }

    /// Enters `member` among the running requests if there are fewer than `most`: how many there are with it. After `ttl`
    /// milliseconds it is no longer counted.
    pub(crate) async fn take(
        &self,
        key: &[u8],
        member: &str,
        most: u64,
        ttl: u64,
    ) -> Result<Option<u64>, BackendError> {
        let arguments = (member, most, ttl);
        self.call(|mut connection| async move { self.scripts.take.run(&mut connection, key, &arguments).await }).await
    }

    /// Strikes `member` from the running requests.
    pub(crate) async fn give_back(&self, key: &[u8], member: &str) -> Result<(), BackendError> {
        let mut command = redis::cmd("ZREM");
        command.arg(key).arg(member);
        let command = &command;
        self.call(|mut connection| async move { command.query_async(&mut connection).await }).await
    }

    /// Runs one operation within the time-out. Where the connection turns out to be closed, as after a restart of the server,
    /// the operation runs once more on a new one: at the worst a request counts twice.
    async fn call<T, F>(&self, operation: impl Fn(Connection) -> F) -> Result<T, BackendError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut used = None;
        let result = timeout(self.target.timeout, async {
            let connection = used.insert(self.connection().await?);
            let error = match operation(Connection::clone(connection)).await {
                Ok(told) => return Ok(told),
                Err(error) => error,
            };
            if !is_broken(&error) {
                return Err(error.into());
            }
            self.forget(connection);
            let connection = used.insert(self.connection().await?);
            operation(Connection::clone(connection)).await.map_err(BackendError::from)
        })
        .await;
        if let (Err(_) | Ok(Err(BackendError::Redis(_))), Some(connection)) = (&result, &used) {
            let lost = match &result {
                Ok(Err(BackendError::Redis(error))) => is_broken(error) || error.is_timeout(),
                _ => true,
            };
            if lost {
                self.forget(connection);
            }
        }
        let result = result.unwrap_or(Err(BackendError::Timeout));
        if let Err(error) = &result {
            self.report(error);
        }
        result
    }

    /// Tells the log of a failure, at most once a second.
    fn report(&self, error: &BackendError) {
        let failures = self.failures.fetch_add(1, Relaxed) + 1;
        let now = self.clock.now();
        let next = self.next_report.load(Relaxed);
        let mine = now >= next && self.next_report.compare_exchange(next, now + REPORT_EVERY, Relaxed, Relaxed).is_ok();
        if mine {
            self.failures.fetch_sub(failures, Relaxed);
            #[cfg(feature = "tracing")]
            tracing::warn!(redis = %self.target, failures, %error, "a limiter cannot count in redis");
            #[cfg(not(feature = "tracing"))]
            let _ = error;
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, BackendError> {
        if let Some(connection) = self.open.load_full() {
            return Ok(connection);
        }
        let mut next_try = self.connecting.lock().await;
        if let Some(connection) = self.open.load_full() {
            return Ok(connection);
        }
        if next_try.is_some_and(|at| Instant::now() < at) {
            return Err(BackendError::Unreachable);
        }
        match self.target.connect().await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                self.open.store(Some(Arc::clone(&connection)));
                Ok(connection)
            }
            Err(error) => {
                *next_try = Some(Instant::now() + PAUSE);
                Err(error.into())
            }
        }
    }

    /// Lets go of a connection that broke, unless another one took its place already. A cluster's connection heals itself.
    fn forget(&self, connection: &Arc<Connection>) {
        if matches!(**connection, Connection::One(_)) {
            self.open.compare_and_swap(connection, None);
        }
    }
}

/// Whether only a new connection can help: this one is closed, or leads to a server that has become a replica.
fn is_broken(error: &RedisError) -> bool {
    let moved = matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown));
    error.is_unrecoverable_error() || moved
}
