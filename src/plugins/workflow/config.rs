//! The fields of a block.
use serde::Deserialize;
use serde_json::{Map, Value};

/// Options of `workflow`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkflowConfig {
    /// The rules, in order. Required.
    pub rules: Vec<WorkflowRule>,
}

/// A condition and what is done.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkflowRule {
    /// Expression array of at least one condition. Default: holds always.
    pub case: Option<Value>,
    /// `[name, options]`, at least one; the first is run. Required.
    pub actions: Vec<WorkflowAction>,
}

/// The name of an action, and its options: of `return` `{"code": 200..599}`, of a limiter those of the plugin.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowAction(
    /// `return`, `limit-count` or `limit-conn`.
    pub String,
    /// The options.
    pub Map<String, Value>,
);
