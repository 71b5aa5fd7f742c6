//! From one snapshot to the next: what differs is compiled, everything else is taken over, and the result is one value
//! to swap in.
//!
//! An item is the same when its `Arc` is, else when its content is. Whatever fails, the state before stays untouched.
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use http::HeaderName;

use super::blocks::{Blocks, Toolbox, field_left_out};
use super::builder::{GatewayBuilder, Route as CodeRoute};
use super::callers::{self, Callers};
use super::chain::{Block, Place};
use super::handle::add_new;
use super::items::{IdChanges, Ids, Judge};
use super::live::Live;
#[cfg(feature = "client")]
use super::names::Names;
use super::route::{Chain, Forward, Route};
use super::secrets::{Answers, Secrets};
use super::settings::Rules;
use super::tls::Vault;
use super::unknown_fields;
use super::upstreams::{self, Owner};
use super::workshop::{Bench, Metadata};
use super::{ApplyError, Gateway};
use super::{idle, lax};
use crate::PluginLayer;
use crate::error::Error;
use crate::model::{
    Blocked, Finding, GlobalPlugins, GlobalRuleSpec, Id, Kind, MatchPart, Places, PluginConfigSpec, PluginMap,
    PluginMetadataSpec, Resource, RouteSpec, ServiceSpec, Settings, Snapshot, SslSpec, SslType, Status, UpstreamSpec,
    duplicate,
};
use crate::plugin::{ConfigError, Registry};
use crate::request::{Asked, CustomVars, Environment, RouteInfo};
use crate::router::{Expr, Predicate, Router, RouterOptions, Rule, RuleError};
use crate::upstream::{Endpoints, Upstream, Upstreams};

/// Room between the order numbers of two neighbours, so that a route put between them needs no renumbering.
const GAP: u64 = 1 << 24;
/// Order number of the first configured route; routes in code stand before it.
const FIRST: u64 = 1 << 40;

/// What never changes in the life of a gateway.
pub(crate) struct Kit {
    registry: Registry,
    predicates: HashMap<String, Predicate>,
    pub(crate) custom_vars: Arc<CustomVars>,
    endpoints: Endpoints,
    upstreams: Upstreams,
    code_routes: Vec<CodeRoute>,
}

/// The last configuration in full: what the next one is compared with.
pub(crate) struct Master {
    kit: Kit,
    state: State,
    #[cfg(feature = "client")]
    names: Names,
}

/// Everything compiled so far. A clone of the maps is avoided: changes are gathered first and committed when all is well.
struct State {
    snapshot: Snapshot,
    rules: Arc<Rules>,
    globals: Arc<Vec<Global>>,
    upstreams: HashMap<Id, Arc<Upstream>>,
    services: HashMap<Id, Arc<Service>>,
    plugin_configs: HashMap<Id, Arc<Blocks>>,
    metadata: Arc<Metadata>,
    callers: Callers,
    /// What references to secrets were answered.
    secrets: Answers,
    /// Fields of any block that clients must not send.
    identity_fields: Arc<[HeaderName]>,
    routes: HashMap<Id, Built>,
    router: Router<Arc<Route>>,
    ids: Ids,
    /// What is doubtful about the snapshot: items that stay are not judged again.
    warnings: Vec<Finding>,
    /// What the compiler doubts about what it made of it.
    compile_warnings: Vec<Finding>,
    revision: u64,
}

impl State {
    /// Fields of any block that clients must not send. Blocks that have any are few; so are the fields.
    fn named_identity_fields(&self) -> Arc<[HeaderName]> {
        let resources = self.services.values().map(|service| &*service.blocks);
        let resources = resources.chain(self.plugin_configs.values().map(|blocks| &**blocks));
        let resources = resources.chain(self.globals.iter().map(|global| &*global.blocks));
        let resources = resources.chain(self.routes.values().map(|built| &*built.blocks));
        let of_routes = resources.flat_map(Blocks::identity_fields);
        let mut fields: Vec<_> = of_routes.chain(self.callers.identity_fields()).cloned().collect();
        fields.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        fields.dedup();
        fields.into()
    }

    fn all_warnings(&self) -> Vec<Finding> {
        let mut all = self.warnings.clone();
        add_new(&mut all, self.compile_warnings.clone());
        all.extend(self.callers.shadowed(&self.snapshot));
        all
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            snapshot: Snapshot::default(),
            rules: Arc::default(),
            globals: Arc::default(),
            upstreams: HashMap::new(),
            services: HashMap::new(),
            plugin_configs: HashMap::new(),
            metadata: Arc::default(),
            callers: Callers::default(),
            secrets: Answers::new(),
            identity_fields: Arc::default(),
            routes: HashMap::new(),
            router: Router::new(RouterOptions::default()),
            ids: Ids::default(),
            warnings: Vec::new(),
            compile_warnings: Vec::new(),
            revision: 0,
        }
    }
}

struct Global {
    id: Id,
    blocks: Arc<Blocks>,
}

struct Service {
    spec: Arc<ServiceSpec>,
    blocks: Arc<Blocks>,
    target: Option<Result<Arc<Upstream>, Error>>,
}

/// A compiled route with what it was made of.
struct Built {
    blocks: Arc<Blocks>,
    order: u64,
}

/// Changes of the table of routes; `None` removes.
type Applied = Vec<(Id, Option<Built>)>;

/// What is to happen to one route of the router.
struct Change {
    id: Id,
    built: Option<(Built, Rule<Arc<Route>>)>,
}

