//! All plugins that a gateway knows.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{BuildContext, ConfigError, Plugin, Stage};
use crate::PluginLayer;

/// The plugins by name. A clone shares them.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Entry>);

/// One plugin with its types erased.
#[derive(Clone)]
pub struct Entry {
    name: &'static str,
    stage: Stage,
    priority: i32,
    build: Arc<Build>,
}

type Build = dyn Fn(Map<String, Value>, &BuildContext<'_>) -> Result<PluginLayer, ConfigError> + Send + Sync;

impl Registry {
    /// No plugin at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plugin, or replaces the one of the same name.
    pub fn register<P: Plugin>(&mut self, plugin: P) {
        let build = move |block: Map<String, Value>, cx: &BuildContext<'_>| {
            let config = serde_json::from_value(Value::Object(block))
                .map_err(|source| ConfigError::Shape { plugin: P::NAME, source })?;
            plugin.build(config, cx)
        };
        let entry = Entry { name: P::NAME, stage: P::STAGE, priority: P::PRIORITY, build: Arc::new(build) };
        self.0.insert(P::NAME, entry);
    }

    /// Looks a plugin up.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

impl Entry {
    /// The plugin's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The place in the chain.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The order inside the stage.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// Builds the layer of one block (without `_meta`).
    ///
    /// # Errors
    /// What the plugin says of the block.
    pub fn build(&self, block: Map<String, Value>, cx: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        (self.build)(block, cx)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, {})", self.name, self.stage, self.priority)
    }
}
