//! Consumers, their credentials and groups, compiled: who is found by what, and which blocks he brings along.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use http::HeaderName;
use serde_json::{Map, Value};

use super::blocks::{Blocks, Toolbox, config_fault, field_left_out, secret_missing};
use super::difference::changed;
use super::fork::Overlay;
use super::secrets::veil;
use super::unknown_fields;
use crate::model::{ConsumerGroupSpec, ConsumerSpec, CredentialSpec, Finding, Id, Kind, PluginMap, Severity, Snapshot};
use crate::plugin::{ConfigError, Meta, Stage};
use crate::request::{Consumer, Consumers, ConsumersBuilder, Credential, Digest, Overlaid};

/// Everything compiled so far.
#[derive(Default)]
pub(super) struct Callers {
    consumers: Arc<Consumers>,
    people: HashMap<Id, Person>,
    /// What credential objects are found by.
    credentials: HashMap<Id, Box<[Digest]>>,
    groups: HashMap<Id, Group>,
    slots: Slots,
    outer: Counts,
    early: Early,
    /// Identity fields by how many sets of blocks name them.
    fields: HashMap<HeaderName, usize>,
}

struct Person {
    consumer: Consumer,
    name: Digest,
    credentials: Box<[Digest]>,
    /// Blocks of its own, if there are any.
    own: Option<(Arc<Blocks>, u32)>,
}

struct Group {
    blocks: Arc<Blocks>,
    overlaid: Overlaid,
}

/// How many sets of blocks have a plugin.
type Counts = BTreeMap<String, usize>;

/// Consumers and groups by the plugins that they have a block of which acts before a caller is known, and its stage: a route's block
/// there would keep theirs from running.
type Early = BTreeMap<EarlyBlock, BTreeSet<(Kind, Id)>>;

/// A plugin and the stage of a block of it.
type EarlyBlock = (String, Stage);

/// Numbers of sets of blocks, each free again when its set is gone.
#[derive(Clone, Default)]
struct Slots {
    next: u32,
    free: Vec<u32>,
}

impl Slots {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next = self.next.saturating_add(1);
            self.next - 1
        })
    }
}

fn overlaid(slot: u32, overlay: Overlay) -> Overlaid {
    Overlaid { slot, blocks: Arc::new(overlay) }
}

/// What differs from before, until everything else is known to be well.
pub(super) struct Changes {
    consumers: Option<Arc<Consumers>>,
    people: HashMap<Id, Option<Person>>,
    credentials: HashMap<Id, Option<Box<[Digest]>>>,
    groups: HashMap<Id, Option<Group>>,
    slots: Slots,
    outer: Counts,
    /// Early blocks that come, or go, in order.
    early: Vec<(EarlyBlock, (Kind, Id), bool)>,
    /// Identity fields that come, or go, in order.
    fields: Vec<(HeaderName, bool)>,
}

impl Callers {
    pub(super) fn consumers(&self) -> &Arc<Consumers> {
        &self.consumers
    }

    /// What a consumer brings along: its own blocks, and its group's; `Err` if it names a group that does not exist.
    pub(super) fn blocks_of(&self, consumer: &ConsumerSpec) -> (Option<&Blocks>, Result<Option<&Blocks>, ()>) {
        let own = self.people.get(&consumer.username).and_then(|person| person.own.as_ref());
        let group = consumer.group_id.as_ref().map(|id| self.groups.get(id).map(|group| &*group.blocks).ok_or(()));
        (own.map(|(blocks, _)| &**blocks), group.transpose())
    }