impl Master {
    /// The first configuration: the routes in code.
    pub(crate) fn start(builder: GatewayBuilder, first: Snapshot) -> Result<Gateway, ApplyError> {
        #[cfg(feature = "client")]
        let names = Names::new(builder.resolver);
        let GatewayBuilder { registry, layers, routes, endpoints, predicates, custom_vars, upstreams, .. } = builder;
        let upstreams = upstreams.build();
        let kit = Kit {
            registry,
            predicates,
            custom_vars: Arc::new(custom_vars),
            endpoints,
            upstreams: upstreams.clone(),
            code_routes: routes,
        };
        let mut master = Self {
            kit,
            state: State::default(),
            #[cfg(feature = "client")]
            names,
        };
        let live = master.compile(first)?;
        Ok(Gateway::assemble(master, live, layers, upstreams))
    }

    /// Compiles a snapshot and, if all is well, makes it the state.
    fn compile(&mut self, snapshot: Snapshot) -> Result<Arc<Live>, ApplyError> {
        let live = Compile::run(&self.kit, &mut self.state, snapshot)?;
        #[cfg(feature = "client")]
        self.names.apply(&self.state.snapshot.settings.dns, &self.kit.upstreams);
        Ok(live)
    }

    /// The snapshot that is in force.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.state.snapshot
    }

    /// Compiles a snapshot and makes it the state to compare with. Gives the value to swap in; `None` when the snapshot
    /// equals the one in force, which stays (config-sources.md §1).
    pub(crate) fn apply(&mut self, snapshot: Snapshot) -> Result<Option<Arc<Live>>, ApplyError> {
        // Warnings of a reader have lines, which move with the text around them.
        let warnings = self.state.snapshot.warnings.clone();
        if self.state.snapshot == (Snapshot { warnings, ..snapshot.clone() }) {
            self.state.snapshot = Snapshot { places: Places::default(), ..snapshot };
            return Ok(None);
        }
        self.compile(snapshot).map(Some)
    }

    /// Compiles the snapshot that is in force once more if references to secrets have other values than before.
    pub(crate) fn refresh(&mut self) -> Result<Option<Arc<Live>>, ApplyError> {
        if !Secrets::new(&self.state.snapshot.secrets).differ_from(&self.state.secrets) {
            return Ok(None);
        }
        let snapshot = self.state.snapshot.clone();
        self.compile(snapshot).map(Some)
    }

    /// Every plugin that there is.
    pub(super) fn registry(&self) -> &Registry {
        &self.kit.registry
    }

    /// The blocks that a route's chain is made of, by where they stand; `None` of a route that is not in force.
    pub(super) fn levels(&self, route: &RouteSpec) -> Option<Levels<'_>> {
        let state = &self.state;
        let service = route.service_id.as_ref();
        let plugin_config = route.plugin_config_id.as_ref();
        Some(Levels {
            route: &state.routes.get(&route.id)?.blocks,
            plugin_config: plugin_config.map(|id| state.plugin_configs.get(id).map(|blocks| &**blocks)),
            service: service.map(|id| state.services.get(id).map(|service| &*service.blocks)),
            globals: state.globals.iter().map(|global| (&global.id, &*global.blocks)).collect(),
            callers: &state.callers,
        })
    }

    /// What the compiler doubts about the snapshot that is in force.
    pub(crate) fn warnings(&self) -> Vec<Finding> {
        self.state.all_warnings()
    }

    /// Every fault and warning of a snapshot, without making it the state.
    pub(crate) fn check(&self, snapshot: Snapshot) -> Vec<Finding> {
        let mut state = State::default();
        match Compile::run(&self.kit, &mut state, snapshot) {
            Ok(_) => state.all_warnings(),
            Err(error) => error.into_findings(),
        }
    }
}

/// What a route's chain is made of. What is named and does not exist is `Some(None)`.
pub(super) struct Levels<'a> {
    pub(super) route: &'a Blocks,
    pub(super) plugin_config: Option<Option<&'a Blocks>>,
    pub(super) service: Option<Option<&'a Blocks>>,
    pub(super) globals: Vec<(&'a Id, &'a Blocks)>,
    pub(super) callers: &'a Callers,
}

/// One run of the compiler.
struct Compile<'a> {
    kit: &'a Kit,
    before: &'a State,
    findings: Vec<Finding>,
    rules: Arc<Rules>,
    settings: Arc<Settings>,
    globals: Arc<Vec<Global>>,
    metadata: Arc<Metadata>,
    secrets: &'a Secrets<'a>,
    vault: &'a Vault<'a>,
    /// Whether a block that was built names identity fields.
    names_fields: Cell<bool>,
    /// The plugins that are enabled; `None` for all.
    enabled: Option<HashSet<String>>,
    /// Plugins whose metadata or attributes differ.
    told_anew: HashSet<String>,
    /// Plugins of the outer stages that a consumer may have a block of.
    outer: BTreeSet<String>,
    upstreams: Tables<Arc<Upstream>>,
    services: Tables<Arc<Service>>,
    plugin_configs: Tables<Arc<Blocks>>,
}

/// A table before, and what changes in it: `None` removes.
pub(super) struct Tables<T> {
    changes: HashMap<Id, Option<T>>,
}

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Self { changes: HashMap::new() }
    }
}

impl<T: Clone> Tables<T> {
    pub(super) fn get(&self, before: &HashMap<Id, T>, id: &Id) -> Option<T> {
        match self.changes.get(id) {
            Some(change) => change.clone(),
            None => before.get(id).cloned(),
        }
    }

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn touches(&self, id: Option<&Id>) -> bool {
        id.is_some_and(|id| self.changes.contains_key(id))
    }

    fn commit(self, table: &mut HashMap<Id, T>) {
        for (id, change) in self.changes {
            match change {
                Some(value) => table.insert(id, value),
                None => table.remove(&id),
            };
        }
    }
}

