//! The registry's entry, and what outlives reloads.
use std::sync::Arc;
#[cfg(feature = "redis")]
use std::time::Duration;

use serde_json::{Map, Value};

#[cfg(feature = "redis")]
use super::config::WindowType;
use super::config::{LimitCountConfig, LimitCountMetadata};
use super::fields::Names;
use super::groups::Groups;
use super::limiter::{Counting, LimitCount, LimitCountLayer, Parts};
use super::rule::Rule;
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Scope, Stage, shape};
use crate::plugins::limit::{Answer, Clock, Naming, Owner, Policy, Store, StoreAttr, Window};
#[cfg(feature = "redis")]
use crate::plugins::limit::{Delays, Links, Target};

pub(super) const NAME: &str = "limit-count";

/// What stands before the name of a counter in Redis.
#[cfg(feature = "redis")]
const REDIS_PREFIX: &str = "plugin-limit-count:v1:";

const POLICIES: [Policy; 4] = [Policy::Local, Policy::Redis, Policy::RedisCluster, Policy::RedisSentinel];

/// Registry entry: builds [`LimitCountLayer`]s, and keeps their counters.
#[derive(Clone, Default)]
pub struct LimitCountPlugin(Arc<Counters>);

/// The counters of all blocks, and the connections to Redis.
pub(super) struct Counters {
    pub(super) clock: Clock,
    pub(super) windows: Store<Window>,
    groups: Groups,
    #[cfg(feature = "redis")]
    links: Links,
    #[cfg(feature = "redis")]
    delays: Delays,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            clock: Clock::new(),
            windows: Store::default(),
            groups: Groups::default(),
            #[cfg(feature = "redis")]
            links: Links::default(),
            #[cfg(feature = "redis")]
            delays: Delays::default(),
        }
    }
}

impl std::fmt::Debug for LimitCountPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LimitCountPlugin").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

impl LimitCountPlugin {
    /// How many counters there are in this process. Those whose window has ended are counted until an operation comes upon
    /// them, each of which looks at two.
    pub fn keys(&self) -> usize {
        self.0.windows.len()
    }

    /// How many counters were forgotten before their time, because there were `max_keys` of them.
    pub fn evicted(&self) -> u64 {
        self.0.windows.evicted()
    }

    /// A layer in code, whose counters are this plugin's.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn layer(&self, config: &LimitCountConfig) -> Result<LimitCountLayer, ConfigError> {
        self.limiter(config, &BuildContext::new(&Scope::Code), None).map(LimitCountLayer::of)
    }

    /// As [`Plugin::build`], for a block or for the numbered action of a workflow.
    pub(crate) fn limiter(
        &self,
        config: &LimitCountConfig,
        cx: &BuildContext<'_>,
        action: Option<String>,
    ) -> Result<LimitCount, ConfigError> {
        let metadata = cx.metadata::<LimitCountMetadata>(NAME)?.unwrap_or_default();
        let rules = Rule::all(config, &metadata)?;
        config.backend.check(NAME, &POLICIES)?;
        check_interval(config, &rules)?;
        let answer = Answer::new(NAME, config.rejected_code, config.rejected_msg.as_deref())?;
        let bound = StoreAttr::max_keys(cx, NAME)?;
        let owner = Owner::of(cx, config);
        let (owner, member) = match config.group.as_deref() {
            None => (owner, None),
            Some("") => return Err(ConfigError::invalid(NAME, "group", "is empty")),
            Some(_) if action.is_some() => return Err(ConfigError::invalid(NAME, "group", "group is not supported")),
            Some(group) => {
                let mismatch = "group conf mismatched: another block of the group differs; give the group another name";
                let member = self.0.groups.enter(group, cx.scope(), owner.version());
                (Owner::group(group), Some(member.ok_or_else(|| ConfigError::invalid(NAME, "group", mismatch))?))
            }
        };
        let counting = self.counting(config);
        let prefix = match counting {
            Counting::Here => None,
            #[cfg(feature = "redis")]
            _ => Some(format!("{REDIS_PREFIX}{}:", owner.name()).into_bytes()),
        };
        let namespace = self.0.windows.namespace(owner.name().as_bytes());
        let naming = Naming { namespace, prefix, suffix: action.clone() };
        let counters = Arc::clone(&self.0);
        let parts = Parts { rules, naming, answer, action: action.is_some(), counting, counters, bound, member };
        Ok(LimitCount::new(config, parts))
    }

    fn counting(&self, config: &LimitCountConfig) -> Counting {
        #[cfg(feature = "redis")]
        if let Some(target) = Target::of(&config.backend) {
            let link = self.0.links.link(&target);
            // what a sliding window has to know of the past is known in Redis alone
            if config.sync_interval <= 0.0 || config.window_type == WindowType::Sliding {
                return Counting::Redis(link);
            }
            let delayed = self.0.delays.delayed(&link, Duration::from_secs_f64(config.sync_interval));
            return Counting::Delayed { delayed, link };
        }
        #[cfg(not(feature = "redis"))]
        let _ = config;
        Counting::Here
    }
}

fn check_interval(config: &LimitCountConfig, rules: &[Rule]) -> Result<(), ConfigError> {
    let interval = config.sync_interval;
    #[expect(clippy::float_cmp, reason = "-1 is written as such")]
    if interval == -1.0 || config.backend.policy == Policy::Local {
        return Ok(());
    }
    let invalid = |reason: &str| Err(ConfigError::invalid(NAME, "sync_interval", reason));
    if !(0.1..=86_400.0).contains(&interval) {
        return invalid("needs 0.1 to 86400 seconds, or -1");
    }
    #[expect(clippy::cast_precision_loss, reason = "compared with at most a day")]
    let longer = |window: u64| interval >= window as f64;
    if rules.iter().filter_map(Rule::fixed_window).any(longer) {
        return invalid("needs to be less than time_window");
    }
    Ok(())
}

impl Plugin for LimitCountPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1002;
    const SECRET_FIELDS: &'static [&'static str] = &["redis_password", "sentinel_password"];
    type Config = LimitCountConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<LimitCountConfig>().or_else(|| of.metadata::<LimitCountMetadata>())
    }

    fn build(&self, config: LimitCountConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(LimitCountLayer::of(self.limiter(&config, cx, None)?).into())
    }

    fn check_metadata(&self, metadata: &Map<String, Value>) -> Result<(), ConfigError> {
        Names::check(NAME, &shape(NAME, metadata)?)
    }
}