    /// Fields by which blocks of somebody tell upstreams who calls.
    pub(super) fn identity_fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields.keys()
    }

    /// Plugins of the outer stages that somebody has a block of.
    pub(super) fn outer(&self) -> BTreeSet<String> {
        self.outer.keys().cloned().collect()
    }

    pub(super) fn commit(&mut self, changes: Changes) {
        let Changes { consumers, people, credentials, groups, slots, outer, early, fields } = changes;
        if let Some(consumers) = consumers {
            self.consumers = consumers;
        }
        merge(&mut self.people, people);
        merge(&mut self.credentials, credentials);
        merge(&mut self.groups, groups);
        self.slots = slots;
        self.outer = outer;
        for (block, owner, comes) in early {
            let owners = self.early.entry(block).or_default();
            if comes {
                owners.insert(owner);
            } else {
                owners.remove(&owner);
            }
        }
        self.early.retain(|_, owners| !owners.is_empty());
        for (field, comes) in fields {
            let count = self.fields.entry(field).or_default();
            *count = if comes { *count + 1 } else { count.saturating_sub(1) };
        }
        self.fields.retain(|_, count| *count > 0);
    }

    /// Blocks that do not run where a route has one of the same plugin and stage, each with an example: what runs before the caller
    /// is known stays the route's (plugins/index.md, "From phases to stages"). Found anew for each configuration, since what
    /// comes and goes on routes matters as much as what does on consumers. `stage_of` tells where a resource's block of a plugin
    /// stands.
    pub(super) fn shadowed(
        &self,
        snapshot: &Snapshot,
        stage_of: impl Fn(Kind, &Id, &str) -> Option<Stage>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((plugin, stage), owners) in &self.early {
            let has = |plugins: Option<&PluginMap>, kind: Kind, id: &Id| {
                let is_there = plugins.is_some_and(|plugins| plugins.get(plugin).is_some());
                is_there && stage_of(kind, id, plugin) == Some(*stage)
            };
            let route = snapshot.routes.iter().find(|one| has(one.plugins.as_ref(), Kind::Route, &one.id));
            let route = route.map(|one| ("route", &one.id));
            let service = || {
                let found = snapshot.services.iter().find(|one| has(one.plugins.as_ref(), Kind::Service, &one.id));
                found.map(|one| ("service", &one.id))
            };
            let shared = || {
                let mut all = snapshot.plugin_configs.iter();
                let found = all.find(|one| has(Some(&one.plugins), Kind::PluginConfig, &one.id));
                found.map(|one| ("plugin config", &one.id))
            };
            let Some((what, other)) = route.or_else(service).or_else(shared) else { continue };
            findings.extend(owners.iter().map(|(kind, id)| {
                let message = format!(
                    "does not run on routes that have `{plugin}`, such as by {what} `{other}`: it acts before the caller is \
                     known"
                );
                Finding::warning(*kind, Some(id.clone()), format!("plugins.{plugin}"), message)
                    .with_mend("remove one of the two")
            }));
        }
        findings
    }
}

fn merge<T>(table: &mut HashMap<Id, T>, changes: HashMap<Id, Option<T>>) {
    for (id, change) in changes {
        match change {
            Some(value) => table.insert(id, value),
            None => table.remove(&id),
        };
    }
}

impl Changes {
    /// As [`Callers::outer`], with the changes.
    pub(super) fn outer(&self) -> BTreeSet<String> {
        self.outer.keys().cloned().collect()
    }

    /// Whether blocks came or went that name identity fields.
    pub(super) fn touch_identity_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Whether an item was compiled anew, so that everything that there is to say of it was said again.
    pub(super) fn compiled(&self, kind: Kind, id: &Id) -> bool {
        match kind {
            Kind::Consumer => self.people.contains_key(id),
            Kind::Credential => self.credentials.contains_key(id),
            Kind::ConsumerGroup => self.groups.contains_key(id),
            _ => false,
        }
    }
}

/// Compiles what differs between two snapshots; with `everything`, all.
pub(super) fn compile(
    before: &Callers,
    (old, new): (&Snapshot, &Snapshot),
    everything: bool,
    tools: &Toolbox<'_>,
    findings: &mut Vec<Finding>,
) -> Changes {
    let changes = Changes {
        consumers: None,
        people: HashMap::new(),
        credentials: HashMap::new(),
        groups: HashMap::new(),
        slots: before.slots.clone(),
        outer: before.outer.clone(),
        early: Vec::new(),
        fields: Vec::new(),
    };
    let mut run = Run { before, tools, findings, changes };
    run.groups(&old.consumer_groups, &new.consumer_groups, everything);
    let (gone, people) = run.people_to_build(&old.consumers, &new.consumers, everything);
    let (gone_credentials, credentials) = run.credentials_to_build(old, new, everything, &gone, &people);
    let idle = gone.is_empty() && people.is_empty() && gone_credentials.is_empty() && credentials.is_empty();
    if !idle {
        run.build((&gone, &people), (&gone_credentials, &credentials));
    }
    run.changes
}

struct Run<'a> {
    before: &'a Callers,
    tools: &'a Toolbox<'a>,
    findings: &'a mut Vec<Finding>,
    changes: Changes,
}