impl<'a> Compile<'a> {
    fn run(kit: &'a Kit, state: &'a mut State, snapshot: Snapshot) -> Result<Arc<Live>, ApplyError> {
        let before = &*state;
        let managers = snapshot.secrets.clone();
        let secrets = Secrets::new(&managers);
        let ssls = snapshot.ssls.clone();
        let vault = Vault::new(&secrets, &ssls);
        let mut compile = Compile {
            kit,
            before,
            findings: Vec::new(),
            rules: Arc::clone(&before.rules),
            settings: Arc::clone(&snapshot.settings),
            globals: Arc::clone(&before.globals),
            metadata: Arc::clone(&before.metadata),
            secrets: &secrets,
            vault: &vault,
            names_fields: Cell::new(false),
            enabled: enabled(&snapshot),
            told_anew: HashSet::new(),
            outer: before.callers.outer(),
            upstreams: Tables::default(),
            services: Tables::default(),
            plugin_configs: Tables::default(),
        };
        let ids = compile.structure(&snapshot);
        let judged = compile.findings.len();
        let mut everything = before.revision == 0 || secrets.differ_from(&before.secrets);
        let other_settings = compile.settings(&snapshot.settings);
        everything |= other_settings;
        // Upstreams stand in many places; certificates that they show change now and then.
        everything |= compile.other_client_certificates(&snapshot.ssls);
        compile.upstreams(&snapshot.upstreams, everything);
        let enabled_before = if before.revision == 0 { &compile.enabled } else { &enabled(&before.snapshot) };
        everything |= *enabled_before != compile.enabled;
        compile.metadata(&snapshot.plugin_metadata);
        everything |= !compile.told_anew.is_empty();
        everything |= compile.globals(&snapshot.global_rules);
        let callers = compile.callers(&snapshot, everything);
        everything |= !compile.told_anew.is_empty();
        compile.plugin_configs(&snapshot.plugin_configs, everything);
        compile.services(&snapshot.services, everything);
        everything |= before.snapshot.blocked != snapshot.blocked;
        // Left-out routes are in no table: they stand among the others by counting, and may have a service's hosts.
        everything |= !snapshot.blocked.is_empty()
            && (!compile.services.changes.is_empty() || before.snapshot.routes != snapshot.routes);
        let plan = if everything { None } else { compile.route_changes(&snapshot.routes) };
        let (changes, router) = match plan {
            Some(changes) => {
                let mut router = before.router.clone();
                let applied = compile.edit(&mut router, changes);
                (applied, router)
            }
            None => {
                everything = true;
                compile.all_routes(&snapshot)
            }
        };
        if compile.findings.iter().any(Finding::is_error) {
            return Err(ApplyError::new(compile.findings));
        }
        let names_fields = compile.names_fields.get();
        let Compile { findings, rules, globals, metadata, upstreams, services, plugin_configs, .. } = compile;
        let is_current = |warning: &&Finding| match warning.kind {
            Kind::Settings => !other_settings,
            _ => ids.is_current(warning),
        };
        let mut found = findings;
        let of_compiling = found.split_off(judged);
        let mut warnings: Vec<_> = before.warnings.iter().filter(is_current).cloned().collect();
        add_new(&mut warnings, found);
        // Of what was compiled anew, everything that there is to say was said again.
        let routes: HashSet<&Id> = changes.iter().map(|(id, _)| id).collect();
        let other_globals = !Arc::ptr_eq(&globals, &before.globals);
        let is_compiled = |warning: &Finding| {
            let Some(id) = &warning.id else { return false };
            match warning.kind {
                Kind::Route => routes.contains(id),
                Kind::Upstream => upstreams.touches(Some(id)),
                Kind::Service => services.touches(Some(id)),
                Kind::PluginConfig => plugin_configs.touches(Some(id)),
                Kind::GlobalRule => other_globals,
                kind => callers.compiled(kind, id),
            }
        };
        let is_said = |warning: &&Finding| is_current(warning) && !is_compiled(warning);
        let mut compile_warnings = before.compile_warnings.iter().filter(is_said).cloned().collect();
        add_new(&mut compile_warnings, of_compiling);
        let revision = before.revision + 1;
        // Of a million consumers, one that changes has most often nothing to do with it.
        let touched = !changes.is_empty()
            || !services.is_empty()
            || !plugin_configs.is_empty()
            || everything
            || callers.touch_identity_fields();
        let other_fields = names_fields || (touched && !before.identity_fields.is_empty());
        upstreams.commit(&mut state.upstreams);
        services.commit(&mut state.services);
        plugin_configs.commit(&mut state.plugin_configs);
        if everything {
            state.routes.clear();
        }
        for (id, built) in changes {
            match built {
                Some(built) => state.routes.insert(id, built),
                None => state.routes.remove(&id),
            };
        }
        state.ids.commit(ids);
        // What the next one is compared with needs no text.
        state.snapshot = Snapshot { places: Places::default(), ..snapshot };
        state.rules = rules;
        state.metadata = metadata;
        state.callers.commit(callers);
        if everything {
            state.secrets.clear();
        }
        state.secrets.extend(secrets.into_answers());
        state.globals = globals;
        state.router = router;
        state.warnings = warnings;
        state.compile_warnings = compile_warnings;
        state.revision = revision;
        if other_fields {
            state.identity_fields = state.named_identity_fields();
        }
        let environment = Arc::new(Environment {
            custom_vars: Arc::clone(&kit.custom_vars),
            consumers: Arc::clone(state.callers.consumers()),
        });
        let live = Live::new(
            revision,
            state.router.clone(),
            Arc::clone(&state.rules),
            global_blocks(&state.globals),
            environment,
            Arc::clone(&state.identity_fields),
        );
        Ok(Arc::new(live))
    }

