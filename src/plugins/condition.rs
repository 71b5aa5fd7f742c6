//! Lists of expressions, of which one must hold.
use serde_json::Value;

use crate::plugin::ConfigError;
use crate::router::{Expr, Variables};

/// Expressions that are OR-ed; none at all holds always.
#[derive(Clone, Debug, Default)]
pub(super) struct AnyOf(Vec<Expr>);

impl AnyOf {
    pub(super) fn new(expressions: Vec<Expr>) -> Self {
        Self(expressions)
    }

    /// Compiles a list; `field` is its path in the block of `plugin`.
    pub(super) fn compile(plugin: &'static str, field: &str, list: &[Value]) -> Result<Self, ConfigError> {
        let compile = |(index, json): (usize, &Value)| expression(plugin, &format!("{field}.{index}"), json);
        list.iter().enumerate().map(compile).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn holds(&self, variables: &dyn Variables) -> bool {
        self.0.is_empty() || self.0.iter().any(|expression| expression.holds(variables))
    }
}

/// Compiles one expression; `field` is its path in the block of `plugin`.
pub(super) fn expression(plugin: &'static str, field: &str, json: &Value) -> Result<Expr, ConfigError> {
    Expr::compile(json).map_err(|error| {
        ConfigError::invalid(plugin, field, format!("failed to validate the 'vars' expression: {error}"))
    })
}
