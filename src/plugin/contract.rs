//! The trait and what its constructor is given.
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Stage;
use crate::PluginLayer;

/// A kind of plugin. It lives as long as the gateway: state that is to outlive a reload belongs in it, keyed by
/// [`BuildContext::scope`].
pub trait Plugin: Send + Sync + 'static {
    /// The name in configuration, `kebab-case`.
    const NAME: &'static str;
    /// The place in the chain.
    const STAGE: Stage;
    /// The order inside the stage: a higher number stands further out. `_meta.priority` overrides it for one binding.
    const PRIORITY: i32;
    /// The typed block of configuration. Use `#[serde(default, deny_unknown_fields)]`.
    type Config: DeserializeOwned;

    /// Builds the layer of one block. Called when a configuration is compiled, never on a request's path.
    ///
    /// # Errors
    /// [`ConfigError`] when the block cannot work; the configuration is then refused and the last good one serves on.
    fn build(&self, config: Self::Config, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError>;
}

/// What a constructor may use.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BuildContext<'a> {
    /// The resource that the block is written on: the owner of the block's state.
    pub scope: &'a Scope,
}

impl<'a> BuildContext<'a> {
    /// A context for tests and for hosts that build layers by hand.
    pub fn new(scope: &'a Scope) -> Self {
        Self { scope }
    }
}

/// The resource that carries a plugin block. Two blocks with equal scope and plugin share state across reloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// A route, by id.
    Route(Arc<str>),
    /// A service, by id.
    Service(Arc<str>),
    /// A plugin config, by id.
    PluginConfig(Arc<str>),
    /// A global rule, by id.
    GlobalRule(Arc<str>),
    /// Built by the host in code.
    Code,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(id) => write!(f, "route `{id}`"),
            Self::Service(id) => write!(f, "service `{id}`"),
            Self::PluginConfig(id) => write!(f, "plugin config `{id}`"),
            Self::GlobalRule(id) => write!(f, "global rule `{id}`"),
            Self::Code => f.write_str("code"),
        }
    }
}

/// Why a block of plugin configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The block does not have the plugin's shape.
    #[error("failed to check the configuration of plugin {plugin} err: {source}")]
    Shape {
        /// The plugin's name.
        plugin: &'static str,
        /// What serde says.
        source: serde_json::Error,
    },
    /// The shape is right and a value is not.
    #[error("failed to check the configuration of plugin {plugin} err: {field}: {reason}")]
    Invalid {
        /// The plugin's name.
        plugin: &'static str,
        /// The field, as a path.
        field: String,
        /// What is wrong, and the mend.
        reason: String,
    },
}
