//! [`read`]: a declarative document becomes a [`Snapshot`].
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::check::shape::Rule;
use super::check::walk::{Rules, Walk, in_order};
use super::check::{Described, GlobalPlugins, dangling, duplicate, hint, judge};
use super::settings::SETTINGS;
use super::{
    ConsumerSpec, CredentialSpec, EnabledPlugin, Finding, Id, IpOrCidr, Items, Kind, MatchPart, Method, Rejected,
    Resource, Settings, Severity, Snapshot, SslSpec, UnknownFields, faulty_zones, leave_out,
};

/// How a document is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// What becomes of unknown fields. Unset: as the document's own `tollgate.unknown_fields` says.
    pub unknown_fields: Option<UnknownFields>,
    /// Whether each use of a field that Apache APISIX does not have is a warning. Default `false`.
    pub name_extensions: bool,
}

impl ReadOptions {
    /// Sets what becomes of unknown fields, whatever the document says.
    #[must_use]
    pub const fn with_unknown_fields(mut self, unknown_fields: UnknownFields) -> Self {
        self.unknown_fields = Some(unknown_fields);
        self
    }

    /// Makes a warning of each use of a field that Apache APISIX does not have, and would refuse.
    #[must_use]
    pub const fn naming_extensions(mut self) -> Self {
        self.name_extensions = true;
        self
    }
}

/// What [`read`] made of a document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Read {
    /// The items without faults; the others are in [`Snapshot::rejected`].
    pub snapshot: Snapshot,
    /// Every fault and doubt, in the order of the document's kinds.
    pub findings: Vec<Finding>,
}

impl Read {
    /// Whether the document as such is unusable, so that the snapshot must not be used either.
    pub fn is_unusable(&self) -> bool {
        self.errors().any(|finding| finding.kind == Kind::Document)
    }

    /// The findings that are errors.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.is_error())
    }
}

/// Reads a declarative document (config-sources.md §2): a map of kind → array of items, and settings under `tollgate`.
///
/// Never fails: every fault of every item is a [`Finding`], and an item with an error is in [`Snapshot::rejected`]
/// instead of its list. An item without `id` is called by its `username`, else `arr_` and its 1-based place. Of two
/// items with one id the later is rejected. References to items that are not there are warnings. What only the
/// gateway knows (plugins, `vars`, patterns, balancers) is judged when the snapshot is compiled.
pub fn read(document: &Value, options: &ReadOptions) -> Read {
    let mut reader = Reader {
        rules: Rules { name_extensions: options.name_extensions, ..Rules::STRICT },
        findings: Vec::new(),
        rejected: Vec::new(),
    };
    let empty = Map::new();
    let root = match document {
        Value::Object(root) => root,
        // An empty file is an empty configuration.
        Value::Null => &empty,
        _ => {
            let finding = Finding::error(Kind::Document, None, "", "is no map of resource kinds")
                .with_mend("write `routes:` and so on at the top level");
            reader.findings.push(finding);
            &empty
        }
    };
    reader.root_keys(root);
    let settings = reader.settings(root.get(Kind::Settings.root_key()));
    reader.rules.unknown = match options.unknown_fields.unwrap_or(settings.unknown_fields) {
        UnknownFields::Reject => Severity::Error,
        UnknownFields::Warn => Severity::Warning,
    };
    let (consumers, credentials) = reader.consumers(root);
    let snapshot = Snapshot {
        routes: reader.section(root),
        services: reader.section(root),
        upstreams: reader.section(root),
        consumers,
        credentials,
        consumer_groups: reader.section(root),
        plugin_configs: reader.section(root),
        global_rules: reader.section(root),
        plugin_metadata: reader.section(root),
        plugins: root.contains_key(EnabledPlugin::KIND.root_key()).then(|| reader.section(root)),
        protos: reader.section(root),
        secrets: reader.section(root),
        ssls: reader.section(root),
        stream_routes: reader.section(root),
        settings: Arc::new(settings),
        ..Snapshot::default()
    };
    reader.finish(snapshot, document)
}

struct Reader {
    rules: Rules,
    findings: Vec<Finding>,
    rejected: Vec<Rejected>,
}

impl Reader {
    fn root_keys(&mut self, root: &Map<String, Value>) {
        let known = || Kind::LISTS.into_iter().chain([Kind::Settings]).map(Kind::root_key);
        let is_known = |key: &str| known().any(|known| known == key);
        for (key, _) in in_order(root).filter(|(key, _)| !is_known(key)) {
            let mend = match hint::closest(key, known()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "remove it".to_owned(),
            };
            let finding = Finding::warning(Kind::Document, None, key, "is no kind of resource; it is ignored");
            self.findings.push(finding.with_mend(mend));
        }
    }