    /// Rules that a snapshot must keep as a whole. Items that are as before were judged then.
    fn structure(&mut self, snapshot: &Snapshot) -> IdChanges {
        for rejected in &snapshot.rejected {
            self.findings.extend(rejected.findings.iter().cloned());
        }
        let first = self.before.revision == 0;
        let mut in_code = HashSet::new();
        for (position, code) in self.kit.code_routes.iter().enumerate() {
            if !in_code.insert(&code.spec.id) && first {
                self.findings.push(duplicate(Kind::Route, code.spec.id.clone(), position));
            }
        }
        let (_, ssls) = self.changed(&self.before.snapshot.ssls, &snapshot.ssls);
        self.findings.extend(ssls.into_iter().filter_map(|ssl| idle::ssl(ssl)));
        let judge = Judge::new(first, &self.before.ids, &in_code, &mut self.findings);
        judge.run(snapshot, &self.before.snapshot)
    }

    /// Whether a certificate that upstreams may show differs.
    fn other_client_certificates(&mut self, ssls: &[Arc<SslSpec>]) -> bool {
        let (gone, changed) = self.changed(&self.before.snapshot.ssls, ssls);
        let differs = changed.iter().any(|ssl| ssl.purpose == SslType::Client);
        if gone.is_empty() && !differs {
            return false;
        }
        let gone: HashSet<Id> = gone.into_iter().collect();
        let was_client = |ssl: &Arc<SslSpec>| ssl.purpose == SslType::Client && gone.contains(&ssl.id);
        differs || self.before.snapshot.ssls.iter().any(was_client)
    }

    fn settings(&mut self, settings: &Arc<Settings>) -> bool {
        let same = self.before.revision > 0 && *self.before.snapshot.settings == **settings;
        if !same {
            self.rules = Arc::new(Rules::new(settings));
            self.findings.extend(idle::settings(settings));
            self.findings.extend(lax::settings(settings));
            let (old, new) = (&self.before.snapshot.settings.plugin_attr, &settings.plugin_attr);
            let differs = old.keys().chain(new.keys()).filter(|name| old.get(name) != new.get(name));
            self.told_anew.extend(differs.cloned());
        }
        !same
    }

    /// What blocks are built with, and where their faults go.
    fn tools(&mut self) -> (Toolbox<'_>, &mut Vec<Finding>) {
        let bench = Bench {
            registry: &self.kit.registry,
            settings: &self.settings,
            metadata: &self.metadata,
            rules: &self.rules,
            pool: &self.kit.upstreams,
            endpoints: &self.kit.endpoints,
            upstreams: &self.upstreams,
            upstreams_before: &self.before.upstreams,
            secrets: self.secrets,
            vault: self.vault,
            custom_vars: &self.kit.custom_vars,
            names_fields: &self.names_fields,
            asked: RefCell::default(),
            made_upstream: Cell::default(),
            other_limits: (self.rules.answers, self.rules.replay_bytes, self.rules.checks)
                != (self.before.rules.answers, self.before.rules.replay_bytes, self.before.rules.checks),
        };
        let ignore_unknown = self.rules.ignore_unknown_plugins;
        let tools = Toolbox {
            bench,
            ignore_unknown,
            leave_out_unknown_fields: self.rules.leave_out_unknown_fields,
            enabled: self.enabled.as_ref(),
            told_anew: &self.told_anew,
            outer: &self.outer,
        };
        (tools, &mut self.findings)
    }

    fn blocks(&mut self, plugins: Option<&PluginMap>, owner: (Kind, &Id), before: Option<&Blocks>) -> Arc<Blocks> {
        let (tools, findings) = self.tools();
        Blocks::build(plugins.into_iter().flat_map(PluginMap::iter), owner, before, &tools, findings)
    }

    /// What plugins are told once. A plugin that nobody has is told nothing (model.md §6).
    fn metadata(&mut self, specs: &[Arc<PluginMetadataSpec>]) {
        let (old, new) = difference(&self.before.snapshot.plugin_metadata, specs);
        let leave_out = self.rules.leave_out_unknown_fields;
        let as_strict = leave_out == self.before.rules.leave_out_unknown_fields;
        if self.before.revision > 0 && as_strict && old.is_empty() && new.is_empty() {
            return;
        }
        let mut metadata = Metadata::new();
        for spec in specs {
            let Some(entry) = self.kit.registry.get(spec.id.as_str()) else {
                let message = format!("is not used: there is no plugin `{}`", spec.id);
                let warning = Finding::warning(Kind::PluginMetadata, Some(spec.id.clone()), "", message);
                self.findings.push(warning.with_mend("remove it, or don't rely on it"));
                continue;
            };
            let fault = |error: &ConfigError| {
                let message = format!("failed to check the metadata of plugin {} err: {}", spec.id, error.reason());
                Finding::error(Kind::PluginMetadata, Some(spec.id.clone()), error.field(), message)
            };
            let mut config = Cow::Borrowed(&spec.config);
            let findings = &mut self.findings;
            let checked = unknown_fields::read(
                &mut config,
                leave_out,
                |config| entry.check_metadata(config),
                |error| findings.push(field_left_out(fault(error))),
            );
            self.findings.extend(checked.err().as_ref().map(fault));
            metadata.insert(spec.id.clone(), config.into_owned());
        }
        let names = self.before.metadata.keys().chain(metadata.keys());
        let differs = names.filter(|name| self.before.metadata.get(*name) != metadata.get(*name));
        self.told_anew.extend(differs.map(|name| name.as_str().to_owned()));
        self.metadata = Arc::new(metadata);
    }

