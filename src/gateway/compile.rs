//! The compiler: what differs from the state before is built, everything else is taken over.
//!
//! An item is the same when its `Arc` is, else when its content is. The state before stays untouched; what was built is
//! committed to it in one step, or dropped.
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::blocks::{Blocks, Toolbox, field_left_out};
use super::callers;
use super::chain::Block;
use super::difference::{Tables, changed, difference, same};
use super::handle::add_new;
use super::items::{IdChanges, Judge};
use super::live::Live;
use super::master::{Global, Kit, Service, State};
use super::protos;
use super::route::Route;
use super::route_table::Applied;
use super::secrets::{Answers, Secrets};
use super::settings::Rules;
use super::tls::Vault;
use super::unknown_fields;
use super::upstreams::{self, Owner};
use super::workshop::{Bench, Metadata};
use super::{ApplyError, idle, lax};
use crate::error::Error;
use crate::model::{
    Finding, GlobalPlugins, GlobalRuleSpec, Id, Kind, Places, PluginConfigSpec, PluginMap, PluginMetadataSpec,
    Resource, ServiceSpec, Settings, Snapshot, SslSpec, SslType, UpstreamSpec, duplicate,
};
use crate::plugin::ConfigError;
use crate::plugin::bodies::Bodies;
use crate::request::Environment;
use crate::router::Router;
use crate::upstream::Upstream;

/// A configuration that was compiled, and is not in force yet.
pub(super) struct Prepared {
    snapshot: Snapshot,
    /// Whether all routes were built anew.
    everything: bool,
    /// What there is to say of what was compiled.
    pub(super) fresh: Vec<Finding>,
    rules: Arc<Rules>,
    globals: Arc<Vec<Global>>,
    metadata: Arc<Metadata>,
    protos: protos::Changes,
    upstreams: Tables<Arc<Upstream>>,
    services: Tables<Arc<Service>>,
    plugin_configs: Tables<Arc<Blocks>>,
    routes: Applied,
    router: Router<Arc<Route>>,
    callers: callers::Changes,
    #[cfg(feature = "tls")]
    certificates: super::certificates::TableChanges,
    ids: IdChanges,
    secrets: Answers,
    warnings: Vec<Finding>,
    compile_warnings: Vec<Finding>,
    /// Whether the identity fields may be others.
    other_fields: bool,
}

impl Prepared {
    /// Makes it the state to compare the next one with: the one that it was compiled against, unchanged since.
    pub(super) fn commit(self, kit: &Kit, state: &mut State) -> Arc<Live> {
        self.protos.commit(&mut state.protos);
        self.upstreams.commit(&mut state.upstreams);
        self.services.commit(&mut state.services);
        self.plugin_configs.commit(&mut state.plugin_configs);
        if self.everything {
            state.routes.clear();
            state.secrets.clear();
        }
        for (id, built) in self.routes {
            match built {
                Some(built) => state.routes.insert(id, built),
                None => state.routes.remove(&id),
            };
        }
        state.ids.commit(self.ids);
        #[cfg(feature = "tls")]
        self.certificates.commit(&state.certificates, &mut state.answered);
        // What the next one is compared with needs no text.
        state.snapshot = Snapshot { places: Places::default(), ..self.snapshot };
        state.rules = self.rules;
        state.metadata = self.metadata;
        state.callers.commit(self.callers);
        state.secrets.extend(self.secrets);
        state.globals = self.globals;
        state.router = self.router;
        state.warnings = self.warnings;
        state.compile_warnings = self.compile_warnings;
        state.revision += 1;
        if self.other_fields {
            state.identity_fields = state.named_identity_fields();
        }
        let environment = Arc::new(Environment {
            custom_vars: Arc::clone(&kit.custom_vars),
            consumers: Arc::clone(state.callers.consumers()),
        });
        let live = Live::new(
            state.revision,
            state.router.clone(),
            Arc::clone(&state.rules),
            global_blocks(&state.globals),
            environment,
            Arc::clone(&state.identity_fields),
            #[cfg(feature = "tls")]
            state.certificates.edition(),
        );
        Arc::new(live)
    }
}