    fn settings(&mut self, value: Option<&Value>) -> Settings {
        let Some(value) = value else { return Settings::default() };
        let before = self.findings.len();
        let mut walk = Walk::new(Kind::Settings, None, None, self.rules, &mut self.findings);
        walk.value(value, &SETTINGS);
        let zones = faulty_zones(self.findings.get(before..).unwrap_or_default());
        let mut value = value.clone();
        if let Some(zones) = &zones
            && let Some(list) = value.get_mut("cache_zones").and_then(Value::as_array_mut)
        {
            leave_out(list, zones);
        }
        let settings = zones.map(|zones| (Settings::deserialize(&value), zones));
        match settings {
            Some((Ok(settings), zones)) if zones.is_empty() => return settings,
            Some((Ok(settings), _)) => {
                self.reject(Kind::Settings, None, None, None, before);
                return settings;
            }
            Some((Err(error), _)) => {
                self.findings.push(Finding::error(Kind::Settings, None, "", error.to_string()));
            }
            None => {}
        }
        self.reject(Kind::Settings, None, None, None, before);
        Settings::default()
    }

    fn section<T: Described>(&mut self, root: &Map<String, Value>) -> Items<T> {
        let list = self.list(root, T::KIND);
        self.items(list.iter().enumerate())
    }

    /// Consumers and credentials stand in one list and differ by their ids.
    fn consumers(&mut self, root: &Map<String, Value>) -> (Items<ConsumerSpec>, Items<CredentialSpec>) {
        let list = self.list(root, Kind::Consumer);
        let is_credential = |item: &Value| item.get("id").and_then(Value::as_str).is_some_and(CredentialSpec::is_id);
        (
            self.items(list.iter().enumerate().filter(|(_, item)| !is_credential(item))),
            self.items(list.iter().enumerate().filter(|(_, item)| is_credential(item))),
        )
    }

    fn list<'v>(&mut self, root: &'v Map<String, Value>, kind: Kind) -> &'v [Value] {
        match root.get(kind.root_key()) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(list)) => list,
            Some(_) => {
                let finding = Finding::error(Kind::Document, None, kind.root_key(), "is not an array");
                self.findings.push(finding.with_mend("write a list of items, each beginning with `-` in YAML"));
                &[]
            }
        }
    }

    fn items<'v, T: Described>(&mut self, list: impl Iterator<Item = (usize, &'v Value)>) -> Items<T> {
        let mut seen = HashSet::new();
        list.filter_map(|(index, value)| self.item::<T>(index, value, &mut seen)).collect()
    }

    fn item<T: Described>(&mut self, index: usize, value: &Value, seen: &mut HashSet<Id>) -> Option<T> {
        let id = id_of(T::NAMED_BY, value, index);
        let before = self.findings.len();
        let (mut faultless, cleaned) = judge::<T>(value, Some(&id), Some(index), self.rules, &mut self.findings);
        if !seen.insert(id.clone()) {
            self.findings.push(duplicate(T::KIND, id.clone(), index));
            faultless = false;
        }
        if faultless {
            match T::deserialize(cleaned.as_ref().unwrap_or(value)) {
                Ok(mut item) => {
                    if item.id().is_empty() {
                        item.set_id(id);
                    }
                    return Some(item);
                }
                // Only where table and type disagree, which the tests of the tables rule out.
                Err(error) => {
                    let finding = Finding::error(T::KIND, Some(id.clone()), "", error.to_string());
                    self.findings.push(finding.with_index(index));
                }
            }
        }
        self.reject(T::KIND, Some(id), Some(index), match_part(T::KIND, value), before);
        None
    }

    fn reject(
        &mut self,
        kind: Kind,
        id: Option<Id>,
        index: Option<usize>,
        match_part: Option<MatchPart>,
        before: usize,
    ) {
        let findings = self.findings.get(before..).unwrap_or_default().to_vec();
        self.rejected.push(Rejected { kind, id, index, match_part, findings });
    }

    fn finish(mut self, mut snapshot: Snapshot, document: &Value) -> Read {
        let before = self.findings.len();
        self.global_plugins(&mut snapshot);
        self.findings.extend(dangling(&snapshot));
        self.place(before, document);
        snapshot.rejected = self.rejected;
        snapshot.warnings = self.findings.iter().filter(|finding| !finding.is_error()).cloned().collect();
        Read { snapshot, findings: self.findings }
    }

    /// Gives the findings from `before` on their places in the document: the snapshot lacks what was rejected.
    fn place(&mut self, before: usize, document: &Value) {
        let fresh = self.findings.get_mut(before..).unwrap_or_default();
        if fresh.is_empty() {
            return;
        }
        let places = by_id(document);
        let rejected = self.rejected.iter_mut().filter(|item| item.index.is_none()).flat_map(|item| &mut item.findings);
        for finding in fresh.iter_mut().chain(rejected) {
            let id = finding.id.clone().unwrap_or_default();
            finding.index = places.get(&(finding.kind.root_key(), id)).copied();
        }
        for item in self.rejected.iter_mut().filter(|item| item.index.is_none()) {
            item.index = item.findings.first().and_then(|finding| finding.index);
        }
    }

    /// A plugin may stand in one global rule: the later one, by id, is rejected.
    fn global_plugins(&mut self, snapshot: &mut Snapshot) {
        let mut by_id: Vec<_> = snapshot.global_rules.iter().cloned().collect();
        by_id.sort_by(|left, right| left.id.cmp(&right.id));
        let mut taken = GlobalPlugins::default();
        for rule in by_id {
            if let Some(finding) = taken.claim(&rule) {
                let before = self.findings.len();
                self.findings.push(finding);
                self.reject(Kind::GlobalRule, Some(rule.id.clone()), None, None, before);
                snapshot.global_rules.to_mut().retain(|kept| kept.id != rule.id);
            }
        }
    }
}