    /// Consumers, credentials and groups.
    fn callers(&mut self, snapshot: &Snapshot, everything: bool) -> callers::Changes {
        let before = self.before;
        let (tools, findings) = self.tools();
        let changes = callers::compile(&before.callers, (&before.snapshot, snapshot), everything, &tools, findings);
        // Blocks on routes step aside for consumers' ones, which they are built to do or not.
        let outer = changes.outer();
        self.told_anew.extend(outer.symmetric_difference(&before.callers.outer()).cloned());
        self.outer = outer;
        changes
    }

    fn globals(&mut self, rules: &[Arc<GlobalRuleSpec>]) -> bool {
        let (old, new) = difference(&self.before.snapshot.global_rules, rules);
        let before = Arc::clone(&self.before.globals);
        let leans = |global: &Global| global.blocks.leans_on(&|id| self.upstreams.touches(Some(id)));
        let same = old.is_empty() && new.is_empty() && self.before.revision > 0;
        if same && self.told_anew.is_empty() && !before.iter().any(leans) {
            return false;
        }
        let mut taken = GlobalPlugins::default();
        for rule in rules {
            self.findings.extend(taken.claim(rule));
        }
        let globals = rules
            .iter()
            .map(|rule| {
                let kept = before.iter().find(|global| global.id == rule.id).map(|global| &*global.blocks);
                Global {
                    id: rule.id.clone(),
                    blocks: self.blocks(Some(&rule.plugins), (Kind::GlobalRule, &rule.id), kept),
                }
            })
            .collect();
        self.globals = Arc::new(globals);
        true
    }

    fn upstreams(&mut self, specs: &[Arc<UpstreamSpec>], everything: bool) {
        let (removed, changed) = self.changed(&self.before.snapshot.upstreams, specs);
        // Limits of answers are settings; an upstream that they leave as it was stays the same one.
        let changed: Vec<_> = if everything { specs.iter().collect() } else { changed };
        for id in removed {
            self.upstreams.changes.insert(id, None);
        }
        for spec in changed {
            match self.upstream(spec, Kind::Upstream, &spec.id) {
                Ok(upstream) => {
                    self.upstreams.changes.insert(spec.id.clone(), Some(upstream));
                }
                Err(finding) => {
                    // Of an upstream that is as it was, but for a secret that cannot be had at the moment, what is in force
                    // stays; any other one closes.
                    let is_as_it_was = self.before.snapshot.upstreams.iter().any(|was| same(was, spec));
                    if !finding.is_error() && !is_as_it_was {
                        self.upstreams.changes.insert(spec.id.clone(), None);
                    }
                    self.findings.push(finding);
                }
            }
        }
    }

    fn upstream(&mut self, spec: &UpstreamSpec, kind: Kind, id: &Id) -> Result<Arc<Upstream>, Finding> {
        let owner = Owner { kind, id };
        self.findings.extend(idle::upstream(spec, owner));
        upstreams::compile(spec, owner, &self.rules, self.vault, &self.kit.upstreams, &self.kit.endpoints)
    }

    fn plugin_configs(&mut self, specs: &[Arc<PluginConfigSpec>], everything: bool) {
        let (removed, changed) = self.changed(&self.before.snapshot.plugin_configs, specs);
        let changed: Vec<_> = if everything { specs.iter().collect() } else { changed };
        for id in removed {
            self.plugin_configs.changes.insert(id, None);
        }
        let changed: HashSet<&Id> = changed.into_iter().map(|spec| &spec.id).collect();
        for spec in specs {
            let leans = |blocks: &Arc<Blocks>| blocks.leans_on(&|id| self.upstreams.touches(Some(id)));
            if !changed.contains(&spec.id) && !self.before.plugin_configs.get(&spec.id).is_some_and(leans) {
                continue;
            }
            let kept = self.before.plugin_configs.get(&spec.id).cloned();
            let blocks = self.blocks(Some(&spec.plugins), (Kind::PluginConfig, &spec.id), kept.as_deref());
            self.plugin_configs.changes.insert(spec.id.clone(), Some(blocks));
        }
    }

    fn services(&mut self, specs: &[Arc<ServiceSpec>], everything: bool) {
        let (removed, changed) = self.changed(&self.before.snapshot.services, specs);
        let changed: HashSet<&Id> = changed.into_iter().map(|spec| &spec.id).collect();
        for id in removed {
            self.services.changes.insert(id, None);
        }
        for spec in specs {
            let leans = |service: &Arc<Service>| service.blocks.leans_on(&|id| self.upstreams.touches(Some(id)));
            if everything
                || changed.contains(&spec.id)
                || self.upstreams.touches(spec.upstream_id.as_ref())
                || self.before.services.get(&spec.id).is_some_and(leans)
            {
                let kept = self.before.services.get(&spec.id).map(|service| Arc::clone(&service.blocks));
                let blocks = self.blocks(spec.plugins.as_ref(), (Kind::Service, &spec.id), kept.as_deref());
                let target =
                    self.target(spec.upstream_id.as_ref(), spec.upstream.as_deref(), (Kind::Service, &spec.id));
                let service = Service { spec: Arc::clone(spec), blocks, target };
                self.services.changes.insert(spec.id.clone(), Some(Arc::new(service)));
            }
        }
    }

    /// The upstream of a route or service: `upstream_id` beats `upstream` (model.md §7.1).
    fn target(
        &mut self,
        id: Option<&Id>,
        inline: Option<&UpstreamSpec>,
        (kind, owner): (Kind, &Id),
    ) -> Option<Result<Arc<Upstream>, Error>> {
        if let Some(id) = id {
            let found = self.upstreams.get(&self.before.upstreams, id);
            return Some(found.ok_or_else(|| unavailable(502, "upstream_missing")));
        }
        match self.upstream(inline?, kind, owner) {
            Ok(upstream) => Some(Ok(upstream)),
            Err(finding) => {
                self.findings.push(finding);
                Some(Err(unavailable(503, "upstream_invalid")))
            }
        }
    }

