//! The registry's entry, and what outlives reloads.
use std::sync::Arc;
use std::time::Duration;

use super::config::LimitConnConfig;
#[cfg(feature = "redis")]
use super::limiter::Remote;
use super::limiter::{LimitConn, LimitConnLayer};
use super::rule::Rule;
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Scope, Stage};
use crate::plugins::limit::{Answer, Naming, Owner, Policy, Slots};
#[cfg(feature = "redis")]
use crate::plugins::limit::{Links, Releases, Target};

pub(super) const NAME: &str = "limit-conn";

/// What stands before the name of a crowd in Redis.
#[cfg(feature = "redis")]
const REDIS_PREFIX: &str = "limit_conn:";

/// Seconds.
#[cfg(feature = "redis")]
const DEFAULT_TTL: u64 = 3600;

const POLICIES: [Policy; 3] = [Policy::Local, Policy::Redis, Policy::RedisCluster];

/// Registry entry: builds [`LimitConnLayer`]s, and keeps count of what runs.
#[derive(Clone, Default)]
pub struct LimitConnPlugin(Arc<Crowds>);

/// The crowds of all blocks, and the connections to Redis.
pub(super) struct Crowds {
    pub(super) slots: Arc<Slots>,
    #[cfg(feature = "redis")]
    links: Links,
}

impl Default for Crowds {
    fn default() -> Self {
        Self {
            slots: Arc::new(Slots::new()),
            #[cfg(feature = "redis")]
            links: Links::default(),
        }
    }
}

impl std::fmt::Debug for LimitConnPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitConnPlugin").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

impl LimitConnPlugin {
    /// How many crowds have a request running.
    pub fn keys(&self) -> usize {
        self.0.slots.len()
    }

    /// A layer in code, whose crowds are this plugin's.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn layer(&self, config: &LimitConnConfig) -> Result<LimitConnLayer, ConfigError> {
        self.limiter(config, &BuildContext::new(&Scope::Code), None).map(LimitConnLayer::of)
    }

    /// As [`Plugin::build`], for a block or for the numbered action of a workflow.
    pub(crate) fn limiter(
        &self,
        config: &LimitConnConfig,
        cx: &BuildContext<'_>,
        action: Option<String>,
    ) -> Result<LimitConn, ConfigError> {
        let invalid = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        let unit = config.default_conn_delay.filter(|delay| *delay > 0.0);
        let unit = unit.and_then(|delay| Duration::try_from_secs_f64(delay).ok());
        let unit = unit.ok_or_else(|| invalid("default_conn_delay", "is required: seconds, above 0"))?;
        config.backend.check(NAME, &POLICIES)?;
        if config.key_ttl == Some(0) {
            return Err(invalid("key_ttl", "needs 1 or more seconds"));
        }
        let rules = Rule::all(config)?;
        let owner = Owner::of(cx, config);
        #[cfg(feature = "redis")]
        let remote = Target::of(&config.backend).map(|target| Remote {
            releases: Releases::new(self.0.links.link(&target)),
            ttl: config.key_ttl.unwrap_or(DEFAULT_TTL).saturating_mul(1000),
        });
        #[cfg(feature = "redis")]
        let prefix = remote.as_ref().map(|_| format!("{REDIS_PREFIX}{}:", owner.name()).into_bytes());
        #[cfg(not(feature = "redis"))]
        let prefix = None;
        let namespace = self.0.slots.namespace(owner.name().as_bytes());
        Ok(LimitConn {
            rules,
            action: action.is_some(),
            naming: Naming { namespace, prefix, suffix: action },
            unit,
            answer: Answer::new(NAME, config.rejected_code, config.rejected_msg.as_deref())?,
            degradation: config.backend.degradation(),
            crowds: Arc::clone(&self.0),
            #[cfg(feature = "redis")]
            remote,
        })
    }
}

impl Plugin for LimitConnPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1003;
    const SECRET_FIELDS: &'static [&'static str] = &["redis_password", "sentinel_password"];
    type Config = LimitConnConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<LimitConnConfig>()
    }

    fn build(&self, config: LimitConnConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(LimitConnLayer::of(self.limiter(&config, cx, None)?).into())
    }
}
