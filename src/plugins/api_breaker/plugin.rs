//! The registry's entry, and what outlives reloads.
use std::sync::Arc;

use http::StatusCode;

use super::breaker::{ApiBreaker, ApiBreakerLayer, Broken};
use super::config::{ApiBreakerConfig, BreakerHeader, Unhealthy};
use super::counts::Volume;
use super::state::{Breaker, Policy};
use crate::PluginLayer;
use crate::plugin::{BuildContext, Caveat, ConfigError, Plugin, SchemaOf, Scope, Stage, UpstreamChoice};
use crate::plugins::checks::own_field;
use crate::plugins::edit::FieldTemplate;
use crate::plugins::limit::{Clock, Owner, Store, StoreAttr};
use crate::request::Template;

pub(super) const NAME: &str = "api-breaker";

/// Registry entry: builds [`ApiBreakerLayer`]s, and keeps their breakers.
#[derive(Clone, Default)]
pub struct ApiBreakerPlugin(Arc<Breakers>);

/// The breakers of all blocks.
pub(super) struct Breakers {
    pub(super) store: Store<Breaker>,
    pub(super) clock: Clock,
}

impl Default for Breakers {
    fn default() -> Self {
        Self { store: Store::default(), clock: Clock::new() }
    }
}

impl std::fmt::Debug for ApiBreakerPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiBreakerPlugin").field("keys", &self.keys()).finish_non_exhaustive()
    }
}

impl ApiBreakerPlugin {
    /// How many breakers have something to remember.
    pub fn keys(&self) -> usize {
        self.0.store.len()
    }

    /// How many went before their time, because there were too many.
    pub fn evicted(&self) -> u64 {
        self.0.store.evicted()
    }

    /// A layer in code, whose breakers are this plugin's.
    ///
    /// # Errors
    /// [`ConfigError`] with the field that is wrong.
    pub fn layer(&self, config: ApiBreakerConfig) -> Result<ApiBreakerLayer, ConfigError> {
        self.breaker(config, &BuildContext::new(&Scope::Code)).map(ApiBreakerLayer::of)
    }

    fn breaker(&self, config: ApiBreakerConfig, cx: &BuildContext<'_>) -> Result<ApiBreaker, ConfigError> {
        let invalid = |field: &str, reason: &str| ConfigError::invalid(NAME, field, reason);
        let namespace = self.0.store.namespace(Owner::of(cx, &config).name().as_bytes());
        let status = StatusCode::from_u16(config.break_response_code).ok();
        let status = status.filter(|status| (200..=599).contains(&status.as_u16()));
        let status = status.ok_or_else(|| invalid("break_response_code", "is required: a status from 200 to 599"))?;
        if config.max_breaker_sec < 3 {
            return Err(invalid("max_breaker_sec", "is at least 3"));
        }
        let (unhealthy, healthy) = (&config.unhealthy, &config.healthy);
        statuses("unhealthy.http_statuses", &unhealthy.http_statuses, 500, 599)?;
        statuses("healthy.http_statuses", &healthy.http_statuses, 200, 499)?;
        for (field, number) in [
            ("unhealthy.failures", unhealthy.failures),
            ("healthy.successes", healthy.successes),
            ("half_open_requests", config.half_open_requests.unwrap_or(1)),
            ("unhealthy.min_requests", unhealthy.min_requests.unwrap_or(1)),
        ] {
            if number == 0 {
                return Err(invalid(field, "is at least 1"));
            }
        }
        let policy = Policy {
            failures: unhealthy.failures,
            successes: healthy.successes,
            longest: u64::from(config.max_breaker_sec) * 1000,
            probes: config.half_open_requests,
            volume: volume(unhealthy)?,
        };
        let key = Template::parse(&config.key).map_err(|error| invalid("key", &error.to_string()))?;
        let fields = config.break_response_headers.iter().enumerate().map(|(at, header)| field(at, header));
        let fields = fields.collect::<Result<_, _>>()?;
        Ok(ApiBreaker {
            policy,
            key,
            namespace,
            unhealthy: unhealthy.http_statuses.clone().into(),
            healthy: healthy.http_statuses.clone().into(),
            no_answer: unhealthy.no_answer,
            answer: Broken { status, content: config.break_response_body.map(|body| (body.into(), fields)) },
            fallback: match config.fallback_upstream_id {
                None => None,
                Some(id) => Some(UpstreamChoice(cx.upstream_by_id(&id).ok_or_else(|| {
                    invalid("fallback_upstream_id", &format!("there is no upstream {id}; add it, or correct the id"))
                })?)),
            },
            bound: StoreAttr::max_keys(cx, NAME)?,
            breakers: Arc::clone(&self.0),
        })
    }
}

fn statuses(field: &str, statuses: &[u16], least: u16, most: u16) -> Result<(), ConfigError> {
    let fault = |reason| Err(ConfigError::invalid(NAME, field, reason));
    if statuses.is_empty() {
        return fault(format!("is empty; name a status from {least} to {most}"));
    }
    for (at, status) in statuses.iter().enumerate() {
        if !(least..=most).contains(status) {
            return fault(format!("{status} is not from {least} to {most}"));
        }
        if statuses.iter().take(at).any(|before| before == status) {
            return fault(format!("{status} stands there twice; remove one"));
        }
    }
    Ok(())
}

fn volume(unhealthy: &Unhealthy) -> Result<Option<Volume>, ConfigError> {
    let invalid = |field, reason| ConfigError::invalid(NAME, field, reason);
    if unhealthy.failure_ratio.is_some_and(|ratio| !(ratio > 0.0 && ratio <= 1.0)) {
        return Err(invalid("unhealthy.failure_ratio", "is more than 0, and at most 1"));
    }
    if !(1..=86_400).contains(&unhealthy.window_sec) {
        return Err(invalid("unhealthy.window_sec", "is 1 to 86400"));
    }
    let asked = unhealthy.min_requests.is_some() || unhealthy.failure_ratio.is_some();
    Ok(asked.then(|| Volume {
        requests: unhealthy.min_requests.unwrap_or(1),
        ratio: unhealthy.failure_ratio.unwrap_or(0.0),
        window: u64::from(unhealthy.window_sec) * 1000,
    }))
}

fn field(at: usize, header: &BreakerHeader) -> Result<(http::HeaderName, FieldTemplate), ConfigError> {
    let name = own_field(NAME, &format!("break_response_headers.{at}.key"), &header.key)?;
    let invalid = |reason| ConfigError::invalid(NAME, format!("break_response_headers.{at}.value"), reason);
    if header.value.is_empty() {
        return Err(invalid("is empty; write at least 1 character".to_owned()));
    }
    Ok((name, FieldTemplate::parse(&header.value).map_err(invalid)?))
}

impl Plugin for ApiBreakerPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1005;
    type Config = ApiBreakerConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<ApiBreakerConfig>()
    }

    fn build(&self, config: ApiBreakerConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(ApiBreakerLayer::of(self.breaker(config, cx)?).into())
    }

    fn caveats(&self, config: &ApiBreakerConfig) -> Vec<Caveat> {
        let unsent = config.break_response_body.is_none() && !config.break_response_headers.is_empty();
        let message = "has no effect without `break_response_body`";
        let unsent = unsent.then(|| Caveat::new("break_response_headers", message, "write a body, or leave it out"));
        unsent.into_iter().collect()
    }
}