    /// What changes among the routes, or `None` when everything is better built anew.
    fn route_changes(&mut self, routes: &[Arc<RouteSpec>]) -> Option<Vec<Change>> {
        let (old, new) = difference(&self.before.snapshot.routes, routes);
        let mut changes = Vec::new();
        let fresh: HashSet<&Id> = routes.get(new.clone())?.iter().map(|spec| &spec.id).collect();
        for gone in self.before.snapshot.routes.get(old)? {
            if !fresh.contains(&gone.id) {
                changes.push(Change { id: gone.id.clone(), built: None });
            }
        }
        let mut order = self.free_orders(routes, &new)?;
        for spec in routes.get(new.clone())? {
            let number = order.next()?;
            let built = self.route(spec, number, &[]);
            changes.push(Change { id: spec.id.clone(), built });
        }
        // Routes that are the same themselves but lean on something that is not.
        let leaning = !self.upstreams.changes.is_empty()
            || !self.services.changes.is_empty()
            || !self.plugin_configs.changes.is_empty();
        if leaning {
            let outside = routes.iter().enumerate().filter(|(index, _)| !new.contains(index)).map(|(_, spec)| spec);
            for spec in outside {
                if self.upstreams.touches(spec.upstream_id.as_ref())
                    || self.services.touches(spec.service_id.as_ref())
                    || self.plugin_configs.touches(spec.plugin_config_id.as_ref())
                    || self.leans(&spec.id)
                {
                    let number = self.before.routes.get(&spec.id).map(|built| built.order);
                    if let Some(number) = number {
                        let built = self.route(spec, number, &[]);
                        changes.push(Change { id: spec.id.clone(), built });
                    }
                }
            }
            // Routes in code may name a resource of the configuration.
            for (position, code) in self.kit.code_routes.iter().enumerate() {
                if self.upstreams.touches(code.spec.upstream_id.as_ref())
                    || self.services.touches(code.spec.service_id.as_ref())
                    || self.plugin_configs.touches(code.spec.plugin_config_id.as_ref())
                    || self.leans(&code.spec.id)
                {
                    let built = self.route(&code.spec, position as u64 + 1, &code.layers);
                    changes.push(Change { id: code.spec.id.clone(), built });
                }
            }
        }
        Some(changes)
    }

    /// Whether a block of a route asked for an upstream that differs.
    fn leans(&self, route: &Id) -> bool {
        let built = self.before.routes.get(route);
        built.is_some_and(|built| built.blocks.leans_on(&|id| self.upstreams.touches(Some(id))))
    }

    /// Order numbers for the new routes at `range`, between those of their neighbours; `None` when there is no room.
    fn free_orders(
        &self,
        routes: &[Arc<RouteSpec>],
        range: &Range<usize>,
    ) -> Option<impl Iterator<Item = u64> + use<>> {
        let number = |spec: &Arc<RouteSpec>| self.order_of(&spec.id);
        // Disabled routes have no number: the next neighbour outwards that has one counts.
        let low = routes.get(..range.start)?.iter().rev().find_map(number).unwrap_or(FIRST);
        let count = range.len() as u64;
        let high = match routes.get(range.end..)?.iter().find_map(number) {
            Some(high) => high,
            None => low.checked_add(GAP.checked_mul(count + 1)?)?,
        };
        let step = high.checked_sub(low)? / (count + 1);
        (step > 0 || count == 0).then(|| (1..=count).map(move |index| low + step * index))
    }

    fn order_of(&self, id: &Id) -> Option<u64> {
        self.before.routes.get(id).map(|built| built.order)
    }

    /// Applies changes to the clone of the router.
    fn edit(&mut self, router: &mut Router<Arc<Route>>, changes: Vec<Change>) -> Applied {
        let mut applied = Vec::with_capacity(changes.len());
        for Change { id, built } in changes {
            router.remove(id.as_str());
            let built = match built {
                None => None,
                Some((built, rule)) => {
                    if let Err(error) = router.insert(rule) {
                        self.findings.extend(rule_faults(&error));
                    }
                    Some(built)
                }
            };
            applied.push((id, built));
        }
        applied
    }

    /// Builds every route.
    fn all_routes(&mut self, snapshot: &Snapshot) -> (Applied, Router<Arc<Route>>) {
        let mut table = Vec::with_capacity(snapshot.routes.len());
        let mut rules = Vec::with_capacity(snapshot.routes.len());
        let mut keep = |id: &Id, made: Option<(Built, Rule<Arc<Route>>)>| {
            if let Some((built, rule)) = made {
                table.push((id.clone(), Some(built)));
                rules.push(rule);
            }
        };
        for (position, code) in self.kit.code_routes.iter().enumerate() {
            let made = self.route(&code.spec, position as u64 + 1, &code.layers);
            keep(&code.spec.id, made);
        }
        for (position, spec) in snapshot.routes.iter().enumerate() {
            let made = self.route(spec, FIRST + GAP * (position as u64 + 1), &[]);
            keep(&spec.id, made);
        }
        let (mut router, faults) = Router::from_rules(self.rules.router, rules);
        self.findings.extend(faults.iter().flat_map(rule_faults));
        for (number, blocked) in snapshot.blocked.iter().enumerate() {
            for rule in self.blocked(number, blocked) {
                // A pattern that is itself the fault matches nothing.
                let _ = router.insert(rule);
            }
        }
        (table, router)
    }