/// What an item is called: `id`, else `username`, else `arr_` and its 1-based place.
fn id_of(named_by: &[&str], value: &Value, index: usize) -> Id {
    let named = |field: &str| match value.get(field)? {
        Value::String(text) if !text.is_empty() => Some(Id::from(text.as_str())),
        Value::Number(number) => number.as_u64().map(Id::from),
        _ => None,
    };
    named_by.iter().copied().find_map(named).unwrap_or_else(|| Id::from(format!("arr_{}", index + 1)))
}

/// Under which root key and id each item of a document stands, with its place. Of two with one id the first, which is
/// the one that is used.
pub(crate) fn by_id(document: &Value) -> HashMap<(&str, Id), usize> {
    document.as_object().map(by_id_of).unwrap_or_default()
}

/// As [`by_id`].
pub(crate) fn by_id_of(root: &Map<String, Value>) -> HashMap<(&str, Id), usize> {
    let mut places = HashMap::new();
    for (key, list) in root {
        for (place, item) in list.as_array().into_iter().flatten().enumerate() {
            places.entry((key.as_str(), id_of(&["id", "username"], item, place))).or_insert(place);
        }
    }
    places
}

/// Which requests a broken item is for, if they are to fail closed and that much can be read.
pub(super) fn match_part(kind: Kind, value: &Value) -> Option<MatchPart> {
    match kind {
        Kind::Route => of_route(value),
        Kind::Ssl => of_ssl(value),
        _ => None,
    }
}

/// `None` if it surely demands nothing of clients, or is not in use. Of its names, those that can be read.
fn of_ssl(ssl: &Value) -> Option<MatchPart> {
    let is = |field: &str, value: Value| ssl.get(field) == Some(&value);
    // a name that nobody knows may be a misspelt `client`
    let may_demand = |name: &String| name == "client" || !SslSpec::SHAPE.fields.iter().any(|field| field.name == name);
    if !ssl.as_object()?.keys().any(may_demand) || is("status", Value::from(0)) || is("type", Value::from("client")) {
        return None;
    }
    let names = ["sni", "snis"].into_iter().filter_map(|field| ssl.get(field));
    let names = names.flat_map(|names| names.as_array().map_or(std::slice::from_ref(names), Vec::as_slice));
    let hosts: Vec<_> = names.filter_map(Value::as_str).map(Into::into).collect();
    (!hosts.is_empty()).then(|| MatchPart { hosts, ..MatchPart::default() })
}

/// `None` if paths, hosts or methods cannot be read, or it is not in use.
fn of_route(route: &Value) -> Option<MatchPart> {
    if route.get("status").and_then(Value::as_u64) == Some(0) {
        return None;
    }
    let texts = |one: &str, several: &str| -> Option<Vec<&str>> {
        let one = route.get(one).map(Value::as_str);
        let several = route.get(several).map(Value::as_array);
        if one == Some(None) || several == Some(None) {
            return None;
        }
        let several = several.flatten().into_iter().flatten().map(Value::as_str);
        one.into_iter().chain(several).collect()
    };
    let uris: Vec<Arc<str>> = texts("uri", "uris")?.into_iter().map(Arc::from).collect();
    let methods = match route.get("methods") {
        None => Vec::new(),
        Some(methods) => Vec::<Method>::deserialize(methods).ok()?,
    };
    let addresses = texts("remote_addr", "remote_addrs").unwrap_or_default();
    let addresses: Result<Vec<IpOrCidr>, _> = addresses.into_iter().map(str::parse).collect();
    let hosts = texts("host", "hosts")?;
    if uris.is_empty() || !hosts.iter().copied().all(Rule::HOST.holds) {
        return None;
    }
    Some(MatchPart {
        uris,
        hosts: hosts.into_iter().map(Into::into).collect(),
        methods,
        service_id: route.get("service_id").and_then(|id| Id::deserialize(id).ok()),
        remote_addrs: addresses.unwrap_or_default(),
        vars: route.get("vars").filter(|vars| vars.is_array()).cloned(),
        filter_func: route.get("filter_func").and_then(Value::as_str).map(str::to_owned),
        priority: route.get("priority").and_then(Value::as_i64).unwrap_or(0),
    })
}
