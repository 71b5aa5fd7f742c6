//! The registry's entry, and what outlives reloads.
use std::sync::Arc;

use super::config::LimitReqConfig;
use super::limiter::{LimitReq, LimitReqLayer, Place};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Scope, Stage};
use crate::plugins::limit::{
    Answer, Bucket, Clock, CounterKey, KeySpec, KeyType, Leak, Naming, Owner, Policy, Store, StoreAttr,
};
#[cfg(feature = "redis")]
use crate::plugins::limit::{Links, Target};

const NAME: &str = "limit-req";

/// What stands before the name of a bucket in Redis.
#[cfg(feature = "redis")]
const REDIS_PREFIX: &str = "limit_req:";

const POLICIES: [Policy; 3] = [Policy::Local, Policy::Redis, Policy::RedisCluster];

/// Registry entry: builds [`LimitReqLayer`]s, and keeps their buckets.
#[derive(Clone, Default)]
pub struct LimitReqPlugin(Arc<Buckets>);

/// The buckets of all blocks, and the connections to Redis.
pub(super) struct Buckets {
    pub(super) clock: Clock,
    pub(super) store: Store<Bucket>,
    #[cfg(feature = "redis")]
    links: Links,
}

impl Default for Buckets {
    fn default() -> Self {
        Self {
            clock: Clock::new(),
            store: Store::default(),
            #[cfg(feature = "redis")]
            links: Links::default(),
        }
    }
}

impl std::fmt::Debug for LimitReqPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitReqPlugin").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

impl LimitReqPlugin {
    /// How many buckets there are in this process. Empty ones are counted until an operation comes upon them, each of which
    /// looks at two.
    pub fn keys(&self) -> usize {
        self.0.store.len()
    }

    /// How many buckets were forgotten before their time, because there were `max_keys` of them.
    pub fn evicted(&self) -> u64 {
        self.0.store.evicted()
    }

    /// A layer in code, whose buckets are this plugin's.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn layer(&self, config: &LimitReqConfig) -> Result<LimitReqLayer, ConfigError> {
        self.limiter(config, &BuildContext::new(&Scope::Code)).map(LimitReqLayer::of)
    }

    fn limiter(&self, config: &LimitReqConfig, cx: &BuildContext<'_>) -> Result<LimitReq, ConfigError> {
        let invalid = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        let rate = config.rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        let rate = rate.ok_or_else(|| invalid("rate", "is required: requests per second, above 0"))?;
        let burst = config.burst.filter(|burst| burst.is_finite() && *burst >= 0.0);
        let burst = burst.ok_or_else(|| invalid("burst", "is required: requests, 0 or more"))?;
        let key = config.key.as_deref().ok_or_else(|| invalid("key", "is required"))?;
        if config.key_type == KeyType::Constant {
            return Err(invalid("key_type", "needs `var` or `var_combination`"));
        }
        config.backend.check(NAME, &POLICIES)?;
        let bound = StoreAttr::max_keys(cx, NAME)?;
        let owner = Owner::of(cx, config);
        let place = self.place(config);
        let prefix = match place {
            Place::Here => None,
            #[cfg(feature = "redis")]
            Place::Redis(_) => Some(format!("{REDIS_PREFIX}{}:", owner.name()).into_bytes()),
        };
        let namespace = self.0.store.namespace(owner.name().as_bytes());
        Ok(LimitReq {
            key: CounterKey::of_block(KeySpec::parse(NAME, "key", key, config.key_type)?),
            naming: Naming { namespace, prefix, suffix: None },
            leak: Leak { rate, burst },
            nodelay: config.nodelay,
            answer: Answer::new(NAME, config.rejected_code, config.rejected_msg.as_deref())?,
            degradation: config.backend.degradation(),
            place,
            bound,
            buckets: Arc::clone(&self.0),
        })
    }

    fn place(&self, config: &LimitReqConfig) -> Place {
        #[cfg(feature = "redis")]
        if let Some(target) = Target::of(&config.backend) {
            return Place::Redis(self.0.links.link(&target));
        }
        #[cfg(not(feature = "redis"))]
        let _ = config;
        Place::Here
    }
}

impl Plugin for LimitReqPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1001;
    const SECRET_FIELDS: &'static [&'static str] = &["redis_password", "sentinel_password"];
    type Config = LimitReqConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<LimitReqConfig>()
    }

    fn build(&self, config: LimitReqConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(LimitReqLayer::of(self.limiter(&config, cx)?).into())
    }
}