/// One run of the compiler.
pub(super) struct Compile<'a> {
    pub(super) kit: &'a Kit,
    pub(super) before: &'a State,
    pub(super) findings: Vec<Finding>,
    pub(super) rules: Arc<Rules>,
    pub(super) settings: Arc<Settings>,
    pub(super) globals: Arc<Vec<Global>>,
    pub(super) metadata: Arc<Metadata>,
    pub(super) secrets: &'a Secrets<'a>,
    pub(super) vault: &'a Vault<'a>,
    /// Whether a block that was built names identity fields.
    pub(super) names_fields: Cell<bool>,
    /// The plugins that are enabled; `None` for all.
    pub(super) enabled: Option<HashSet<String>>,
    /// Plugins whose metadata or attributes differ.
    pub(super) told_anew: HashSet<String>,
    /// Plugins of the outer stages that a consumer may have a block of.
    pub(super) outer: BTreeSet<String>,
    pub(super) protos: protos::Changes,
    pub(super) upstreams: Tables<Arc<Upstream>>,
    pub(super) services: Tables<Arc<Service>>,
    pub(super) plugin_configs: Tables<Arc<Blocks>>,
}

impl<'a> Compile<'a> {
    /// Compiles what differs from `before`, which stays as it is.
    ///
    /// # Errors
    /// Every fault, and the warnings that came with them.
    pub(super) fn run(kit: &'a Kit, before: &'a State, snapshot: Snapshot) -> Result<Prepared, ApplyError> {
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
            protos: protos::Changes::default(),
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
        let definitions = (&*before.snapshot.protos, &*snapshot.protos);
        compile.protos =
            protos::Changes::compile(&before.protos, definitions, before.revision == 0, &mut compile.findings);
        let enabled_before = if before.revision == 0 { &compile.enabled } else { &enabled(&before.snapshot) };
        everything |= *enabled_before != compile.enabled;
        compile.metadata(&snapshot.plugin_metadata);
        everything |= !compile.told_anew.is_empty();
        everything |= compile.globals(&snapshot.global_rules);
        let callers = compile.callers(&snapshot, everything);
        everything |= !compile.told_anew.is_empty();
        compile.plugin_configs(&snapshot.plugin_configs, everything);
        compile.services(&snapshot.services, everything);
        everything |= !before.snapshot.blocked_of(Kind::Route).eq(snapshot.blocked_of(Kind::Route));
        #[cfg(feature = "tls")]
        let certificates = compile.certificates(&snapshot, everything);
        // Left-out routes are in no table: they stand among the others by counting, and may have a service's hosts.
        everything |= snapshot.blocked_of(Kind::Route).next().is_some()
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
        let Compile { findings, rules, globals, metadata, protos, upstreams, services, plugin_configs, .. } = compile;
        let is_current = |warning: &&Finding| match warning.kind {
            #[cfg(feature = "tls")]
            Kind::Settings => !other_settings && warning.message != idle::NOTHING_TO_SHOW,
            #[cfg(not(feature = "tls"))]
            Kind::Settings => !other_settings,
            _ => ids.is_current(warning),
        };
        let fresh = findings.clone();
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
                #[cfg(feature = "tls")]
                Kind::Ssl => certificates.touches(id),
                kind => callers.compiled(kind, id),
            }
        };
        let is_said = |warning: &&Finding| is_current(warning) && !is_compiled(warning);
        let mut compile_warnings = before.compile_warnings.iter().filter(is_said).cloned().collect();
        add_new(&mut compile_warnings, of_compiling);
        // Of a million consumers, one that changes has most often nothing to do with it.
        let touched = !changes.is_empty()
            || !services.is_empty()
            || !plugin_configs.is_empty()
            || everything
            || callers.touch_identity_fields();
        let other_fields = names_fields || (touched && !before.identity_fields.is_empty());
        Ok(Prepared {
            snapshot,
            everything,
            fresh,
            rules,
            globals,
            metadata,
            protos,
            upstreams,
            services,
            plugin_configs,
            routes: changes,
            router,
            callers,
            #[cfg(feature = "tls")]
            certificates,
            ids,
            secrets: secrets.into_answers(),
            warnings,
            compile_warnings,
            other_fields,
        })
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
        #[cfg(not(feature = "tls"))]
        {
            let (_, ssls) = self.changed(&self.before.snapshot.ssls, &snapshot.ssls);
            self.findings.extend(ssls.into_iter().filter_map(|ssl| idle::ssl(ssl)));
        }
        #[cfg(feature = "tls")]
        self.findings.extend(idle::listeners(snapshot));
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
            if self.before.snapshot.settings.cache_zones != settings.cache_zones {
                self.told_anew.extend(["proxy-cache", "graphql-proxy-cache"].map(Into::into));
            }
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
            protos: &self.protos,
            #[cfg(feature = "grpc-transcode")]
            protos_before: &self.before.protos,
            upstreams: &self.upstreams,
            upstreams_before: &self.before.upstreams,
            secrets: self.secrets,
            vault: self.vault,
            custom_vars: &self.kit.custom_vars,
            names_fields: &self.names_fields,
            asked: RefCell::default(),
            doubts: RefCell::default(),
            room: &self.kit.room,
            entrance: &self.kit.entrance,
            took_limits: Cell::default(),
            took_registry: Cell::default(),
            other_limits: (self.rules.answers, self.rules.replay_bytes, self.rules.checks)
                != (self.before.rules.answers, self.before.rules.replay_bytes, self.before.rules.checks)
                || Bodies::limits(&self.settings.limits) != Bodies::limits(&self.before.snapshot.settings.limits),
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

    pub(super) fn blocks(
        &mut self,
        plugins: Option<&PluginMap>,
        owner: (Kind, &Id),
        before: Option<&Blocks>,
    ) -> Arc<Blocks> {
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
        let leans = |global: &Global| global.blocks.leans_on(&|kind, id| self.touches(kind, id));
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
            let leans = |blocks: &Arc<Blocks>| blocks.leans_on(&|kind, id| self.touches(kind, id));
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
            let leans = |service: &Arc<Service>| service.blocks.leans_on(&|kind, id| self.touches(kind, id));
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
    pub(super) fn target(
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

    /// Whether an item that a block may ask for differs from before.
    pub(super) fn touches(&self, kind: Kind, id: &Id) -> bool {
        touches(&self.protos, &self.upstreams, kind, id)
    }

    /// Ids that are gone, and items that are new or differ.
    fn changed<'s, T: Resource>(&self, old: &[Arc<T>], new: &'s [Arc<T>]) -> (Vec<Id>, Vec<&'s Arc<T>>) {
        changed(self.before.revision == 0, old, new)
    }
}

/// Whether an item that a block may ask for differs from before.
pub(super) fn touches(protos: &protos::Changes, upstreams: &Tables<Arc<Upstream>>, kind: Kind, id: &Id) -> bool {
    if kind == Kind::Proto { protos.touches(id) } else { upstreams.touches(Some(id)) }
}

/// The plugins that a snapshot enables; `None` for all.
fn enabled(snapshot: &Snapshot) -> Option<HashSet<String>> {
    let listed = snapshot.plugins.as_ref()?.iter().filter(|plugin| !plugin.stream);
    Some(listed.map(|plugin| plugin.name.as_str().to_owned()).collect())
}

/// The blocks that every request passes.
pub(super) fn global_blocks(globals: &[Global]) -> Vec<Block> {
    globals.iter().flat_map(|global| Blocks::merge([&*global.blocks])).collect()
}
pub(super) fn unavailable(status: u16, reason: &'static str) -> Error {
    Error::Configuration {
        status: http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE),
        reason,
    }
}
