//! The plugin blocks of one resource, built once and shared by every route that takes them over.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use http::HeaderName;
use serde_json::{Map, Value};

use super::chain::{Block, Filter, Place, filtered, with_error_response};
use super::fork::stepping_aside;
use super::idle;
use super::secrets::{Fault, holds_reference, veil};
use super::unknown_fields;
use super::workshop::Bench;
use crate::error::{Error, IntoResponse};
use crate::model::{Finding, Id, Kind, Severity, closest};
use crate::plugin::{BuildContext, Caveat, ConfigError, Meta, Scope, Stage};
use crate::plugins::{Absent, absent};
use crate::request::{Asked, RequestVars};
use crate::router::Expr;
use crate::{Next, PluginLayer};

/// What blocks are built with.
pub(super) struct Toolbox<'a> {
    pub(super) bench: Bench<'a>,
    /// Whether a plugin that does not exist is left out with a warning (`unknown_plugin: ignore`).
    pub(super) ignore_unknown: bool,
    /// Whether fields that a plugin does not know are left out with a warning (`unknown_fields: warn`).
    pub(super) leave_out_unknown_fields: bool,
    /// The plugins that are enabled; `None` for all.
    pub(super) enabled: Option<&'a HashSet<String>>,
    /// Plugins whose metadata or attributes differ from before: their blocks are built anew.
    pub(super) told_anew: &'a HashSet<String>,
    /// Plugins of the outer stages that a consumer may have a block of: a route's block steps aside for it.
    pub(super) outer: &'a BTreeSet<String>,
}

/// The blocks of one resource by plugin name.
#[derive(Default)]
pub(crate) struct Blocks(BTreeMap<String, Built>);

struct Built {
    /// The block as configured: a block that is the same after a reload keeps its layer, and so its state.
    config: Map<String, Value>,
    /// The same with values in the place of references to secrets, if it has any and all have one.
    resolved: Option<Map<String, Value>>,
    /// `None` when it is disabled: it still hides blocks beneath.
    block: Option<Block>,
    /// What is wrong with a block that is disabled, or doubtful about one that is not, and what was left out.
    warnings: Vec<Finding>,
    /// Whether fields were left out.
    is_incomplete: bool,
    /// The upstreams and Protobuf definitions that it asked for.
    leans_on: Box<[(Kind, Id)]>,
    /// Whether limits of the settings are in it.
    has_limits: bool,
    /// Whether other plugins are in it.
    has_others: bool,
    /// Fields that clients must not send.
    identity_fields: Box<[HeaderName]>,
}

