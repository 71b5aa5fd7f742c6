//! The plugin blocks of one resource, built once and shared by every route that takes them over.
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::chain::{Block, Filter, Place, filtered, with_error_response};
use crate::model::{Finding, Id, Kind, PluginMap, Severity, is_reference};
use crate::plugin::{BuildContext, ConfigError, Meta, Registry, Scope};
use crate::request::RequestVars;
use crate::router::Expr;

/// What blocks are built with.
pub(crate) struct Toolbox<'a> {
    pub(crate) registry: &'a Registry,
    /// Whether a plugin that does not exist is left out with a warning (`unknown_plugin: ignore`).
    pub(crate) ignore_unknown: bool,
}

/// The blocks of one resource by plugin name.
#[derive(Default)]
pub(crate) struct Blocks(BTreeMap<String, Built>);

struct Built {
    /// The block as configured: a block that is the same after a reload keeps its layer, and so its state.
    config: Map<String, Value>,
    /// `None` when it is disabled: it still hides blocks beneath.
    block: Option<Block>,
    /// What is wrong with a block that is disabled.
    warning: Option<Finding>,
}

impl Blocks {
    /// Builds every block of `plugins`. Faults go to `findings`; blocks that are as in `before` are taken over.
    pub(crate) fn build(
        plugins: Option<&PluginMap>,
        owner: (Kind, &Id),
        before: Option<&Self>,
        tools: &Toolbox<'_>,
        findings: &mut Vec<Finding>,
    ) -> Arc<Self> {
        let mut blocks = Self::default();
        for (name, config) in plugins.into_iter().flat_map(PluginMap::iter) {
            let kept = before.and_then(|before| before.0.get(name)).filter(|built| built.config == *config);
            let (block, warning) = match kept {
                Some(built) => (built.block.clone(), built.warning.clone()),
                None => match build(name, config, owner, tools) {
                    Ok(built) => built,
                    Err(finding) => {
                        findings.push(finding);
                        continue;
                    }
                },
            };
            findings.extend(warning.clone());
            blocks.0.insert(name.to_owned(), Built { config: config.clone(), block, warning });
        }
        Arc::new(blocks)
    }

    /// The blocks of a chain: of each plugin the first block among `levels`, most specific first.
    pub(crate) fn merge<'a>(levels: impl IntoIterator<Item = &'a Self>) -> Vec<Block> {
        let mut merged: BTreeMap<&str, Option<&Block>> = BTreeMap::new();
        for level in levels {
            for (name, built) in &level.0 {
                merged.entry(name).or_insert(built.block.as_ref());
            }
        }
        merged.into_values().flatten().cloned().collect()
    }
}

/// The block, none if it is disabled; and what is then wrong with it.
fn build(
    name: &str,
    config: &Map<String, Value>,
    (kind, id): (Kind, &Id),
    tools: &Toolbox<'_>,
) -> Result<(Option<Block>, Option<Finding>), Finding> {
    let path = format!("plugins.{name}");
    let fault = |message: String| Finding::error(kind, Some(id.clone()), path.as_str(), message);
    let mut config = config.clone();
    let meta = Meta::take(&mut config).map_err(|error| fault(error.to_string()))?;
    let Some(entry) = tools.registry.get(name) else {
        let known: Vec<_> = tools.registry.names().collect();
        let mend = if known.is_empty() {
            "remove it, register it in code, or set `tollgate.unknown_plugin: ignore`".to_owned()
        } else {
            format!("known are {}; or set `tollgate.unknown_plugin: ignore`", known.join(", "))
        };
        let mut finding = fault(format!("unknown plugin `{name}`")).with_mend(mend);
        if tools.ignore_unknown {
            finding.severity = Severity::Warning;
        }
        return Err(finding);
    };
    let filter = match &meta.filter {
        None => None,
        Some(json) => Some(Expr::compile(json).map_err(|error| {
            fault(format!("property \"_meta\" validation failed: failed to validate the 'vars' expression: {error}"))
        })?),
    };
    if !meta.disable
        && let Some(key) = reference(&config)
    {
        return Err(fault(format!("`{key}` holds a reference to a secret, and those are not resolved yet"))
            .with_mend("write the value itself, or `${{NAME}}` to take it from the environment"));
    }
    let shared = id.to_shared();
    let scope = match kind {
        Kind::Service => Scope::Service(shared),
        Kind::PluginConfig => Scope::PluginConfig(shared),
        Kind::GlobalRule => Scope::GlobalRule(shared),
        _ => Scope::Route(shared),
    };
    let built = entry.build(&config, &BuildContext::new(&scope)).map_err(|error| config_fault(kind, id, name, &error));
    if meta.disable {
        // What is off may be faulty (model.md §7.1).
        return Ok((None, built.err().map(|finding| Finding { severity: Severity::Warning, ..finding })));
    }
    let crate::plugin::Built { mut layer, stage } = built?;
    if let Some(body) = &meta.error_response {
        layer = with_error_response(layer, body);
    }
    if let Some(expr) = filter {
        let filter: Filter = Arc::new(move |request| expr.holds(&RequestVars::of(request)));
        layer = filtered(layer, filter);
    }
    let priority = meta.priority.unwrap_or_else(|| entry.priority());
    let place = Place::plugin(stage, kind == Kind::GlobalRule, priority, entry.name());
    Ok((Some(Block { place, layer }), None))
}

/// What a plugin says of its block, at the field that it is about.
fn config_fault(kind: Kind, id: &Id, name: &str, error: &ConfigError) -> Finding {
    let path = match error.field() {
        "" => format!("plugins.{name}"),
        field => format!("plugins.{name}.{field}"),
    };
    let message = format!("failed to check the configuration of plugin {name} err: {}", error.reason());
    Finding::error(kind, Some(id.clone()), path, message)
}

/// The first key of a block under which a reference to a secret stands. Its text must never be taken for the secret.
fn reference(config: &Map<String, Value>) -> Option<&str> {
    fn holds(value: &Value) -> bool {
        match value {
            Value::String(text) => is_reference(text),
            Value::Array(list) => list.iter().any(holds),
            Value::Object(object) => object.values().any(holds),
            _ => false,
        }
    }
    config.iter().find(|(_, value)| holds(value)).map(|(key, _)| key.as_str())
}