impl Run<'_> {
    /// Whether blocks lean on an item that differs from before.
    fn leans(&self, blocks: &Blocks) -> bool {
        let bench = &self.tools.bench;
        let differs = !bench.upstreams.is_empty() || !bench.protos.is_empty();
        differs && blocks.leans_on(&|kind, id| bench.touches(kind, id))
    }

    fn groups(&mut self, old: &[Arc<ConsumerGroupSpec>], new: &[Arc<ConsumerGroupSpec>], everything: bool) {
        let (gone, differing) = changed(everything, old, new);
        for id in gone {
            if let Some(group) = self.before.groups.get(&id) {
                self.count((Kind::ConsumerGroup, &id), &group.blocks, false);
                self.changes.slots.free.push(group.overlaid.slot);
            }
            self.changes.groups.insert(id, None);
        }
        let differing: HashSet<&Id> = differing.into_iter().map(|spec| &spec.id).collect();
        for spec in new {
            let known = self.before.groups.get(&spec.id);
            if !differing.contains(&spec.id) && !known.is_some_and(|group| self.leans(&group.blocks)) {
                continue;
            }
            let owner = (Kind::ConsumerGroup, &spec.id);
            let kept = known.map(|group| Arc::clone(&group.blocks));
            let blocks = self.blocks(&spec.plugins, owner, kept.as_deref());
            if let Some(kept) = kept {
                self.count(owner, &kept, false);
            }
            self.count(owner, &blocks, true);
            let slot = known.map_or_else(|| self.changes.slots.take(), |group| group.overlaid.slot);
            let overlay = Overlay::Blocks(overlay([&*blocks]));
            let overlaid = overlaid(slot, overlay);
            self.changes.groups.insert(spec.id.clone(), Some(Group { blocks, overlaid }));
        }
    }

    /// Names that are gone, and consumers to be built: those that differ, and those whose group or upstream does.
    fn people_to_build<'s>(
        &self,
        old: &[Arc<ConsumerSpec>],
        new: &'s [Arc<ConsumerSpec>],
        everything: bool,
    ) -> (Vec<Id>, Vec<&'s Arc<ConsumerSpec>>) {
        let (gone, differing) = changed(everything, old, new);
        if self.changes.groups.is_empty() && self.tools.bench.upstreams.is_empty() {
            return (gone, differing);
        }
        let differing: HashSet<&Id> = differing.into_iter().map(|spec| &spec.username).collect();
        let leans = |spec: &&Arc<ConsumerSpec>| {
            let own = self.before.people.get(&spec.username).and_then(|person| person.own.as_ref());
            differing.contains(&spec.username)
                || spec.group_id.as_ref().is_some_and(|group| self.changes.groups.contains_key(group))
                || own.is_some_and(|(blocks, _)| self.leans(blocks))
        };
        (gone, new.iter().filter(leans).collect())
    }

    /// Ids that are gone, and credential objects to be built: those that differ, and those whose consumer does.
    fn credentials_to_build<'s>(
        &self,
        old: &Snapshot,
        new: &'s Snapshot,
        everything: bool,
        gone_people: &[Id],
        people: &[&Arc<ConsumerSpec>],
    ) -> (Vec<Id>, Vec<&'s Arc<CredentialSpec>>) {
        let (gone, differing) = changed(everything, &old.credentials, &new.credentials);
        if gone_people.is_empty() && people.is_empty() {
            return (gone, differing);
        }
        let differing: HashSet<&Id> = differing.into_iter().map(|spec| &spec.id).collect();
        let touched: HashSet<&str> =
            gone_people.iter().map(Id::as_str).chain(people.iter().map(|spec| spec.username.as_str())).collect();
        let leans = |spec: &&Arc<CredentialSpec>| {
            differing.contains(&spec.id) || spec.consumer().is_some_and(|consumer| touched.contains(consumer))
        };
        (gone, new.credentials.iter().filter(leans).collect())
    }

    fn build(
        &mut self,
        (gone, people): (&[Id], &[&Arc<ConsumerSpec>]),
        (gone_credentials, credentials): (&[Id], &[&Arc<CredentialSpec>]),
    ) {
        let mut set = self.before.consumers.edit();
        // Everything that is to change comes out first, so that what moves from one to another is no duplicate.
        for id in gone.iter().chain(people.iter().map(|spec| &spec.username)) {
            if let Some(person) = self.before.people.get(id) {
                set.remove(person.name);
                person.credentials.iter().for_each(|digest| set.remove_credential(*digest));
            }
        }
        for id in gone_credentials.iter().chain(credentials.iter().map(|spec| &spec.id)) {
            for digest in self.before.credentials.get(id).into_iter().flatten() {
                set.remove_credential(*digest);
            }
        }
        for id in gone {
            if let Some((blocks, slot)) = self.before.people.get(id).and_then(|person| person.own.as_ref()) {
                self.count((Kind::Consumer, id), blocks, false);
                self.changes.slots.free.push(*slot);
            }
            self.changes.people.insert(id.clone(), None);
        }
        for id in gone_credentials {
            self.changes.credentials.insert(id.clone(), None);
        }
        for spec in people {
            let person = self.person(spec, &mut set);
            self.changes.people.insert(spec.username.clone(), Some(person));
        }
        for spec in credentials {
            let digests = self.credential_object(spec, &mut set);
            self.changes.credentials.insert(spec.id.clone(), Some(digests));
        }
        self.changes.consumers = Some(Arc::new(set.build()));
    }

    fn person(&mut self, spec: &ConsumerSpec, set: &mut ConsumersBuilder) -> Person {
        let registry = self.tools.bench.registry;
        let is_auth = |name: &str| registry.get(name).is_some_and(|entry| entry.is_auth());
        let known = self.before.people.get(&spec.username).and_then(|person| person.own.as_ref());
        let owner = (Kind::Consumer, &spec.username);
        if let Some((blocks, _)) = known {
            self.count(owner, blocks, false);
        }
        let mut own = None;
        if let Some(plugins) = &spec.plugins
            && plugins.iter().any(|(name, _)| !is_auth(name))
        {
            let blocks = self.blocks(plugins, owner, known.map(|(blocks, _)| &**blocks));
            self.count(owner, &blocks, true);
            let slot = known.map_or_else(|| self.changes.slots.take(), |(_, slot)| *slot);
            own = Some((blocks, slot));
        } else if let Some((_, slot)) = known {
            self.changes.slots.free.push(*slot);
        }
        let consumer = Consumer::with_overlay(spec, self.overlaid(spec, own.as_ref()));
        let name = set.insert(&consumer);
        let mut credentials = Vec::new();
        for (plugin, block) in spec.plugins.iter().flat_map(PluginMap::iter).filter(|(name, _)| is_auth(name)) {
            credentials.extend(self.credential(plugin, block, owner, &consumer, set));
        }
        Person { consumer, name, credentials: credentials.into_boxed_slice(), own }
    }

    /// The blocks that a consumer brings along: its own before its group's.
    fn overlaid(&self, spec: &ConsumerSpec, own: Option<&(Arc<Blocks>, u32)>) -> Option<Overlaid> {
        let group = spec.group_id.as_ref().map(|id| match self.changes.groups.get(id) {
            Some(change) => change.as_ref(),
            None => self.before.groups.get(id),
        });
        if let Some(None) = group {
            // Above every slot: it is wired for each request, which is one answer.
            return Some(overlaid(u32::MAX, Overlay::GroupMissing));
        }
        let group = group.flatten();
        match own {
            None => group.map(|group| group.overlaid.clone()),
            Some((blocks, slot)) => {
                let blocks = overlay([&**blocks].into_iter().chain(group.map(|group| &*group.blocks)));
                Some(overlaid(*slot, Overlay::Blocks(blocks)))
            }
        }
    }

    fn credential_object(&mut self, spec: &CredentialSpec, set: &mut ConsumersBuilder) -> Box<[Digest]> {
        let owner = (Kind::Credential, &spec.id);
        let parent = spec.consumer().map(Id::from);
        let parent = parent.as_ref().and_then(|id| match self.changes.people.get(id) {
            Some(change) => change.as_ref(),
            None => self.before.people.get(id),
        });
        let Some(parent) = parent else {
            let message = "is ignored: there is no such consumer".to_owned();
            let warning = Finding::warning(owner.0, Some(owner.1.clone()), "id", message)
                .with_mend("add the consumer, or remove the credential");
            self.findings.push(warning);
            return Box::default();
        };
        let consumer = parent.consumer.by_credential(spec.short_id().unwrap_or_default());
        let plugins = spec.plugins.iter().flat_map(PluginMap::iter);
        plugins.filter_map(|(plugin, block)| self.credential(plugin, block, owner, &consumer, set)).collect()
    }

    /// Puts one credential in, or says what is wrong with it.
    fn credential(
        &mut self,
        plugin: &str,
        block: &Map<String, Value>,
        (kind, id): (Kind, &Id),
        consumer: &Consumer,
        set: &mut ConsumersBuilder,
    ) -> Option<Digest> {
        match self.make_credential(plugin, block, (kind, id)) {
            Ok(credential) => {
                let credential = credential?;
                let unique = self.tools.bench.registry.get(plugin).and_then(|entry| entry.unique()).unwrap_or("key");
                set.insert_credential(consumer, credential)
                    .map_err(|error| {
                        let path = format!("plugins.{plugin}.{unique}");
                        let message = format!("duplicate {unique} of plugin {plugin} {error}");
                        let fault = Finding::error(kind, Some(id.clone()), path, message);
                        self.findings.push(fault.with_mend("give every consumer and credential another one"));
                    })
                    .ok()
            }
            Err(finding) => {
                self.findings.push(finding);
                None
            }
        }
    }

    fn make_credential(
        &mut self,
        plugin: &str,
        block: &Map<String, Value>,
        (kind, id): (Kind, &Id),
    ) -> Result<Option<Credential>, Finding> {
        let path = format!("plugins.{plugin}");
        let Some(entry) = self.tools.bench.registry.get(plugin).filter(|entry| entry.is_auth()) else {
            let message = format!("plugin `{plugin}` does not identify consumers");
            let mut finding = Finding::error(kind, Some(id.clone()), path.as_str(), message)
                .with_mend("write key-auth, basic-auth, jwt-auth or hmac-auth");
            if self.tools.ignore_unknown && self.tools.bench.registry.get(plugin).is_none() {
                finding.severity = Severity::Warning;
                self.findings.push(finding);
                return Ok(None);
            }
            return Err(finding);
        };
        let fault = |message: String| Finding::error(kind, Some(id.clone()), path.as_str(), message);
        let mut written = block.clone();
        let meta = Meta::take(&mut written).map_err(|error| fault(error.to_string()))?;
        if meta.filter.is_some() {
            // Left out in silence it would let in whom it is to keep out.
            let message = "`_meta.filter` has no effect on a credential".to_owned();
            return Err(fault(message).with_mend("put the condition on the block that authenticates"));
        }
        if meta.disable {
            return Ok(None);
        }
        let resolved = match self.tools.bench.secrets.resolve(&written) {
            Ok(resolved) => resolved,
            Err(unresolved) => {
                let warning = secret_missing(kind, id, plugin, &unresolved, "the credential identifies nobody");
                self.findings.push(warning);
                return Ok(None);
            }
        };
        let at_fault = |error: &ConfigError| {
            config_fault(kind, id, plugin, error.field(), &veil(error.reason(), &written, &resolved))
        };
        let findings = &mut self.findings;
        let credential = unknown_fields::read(
            &mut Cow::Borrowed(&*resolved),
            self.tools.leave_out_unknown_fields,
            |block| entry.credential(block),
            |error| findings.push(field_left_out(at_fault(error))),
        );
        credential.map(Some).map_err(|error| at_fault(&error))
    }

    /// The blocks of a consumer or group that are no credentials.
    fn blocks(&mut self, plugins: &PluginMap, owner: (Kind, &Id), before: Option<&Blocks>) -> Arc<Blocks> {
        let registry = self.tools.bench.registry;
        let ordinary = plugins.iter().filter(|(name, _)| !registry.get(name).is_some_and(|entry| entry.is_auth()));
        let blocks = Blocks::build(ordinary, owner, before, self.tools, self.findings);
        for (name, block) in blocks.iter() {
            if block.is_some_and(|block| block.place.stage() == Stage::Authenticate) {
                let message = format!("plugin `{name}` authenticates, and the caller is known by then: it never runs");
                let warning = Finding::warning(owner.0, Some(owner.1.clone()), format!("plugins.{name}"), message);
                self.findings.push(warning.with_mend("put it on a route, a service or a global rule"));
            }
        }
        blocks
    }

    /// Counts the plugins of the outer stages, and takes down those that act before a caller is known.
    fn count(&mut self, (kind, id): (Kind, &Id), blocks: &Blocks, comes: bool) {
        self.changes.fields.extend(blocks.identity_fields().map(|field| (field.clone(), comes)));
        for (name, block) in blocks.iter() {
            // A block that is switched off may be of any stage.
            let stage = block.map(|block| block.place.stage());
            if let Some(early @ (Stage::Edge | Stage::Rewrite)) = stage {
                self.changes.early.push(((name.to_owned(), early), (kind, id.clone()), comes));
            }
            if stage.is_some_and(|stage| stage > Stage::Respond) {
                continue;
            }
            let count = self.changes.outer.entry(name.to_owned()).or_default();
            *count = if comes { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.changes.outer.remove(name);
            }
        }
    }
}

/// Blocks by plugin, of each the most specific one.
fn overlay<'b>(levels: impl IntoIterator<Item = &'b Blocks>) -> BTreeMap<String, Option<super::chain::Block>> {
    let mut merged = BTreeMap::new();
    for (name, block) in levels.into_iter().flat_map(Blocks::iter) {
        merged.entry(name.to_owned()).or_insert_with(|| block.cloned());
    }
    merged
}