impl Blocks {
    /// Builds every block of `plugins`. Faults go to `findings`; blocks that are as in `before` are taken over.
    pub(super) fn build<'p>(
        plugins: impl Iterator<Item = (&'p str, &'p Map<String, Value>)>,
        owner: (Kind, &Id),
        before: Option<&Self>,
        tools: &Toolbox<'_>,
        findings: &mut Vec<Finding>,
    ) -> Arc<Self> {
        let mut blocks = Self::default();
        for (name, config) in plugins {
            let kept = before.and_then(|before| before.0.get(name)).filter(|built| built.stays(name, config, tools));
            let built = match kept {
                Some(built) => Built {
                    config: config.clone(),
                    resolved: built.resolved.clone(),
                    block: built.block.clone(),
                    warnings: built.warnings.clone(),
                    is_incomplete: built.is_incomplete,
                    leans_on: built.leans_on.clone(),
                    has_limits: built.has_limits,
                    has_others: built.has_others,
                    identity_fields: built.identity_fields.clone(),
                },
                None => {
                    tools.bench.asked.borrow_mut().clear();
                    tools.bench.doubts.borrow_mut().clear();
                    tools.bench.took_limits.set(false);
                    tools.bench.took_registry.set(false);
                    match build(name, config, owner, tools) {
                        Ok(Made { block, warnings, is_incomplete, resolved, identity_fields }) => Built {
                            config: config.clone(),
                            resolved,
                            block,
                            warnings,
                            is_incomplete,
                            leans_on: tools.bench.asked.take().into_boxed_slice(),
                            has_limits: tools.bench.took_limits.get(),
                            has_others: tools.bench.took_registry.get(),
                            identity_fields: identity_fields.into_boxed_slice(),
                        },
                        Err(finding) => {
                            findings.push(finding);
                            continue;
                        }
                    }
                }
            };
            findings.extend(built.warnings.iter().cloned());
            blocks.0.insert(name.to_owned(), built);
        }
        Arc::new(blocks)
    }

    /// Whether a block asked for an item that differs from before.
    pub(super) fn leans_on(&self, touched: &dyn Fn(Kind, &Id) -> bool) -> bool {
        self.0.values().any(|built| built.leans_on.iter().any(|(kind, id)| touched(*kind, id)))
    }

    /// Fields that clients must not send.
    pub(super) fn identity_fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.values().flat_map(|built| &built.identity_fields)
    }

    /// The blocks by plugin; `None` for one that is disabled.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&Block>)> {
        self.0.iter().map(|(name, built)| (name.as_str(), built.block.as_ref()))
    }

    /// The blocks by plugin, with what is written.
    pub(super) fn written(&self) -> impl Iterator<Item = (&str, &Map<String, Value>, Option<&Block>)> {
        self.0.iter().map(|(name, built)| (name.as_str(), &built.config, built.block.as_ref()))
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

impl Built {
    fn stays(&self, name: &str, config: &Map<String, Value>, tools: &Toolbox<'_>) -> bool {
        let bench = &tools.bench;
        self.config == *config
            && tools.enabled.is_none_or(|enabled| enabled.contains(name))
            && self.has_its_secrets(bench)
            && !tools.told_anew.contains(name)
            && (tools.leave_out_unknown_fields || !self.is_incomplete)
            && !(self.has_limits && bench.other_limits)
            && (!self.has_others || tools.told_anew.is_empty())
            && !self.leans_on.iter().any(|(kind, id)| bench.touches(*kind, id))
    }
}

impl Built {
    /// Whether references to secrets are answered as they were.
    fn has_its_secrets(&self, bench: &Bench<'_>) -> bool {
        if !self.config.values().any(holds_reference) {
            return true;
        }
        bench.secrets.resolve(&self.config).is_ok_and(|now| self.resolved.as_ref() == Some(&*now))
    }
}

/// What became of a block.
#[derive(Default)]
struct Made {
    /// None if it is disabled.
    block: Option<Block>,
    /// What is then wrong with it, which secret it lacks, what is doubtful about it, and what was left out.
    warnings: Vec<Finding>,
    /// See [`Built::is_incomplete`].
    is_incomplete: bool,
    /// See [`Built::resolved`].
    resolved: Option<Map<String, Value>>,
    /// See [`Built::identity_fields`].
    identity_fields: Vec<HeaderName>,
}

fn build(
    name: &str,
    config: &Map<String, Value>,
    (kind, id): (Kind, &Id),
    tools: &Toolbox<'_>,
) -> Result<Made, Finding> {
    let path = format!("plugins.{name}");
    let fault = |message: String| Finding::error(kind, Some(id.clone()), path.as_str(), message);
    let mut written = config.clone();
    let mut meta = Meta::take(&mut written).map_err(|error| fault(error.to_string()))?;
    let registry = tools.bench.registry;
    let Some(entry) = registry.get(name) else {
        let mut finding = match (absent(name), closest(name, registry.names())) {
            (Some(Absent { reason, instead }), _) => fault(format!("plugin `{name}` {reason}")).with_mend(instead),
            (None, Some(near)) => {
                fault(format!("unknown plugin `{name}`")).with_mend(format!("did you mean `{near}`?"))
            }
            (None, None) => fault(format!("unknown plugin `{name}`")).with_mend(
                "remove it, register it in code, or set `tollgate.unknown_plugin: ignore`; docs/plugins.md lists those \
                 that there are",
            ),
        };
        if tools.ignore_unknown {
            finding.severity = Severity::Warning;
        }
        return Err(finding);
    };
    if tools.enabled.is_some_and(|enabled| !enabled.contains(name)) {
        return Err(
            fault(format!("plugin `{name}` is not enabled")).with_mend("add it to `plugins`, or remove that list")
        );
    }
    let priority = meta.priority.unwrap_or_else(|| entry.priority());
    let place = |stage| {
        let place = Place::plugin(stage, kind == Kind::GlobalRule, priority, entry.name());
        place.of_differing_stages(entry.stages_differ()).among_routes(entry.stands_among_routes())
    };
    let (yields, sets_body_limit) = (entry.yields_to_route(), entry.sets_body_limit());
    let mut resolved = None;
    let mut block = match tools.bench.secrets.resolve(config) {
        Ok(Cow::Borrowed(_)) => Cow::Borrowed(&written),
        Ok(Cow::Owned(with_secrets)) => {
            let mut block = with_secrets.clone();
            meta = Meta::take(&mut block).map_err(|error| fault(error.to_string()))?;
            resolved = Some(with_secrets);
            Cow::Owned(block)
        }
        Err(_) if meta.disable => return Ok(Made::default()),
        Err(unresolved) => {
            let layer = PluginLayer::from_fn(|_| {
                Next::from_call(|_| super::answer::ready(Error::Internal("secret_unresolved").into_response()))
            });
            let block = Some(Block { place: place(entry.stage()), layer, yields, sets_body_limit: false });
            let warnings = vec![secret_missing(kind, id, name, &unresolved, "its requests are answered with 500")];
            return Ok(Made { block, warnings, ..Made::default() });
        }
    };
    // What a fault says may quote the block, which has values in the place of references by now.
    let veiled = |text: &str| match &resolved {
        Some(resolved) => veil(text, config, resolved),
        None => text.to_owned(),
    };
    let filter = match &meta.filter {
        None => None,
        Some(json) => Some(Expr::compile(json).map_err(|error| {
            let error = veiled(&error.to_string());
            fault(format!("property \"_meta\" validation failed: failed to validate the 'vars' expression: {error}"))
        })?),
    };
    let scope = scope(kind, id);
    // Counters belong to the block as written: a secret that is exchanged does not begin new ones.
    let cx = BuildContext::with_workshop(&scope, &tools.bench);
    let at_fault = |error: &ConfigError| config_fault(kind, id, name, error.field(), &veiled(error.reason()));
    let mut warnings = Vec::new();
    let built = unknown_fields::read(
        &mut block,
        tools.leave_out_unknown_fields,
        |block| entry.build(block, &cx.with_block(&written)),
        |error| warnings.push(field_left_out(at_fault(error))),
    );
    let built = built.map_err(|error| at_fault(&error));
    let is_incomplete = !warnings.is_empty();
    if meta.disable {
        // What is off may be faulty (model.md §7.1); what it is configured to tell upstreams stays its own (HOP-05).
        let identity_fields = match built {
            Ok(built) => built.identity_fields,
            Err(finding) => {
                warnings.push(Finding { severity: Severity::Warning, ..finding });
                Vec::new()
            }
        };
        tools.bench.names_fields.set(tools.bench.names_fields.get() || !identity_fields.is_empty());
        return Ok(Made { block: None, warnings, is_incomplete, resolved, identity_fields });
    }
    let crate::plugin::Built { mut layer, stage, identity_fields, caveats } = built?;
    if !identity_fields.is_empty() {
        tools.bench.names_fields.set(true);
    }
    if let Some(body) = &meta.error_response {
        layer = with_error_response(layer, body);
    }
    let caveats = caveats.into_iter().chain(tools.bench.doubts.take());
    warnings.extend(caveats.map(|caveat| doubt(kind, id, name, caveat)));
    if let Some(expr) = filter {
        let path = place_of(name, "_meta.filter");
        warnings.extend(idle::variables(&expr, tools.bench.custom_vars, Asked::Underway, (kind, id), &path));
        let filter: Filter = Arc::new(move |request| expr.holds(&RequestVars::of(request)));
        layer = filtered(layer, filter);
    }
    if matches!(stage, Stage::Observe | Stage::Respond) && tools.outer.contains(name) && is_of_route(kind) {
        layer = stepping_aside(layer, entry.name());
    }
    let block = Some(Block { place: place(stage), layer, yields, sets_body_limit });
    Ok(Made { block, warnings, is_incomplete, resolved, identity_fields })
}

/// The fault of an unknown field, as the warning that it is left out.
pub(super) fn field_left_out(fault: Finding) -> Finding {
    let message = format!("{}; it is left out", fault.message);
    Finding { severity: Severity::Warning, message, ..fault }.with_mend("remove it, or write its name as it should be")
}

/// A reference to a secret that has no value, and what comes of it.
pub(super) fn secret_missing(kind: Kind, id: &Id, plugin: &str, unresolved: &Fault, effect: &str) -> Finding {
    let path = format!("plugins.{plugin}.{}", unresolved.field);
    let message = format!("refers to a secret that has no value: {}; {effect}", unresolved.reason);
    Finding::warning(kind, Some(id.clone()), path, message).with_mend("provide the secret, or write the value itself")
}

/// Whether blocks on such a resource can be merged under a consumer's.
fn is_of_route(kind: Kind) -> bool {
    matches!(kind, Kind::Route | Kind::Service | Kind::PluginConfig)
}

/// The owner of a block's state.
fn scope(kind: Kind, id: &Id) -> Scope {
    let id = id.to_shared();
    match kind {
        Kind::Service => Scope::Service(id),
        Kind::PluginConfig => Scope::PluginConfig(id),
        Kind::GlobalRule => Scope::GlobalRule(id),
        Kind::Consumer => Scope::Consumer(id),
        Kind::ConsumerGroup => Scope::ConsumerGroup(id),
        _ => Scope::Route(id),
    }
}

/// What is doubtful about a block.
fn doubt(kind: Kind, id: &Id, name: &str, caveat: Caveat) -> Finding {
    Finding::warning(kind, Some(id.clone()), place_of(name, &caveat.field), caveat.message).with_mend(caveat.mend)
}

/// The path of a block's field in its resource; of the block for no field.
fn place_of(name: &str, field: &str) -> String {
    match field {
        "" => format!("plugins.{name}"),
        field => format!("plugins.{name}.{field}"),
    }
}

/// What a plugin says of its block, at the field that it is about.
pub(super) fn config_fault(kind: Kind, id: &Id, name: &str, field: &str, reason: &str) -> Finding {
    let message = format!("failed to check the configuration of plugin {name} err: {reason}");
    Finding::error(kind, Some(id.clone()), place_of(name, field), message)
}