    /// Compiles one route; `None` when it is disabled or faulty (then there is a finding).
    fn route(&mut self, spec: &RouteSpec, order: u64, layers: &[PluginLayer]) -> Option<(Built, Rule<Arc<Route>>)> {
        if spec.status == Status::Disabled {
            return None;
        }
        let service = match &spec.service_id {
            None => None,
            Some(id) => Some(self.services.get(&self.before.services, id)),
        };
        let plugin_config = match &spec.plugin_config_id {
            None => None,
            Some(id) => Some(self.plugin_configs.get(&self.before.plugin_configs, id)),
        };
        let kept = self.before.routes.get(&spec.id).map(|built| Arc::clone(&built.blocks));
        let blocks = self.blocks(spec.plugins.as_ref(), (Kind::Route, &spec.id), kept.as_deref());
        let own = self.target(spec.upstream_id.as_ref(), spec.upstream.as_deref(), (Kind::Route, &spec.id));
        let known_service = service.as_ref().and_then(|service| service.as_ref());
        let target = match (&service, &plugin_config) {
            (Some(None), _) => Err(unavailable(404, "service_missing")),
            (_, Some(None)) => Err(unavailable(503, "plugin_config_missing")),
            _ => own
                .or_else(|| known_service.and_then(|service| service.target.clone()))
                .unwrap_or_else(|| Err(unavailable(503, "upstream_undefined"))),
        };
        // A route whose plugins are not all known must not run with the rest of them.
        let broken = matches!(service, Some(None)) || matches!(plugin_config, Some(None));
        let mut chain = global_blocks(&self.globals);
        if !broken {
            let levels = [
                Some(&*blocks),
                plugin_config.as_ref().and_then(|config| config.as_deref()),
                known_service.map(|service| &*service.blocks),
            ];
            let own = Blocks::merge(levels.into_iter().flatten());
            chain.retain(|global| !global.yields || !own.iter().any(|block| block.place.name() == global.place.name()));
            chain.extend(own);
        }
        chain.extend(layers.iter().enumerate().map(|(written, layer)| Block {
            place: Place::code(written),
            layer: layer.clone(),
            yields: false,
        }));
        let websocket = spec
            .enable_websocket
            .or_else(|| known_service.and_then(|service| service.spec.enable_websocket))
            .unwrap_or(false);
        let chain = if broken { Chain::straight(chain) } else { Chain::new(chain) };
        let describes = !chain.is_empty() || target.as_ref().is_ok_and(|upstream| upstream.calls_services());
        let forward = Forward { target, timeouts: spec.timeout.as_ref().map(upstreams::timeouts), websocket };
        let route = Route {
            info: Arc::new(RouteInfo {
                id: spec.id.to_shared(),
                name: spec.name.as_deref().map(Arc::from),
                service: known_service
                    .map(|service| (service.spec.id.to_shared(), service.spec.name.as_deref().map(Arc::from))),
            }),
            describes,
            chain,
            forward: Arc::new(forward),
            encoded_slash: spec.encoded_slash,
        };
        let inherited = known_service.map_or(&[][..], |service| &service.spec.hosts);
        let rule = self.rule(spec, inherited, order, Arc::new(route))?;
        Some((Built { blocks, order }, rule))
    }

    /// The match part of a route.
    fn rule(
        &mut self,
        spec: &RouteSpec,
        inherited: &[crate::model::Host],
        order: u64,
        value: Arc<Route>,
    ) -> Option<Rule<Arc<Route>>> {
        let mut fault = |field: &str, message: String, mend: &str| {
            self.findings.push(Finding::error(Kind::Route, Some(spec.id.clone()), field, message).with_mend(mend));
        };
        let vars = match spec.vars.as_ref().map(Expr::compile) {
            None => None,
            Some(Ok(expr)) => Some(expr),
            Some(Err(error)) => {
                fault("vars", error.to_string(), "write an array of [variable, operator, value]");
                return None;
            }
        };
        let predicate = match &spec.filter_func {
            None => None,
            Some(name) => match self.kit.predicates.get(name) {
                Some(predicate) => Some(predicate.clone()),
                None => {
                    fault(
                        "filter_func",
                        format!("no predicate `{name}` is registered"),
                        "register it in code with `GatewayBuilder::predicate`",
                    );
                    return None;
                }
            },
        };
        if let Some(expr) = &vars {
            let (custom, owner) = (&self.kit.custom_vars, (Kind::Route, &spec.id));
            self.findings.extend(idle::variables(expr, custom, Asked::Routing, owner, "vars"));
        }
        let mut hosts: Vec<Arc<str>> = spec.own_hosts().map(|host| host.to_shared()).collect();
        if hosts.is_empty() {
            hosts = inherited.iter().map(|host| host.to_shared()).collect();
        }
        Some(Rule {
            id: spec.id.to_shared(),
            order,
            uris: spec.uri.iter().chain(&spec.uris).cloned().collect(),
            hosts,
            methods: spec.methods.iter().map(|method| token(*method)).collect(),
            remote_addrs: spec.clients().map(|client| client.network()).collect(),
            vars,
            predicate,
            priority: spec.priority,
            value,
        })
    }

