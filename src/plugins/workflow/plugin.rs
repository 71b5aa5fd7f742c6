//! The registry's entry.
use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::{WorkflowAction, WorkflowConfig, WorkflowRule};
use super::rule::{Action, Rule, Workflow, WorkflowLayer};
use crate::PluginLayer;
use crate::plugin::{BuildContext, ConfigError, Plugin, SchemaOf, Scope, Stage, shape};
use crate::plugins::limit_conn::LimitConnPlugin;
use crate::plugins::limit_count::LimitCountPlugin;
use crate::router::Expr;

const NAME: &str = "workflow";

/// Registry entry: builds [`WorkflowLayer`]s, and keeps the counters of their actions.
#[derive(Clone, Debug, Default)]
pub struct WorkflowPlugin {
    count: LimitCountPlugin,
    conn: LimitConnPlugin,
}

/// Options of the action `return`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Return {
    code: u16,
}

impl WorkflowPlugin {
    /// Counts where these plugins do; counters of an action are still its own.
    pub fn new(count: LimitCountPlugin, conn: LimitConnPlugin) -> Self {
        Self { count, conn }
    }

    /// A layer in code, whose counters are this plugin's.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn layer(&self, config: &WorkflowConfig) -> Result<WorkflowLayer, ConfigError> {
        self.workflow(config, &BuildContext::new(&Scope::Code)).map(WorkflowLayer::of)
    }

    fn workflow(&self, config: &WorkflowConfig, cx: &BuildContext<'_>) -> Result<Workflow, ConfigError> {
        let rules = config.rules.iter().enumerate().map(|(index, rule)| self.rule(index, rule, cx));
        rules.collect::<Result<_, _>>().map(Workflow)
    }

    fn rule(&self, index: usize, rule: &WorkflowRule, cx: &BuildContext<'_>) -> Result<Rule, ConfigError> {
        let invalid =
            |field: &str, reason: String| ConfigError::invalid(NAME, format!("rules.{index}.{field}"), reason);
        let case = match &rule.case {
            None => None,
            Some(case) if case.as_array().is_none_or(Vec::is_empty) => {
                return Err(invalid(
                    "case",
                    "needs an array of at least one condition; leave it out for always".to_owned(),
                ));
            }
            Some(case) => Some(Expr::compile(case).map_err(|error| invalid("case", error.to_string()))?),
        };
        let mut actions = Vec::with_capacity(rule.actions.len());
        // an action that is never run is still judged
        for (at, action) in rule.actions.iter().enumerate() {
            let place = format!("rules.{index}.actions.{at}.1");
            let built = self.action(index, action, cx).map_err(|error| match error.field() {
                "" if error.reason().starts_with("unsupported action") => error,
                _ => error.under(NAME, &place),
            });
            actions.push(built?);
        }
        let none = || invalid("actions", "needs at least one action".to_owned());
        Ok(Rule { case, action: actions.into_iter().next().ok_or_else(none)? })
    }

    fn action(&self, index: usize, action: &WorkflowAction, cx: &BuildContext<'_>) -> Result<Action, ConfigError> {
        let WorkflowAction(name, options) = action;
        // the counters of two rules are told apart
        let id = Some((index + 1).to_string());
        match name.as_str() {
            "return" => returned(options).map(Action::Return),
            LimitCountPlugin::NAME => {
                let config = shape(LimitCountPlugin::NAME, options)?;
                Ok(Action::LimitCount(Arc::new(self.count.limiter(&config, cx, id)?)))
            }
            LimitConnPlugin::NAME => {
                let config = shape(LimitConnPlugin::NAME, options)?;
                Ok(Action::LimitConn(Arc::new(self.conn.limiter(&config, cx, id)?)))
            }
            _ => Err(ConfigError::invalid(NAME, "", format!("unsupported action: {name}"))),
        }
    }
}

fn returned(options: &Map<String, Value>) -> Result<StatusCode, ConfigError> {
    let Return { code } = shape(NAME, options)?;
    let status = StatusCode::from_u16(code).ok().filter(|_| (200..=599).contains(&code));
    // 100 to 199 tell that an answer will come, and cannot be one
    status.ok_or_else(|| ConfigError::invalid(NAME, "code", "needs the status of an answer, 200 to 599"))
}

impl Plugin for WorkflowPlugin {
    const NAME: &'static str = NAME;
    const STAGE: Stage = Stage::Access;
    const PRIORITY: i32 = 1006;
    const SECRET_FIELDS: &'static [&'static str] =
        &["rules.*.actions.*.*.redis_password", "rules.*.actions.*.*.sentinel_password"];
    type Config = WorkflowConfig;

    fn schema(of: SchemaOf) -> Option<serde_json::Value> {
        of.block::<WorkflowConfig>()
    }

    fn build(&self, config: WorkflowConfig, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(WorkflowLayer::of(self.workflow(&config, cx)?).into())
    }
}