    /// A left-out route keeps matching and answers 503, so that nothing falls through to a broader one (CFG-02). One
    /// rule for each pair of path and host, as any of them may be at fault. `number` tells left-out routes apart, whose
    /// ids may be those of others.
    fn blocked(&self, number: usize, blocked: &Blocked) -> Vec<Rule<Arc<Route>>> {
        let MatchPart { hosts, uris, methods, service_id, remote_addrs, vars, filter_func, priority } =
            &blocked.match_part;
        let service = service_id.as_ref().and_then(|id| self.services.get(&self.before.services, id));
        let hosts =
            if hosts.is_empty() { service.as_ref().map_or(&[][..], |service| &service.spec.hosts) } else { hosts };
        // Its place in the document, without those that were left out before it: where the others are counted from.
        let number = number as u64;
        let position = (blocked.index.unwrap_or(0) as u64).saturating_sub(number);
        let id: Arc<str> = match &blocked.id {
            Some(id) => id.to_shared(),
            None => format!("arr_{}", blocked.index.unwrap_or(0) + 1).into(),
        };
        let chain = Chain::straight(global_blocks(&self.globals));
        let route = Arc::new(Route {
            info: Arc::new(RouteInfo { id: Arc::clone(&id), name: None, service: None }),
            describes: !chain.is_empty(),
            chain,
            forward: Arc::new(Forward {
                target: Err(unavailable(503, "route_invalid")),
                timeouts: None,
                websocket: false,
            }),
            encoded_slash: None,
        });
        let hosts: Vec<_> = match hosts {
            [] => vec![None],
            hosts => hosts.iter().map(Some).collect(),
        };
        let pairs = uris.iter().flat_map(|uri| hosts.iter().map(move |host| (uri, *host)));
        pairs
            .enumerate()
            .map(|(pair, (uri, host))| Rule {
                id: format!("{id} (left out {number}.{pair})").into(),
                order: FIRST + GAP * (position + 1) - GAP / 2 + number,
                uris: vec![Arc::clone(uri)],
                hosts: host.iter().map(|host| host.to_shared()).collect(),
                methods: methods.iter().map(|method| token(*method)).collect(),
                remote_addrs: remote_addrs.iter().map(|client| client.network()).collect(),
                // What cannot be compiled does not narrow the match: it fails closed.
                vars: vars.as_ref().and_then(|vars| Expr::compile(vars).ok()),
                predicate: filter_func.as_ref().and_then(|name| self.kit.predicates.get(name).cloned()),
                priority: *priority,
                value: Arc::clone(&route),
            })
            .collect()
    }

    /// Ids that are gone, and items that are new or differ.
    fn changed<'s, T: Resource>(&self, old: &[Arc<T>], new: &'s [Arc<T>]) -> (Vec<Id>, Vec<&'s Arc<T>>) {
        changed(self.before.revision == 0, old, new)
    }
}

/// Ids that are gone, and items that are new or differ; with `everything`, all that there are now.
pub(super) fn changed<'s, T: Resource>(
    everything: bool,
    old: &[Arc<T>],
    new: &'s [Arc<T>],
) -> (Vec<Id>, Vec<&'s Arc<T>>) {
    let (old_range, new_range) = if everything { (0..old.len(), 0..new.len()) } else { difference(old, new) };
    let (old, new) = (old.get(old_range).unwrap_or(&[]), new.get(new_range).unwrap_or(&[]));
    let was: HashMap<&Id, &Arc<T>> = old.iter().map(|item| (item.id(), item)).collect();
    let ids: HashSet<&Id> = new.iter().map(|item| item.id()).collect();
    let gone = old.iter().map(|item| item.id()).filter(|id| !ids.contains(id)).cloned().collect();
    let differs = |item: &&Arc<T>| everything || was.get(item.id()).is_none_or(|was| !same(was, item));
    (gone, new.iter().filter(differs).collect())
}

/// The plugins that a snapshot enables; `None` for all.
fn enabled(snapshot: &Snapshot) -> Option<HashSet<String>> {
    let listed = snapshot.plugins.as_ref()?.iter().filter(|plugin| !plugin.stream);
    Some(listed.map(|plugin| plugin.name.as_str().to_owned()).collect())
}

/// The blocks that every request passes.
fn global_blocks(globals: &[Global]) -> Vec<Block> {
    globals.iter().flat_map(|global| Blocks::merge([&*global.blocks])).collect()
}

fn unavailable(status: u16, reason: &'static str) -> Error {
    Error::Configuration {
        status: http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE),
        reason,
    }
}

/// The findings of a match part that the router refused.
fn rule_faults(error: &RuleError) -> impl Iterator<Item = Finding> {
    let id = Id::from(&*error.id);
    error.faults.iter().map(move |fault| {
        let text = fault.to_string();
        let (field, message) = text.split_once(": ").unwrap_or(("", &text));
        Finding::error(Kind::Route, Some(id.clone()), field, message)
    })
}

/// The method as requests carry it.
fn token(method: crate::model::Method) -> http::Method {
    http::Method::from_bytes(method.as_str().as_bytes()).unwrap_or_default()
}

pub(super) fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// The parts of two lists between their common beginning and their common end.
pub(super) fn difference<T: PartialEq>(old: &[Arc<T>], new: &[Arc<T>]) -> (Range<usize>, Range<usize>) {
    // Most lists of most changes are the very same one: a million consumers beside a route that changes.
    if std::ptr::eq(old, new) {
        return (old.len()..old.len(), new.len()..new.len());
    }
    let begin = old.iter().zip(new).take_while(|(old, new)| same(old, new)).count();
    let rest = old.len().min(new.len()) - begin;
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| same(old, new)).count();
    (begin..old.len() - end, begin..new.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[u32]) -> Vec<Arc<u32>> {
        items.iter().copied().map(Arc::new).collect()
    }

    #[test]
    fn differences_are_found_between_common_ends() {
        for (old, new, left, right) in [
            (&[1, 2, 3][..], &[1, 2, 3][..], 3..3, 3..3),
            (&[1, 2, 3], &[1, 9, 3], 1..2, 1..2),
            (&[1, 3], &[1, 2, 3], 1..1, 1..2),
            (&[1, 2, 3], &[1, 3], 1..2, 1..1),
            (&[1, 1], &[1], 1..2, 1..1),
            (&[], &[1], 0..0, 0..1),
        ] {
            assert_eq!(difference(&list(old), &list(new)), (left, right), "{old:?} {new:?}");
        }
    }
}
