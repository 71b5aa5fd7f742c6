//! [`compat`]: where Apache APISIX would treat a document differently.
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::Kind;
use super::check::walk::in_order;
use words::{
    ABORT, ANY_HOST, BAD_FILTER, BODIES, BOTH_UPSTREAMS, BUDGET, CERTIFICATE, CHECKS, CONNECT, EWMA, FAULTS,
    FILTER_FUNC, GLOBAL_TWICE, ID_TWICE, IDENTITY, MANAGER, METHODS, NAMES, ORDER, PASSIVE, PATHS, PLUGIN_FIELDS,
    PRE_FUNCTION, PRIORITIES, REGEX, RETRIES, ROOT_KEY, SAME_CREDENTIAL, SECRET, SNI, SPLIT, STREAM, TRUSTED, TWICE,
    VERIFY, Words, ZERO,
};

/// One difference between what Apache APISIX makes of a document and what this crate makes of it.
///
/// `Display` is a few lines for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompatNote {
    /// A stable name of the difference, `retries-default`.
    pub code: &'static str,
    /// What the item is; [`Kind::Document`] for what concerns the document as a whole.
    pub kind: Kind,
    /// The item's id, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The field that it is about; empty for the item as a whole.
    pub path: String,
    /// What Apache APISIX does.
    pub apisix: &'static str,
    /// What happens here.
    pub tollgate: &'static str,
    /// How to have it as it was; `None` where there is no way back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<&'static str>,
}

impl fmt::Display for CompatNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{} `{id}`", self.kind)?,
            None => write!(f, "{}", self.kind)?,
        }
        if !self.path.is_empty() {
            write!(f, ", field {}", self.path)?;
        }
        writeln!(f, ": {}", self.code)?;
        writeln!(f, "  APISIX:   {}", self.apisix)?;
        writeln!(f, "  tollgate: {}", self.tollgate)?;
        if let Some(keep) = self.keep {
            writeln!(f, "  as it was: {keep}")?;
        }
        Ok(())
    }
}

/// Every deliberate difference that touches a declarative document, in the order of the document; those that touch the whole
/// of it come first. It looks at the document as it is written: what is wrong with it is [`read`](super::read)'s to say.
pub fn compat(document: &Value) -> Vec<CompatNote> {
    let mut look = Look { notes: Vec::new() };
    look.whole(document);
    for (kind, items) in lists(document) {
        for item in items {
            look.item(kind, item);
        }
    }
    look.notes
}

const LISTS: [Kind; 10] = [
    Kind::Route,
    Kind::Service,
    Kind::Upstream,
    Kind::Consumer,
    Kind::ConsumerGroup,
    Kind::PluginConfig,
    Kind::GlobalRule,
    Kind::PluginMetadata,
    Kind::Secret,
    Kind::Ssl,
];

fn lists(document: &Value) -> impl Iterator<Item = (Kind, &Vec<Value>)> {
    LISTS.into_iter().filter_map(|kind| Some((kind, document.get(kind.root_key())?.as_array()?)))
}

struct Look {
    notes: Vec<CompatNote>,
}

impl Look {
    fn note(&mut self, of: (Kind, Option<String>), path: impl Into<String>, words: &Words) {
        let (kind, id) = of;
        let &Words(code, apisix, tollgate, keep) = words;
        self.notes.push(CompatNote { code, kind, id, path: path.into(), apisix, tollgate, keep });
    }

    fn whole(&mut self, document: &Value) {
        let has =
            |kind: Kind| document.get(kind.root_key()).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        let setting = |path: &str| document.pointer(&format!("/tollgate/{path}"));
        let whole = || (Kind::Document, None);
        if has(Kind::Route) && setting("router/path_mode").is_none_or(|mode| mode != "compatible") {
            self.note(whole(), "", &PATHS);
        }
        if has(Kind::Route) && setting("trusted_proxies").is_none() {
            self.note(whole(), "", &TRUSTED);
        }
        if has(Kind::Route) && setting("start_policy").is_none() {
            self.note(whole(), "", &FAULTS);
        }
        if has(Kind::Route) && setting("limits/body_bytes").is_none() {
            self.note(whole(), "", &BODIES);
        }
        if has(Kind::Consumer) {
            self.note(whole(), "", &IDENTITY);
        }
        let has_plugins = lists(document).any(|(_, items)| items.iter().any(|item| plugins(item).next().is_some()));
        if has_plugins && setting("unknown_fields").is_none_or(|mode| mode != "warn") {
            self.note(whole(), "", &PLUGIN_FIELDS);
        }
        for (key, _) in document.as_object().into_iter().flat_map(in_order).filter(|(key, _)| !is_root_key(key)) {
            self.note(whole(), key.as_str(), &ROOT_KEY);
        }
        if has(Kind::StreamRoute) {
            self.note(whole(), Kind::StreamRoute.root_key(), &STREAM);
        }
        self.same_ids(document);
        self.twice(document);
        self.order(document);
    }

    /// Items of one kind with one id; routes without an id get one by their place.
    fn same_ids(&mut self, document: &Value) {
        for (kind, items) in lists(document) {
            let mut seen = BTreeSet::new();
            for id in items.iter().filter_map(id) {
                if !seen.insert(id.clone()) {
                    self.note((kind, Some(id)), "", &ID_TWICE);
                }
            }
        }
    }

    /// Plugins of two global rules, and keys of two consumers.
    fn twice(&mut self, document: &Value) {
        let items = |kind: Kind| document.get(kind.root_key()).and_then(Value::as_array).into_iter().flatten();
        let mut seen = BTreeSet::new();
        for rule in items(Kind::GlobalRule) {
            for plugin in plugins(rule).map(|(name, _)| name).filter(|name| !seen.insert(*name)).collect::<Vec<_>>() {
                self.note((Kind::GlobalRule, id(rule)), format!("plugins.{plugin}"), &GLOBAL_TWICE);
            }
        }
        let mut keys = BTreeSet::new();
        for consumer in items(Kind::Consumer) {
            for (plugin, block) in plugins(consumer) {
                let field = match plugin.as_str() {
                    "key-auth" | "jwt-auth" => "key",
                    "basic-auth" => "username",
                    "hmac-auth" => "key_id",
                    _ => continue,
                };
                let Some(key) = block.get(field).and_then(Value::as_str) else { continue };
                if !keys.insert((plugin, key)) {
                    let kind = if consumer.get("username").is_some() { Kind::Consumer } else { Kind::Credential };
                    self.note((kind, id(consumer)), format!("plugins.{plugin}.{field}"), &SAME_CREDENTIAL);
                }
            }
        }
    }

    fn order(&mut self, document: &Value) {
        let mut seen = BTreeMap::new();
        for route in document.get("routes").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| route.get(name).map(Value::to_string).unwrap_or_default();
            let conditions =
                ["uri", "uris", "host", "hosts", "methods", "vars", "remote_addr", "remote_addrs", "priority"];
            if seen.insert(conditions.map(text), ()).is_some() {
                self.note((Kind::Route, id(route)), "", &ORDER);
            }
        }
    }

    fn item(&mut self, kind: Kind, item: &Value) {
        let kind = if kind == Kind::Consumer && item.get("username").is_none() { Kind::Credential } else { kind };
        let of = || (kind, id(item));
        match kind {
            Kind::Route => {
                if text(item, "filter_func").is_some_and(|text| text.trim_start().starts_with("function")) {
                    self.note(of(), "filter_func", &FILTER_FUNC);
                }
                if takes_any_host(item) {
                    self.note(of(), "hosts", &ANY_HOST);
                }
                if item.get("vars").is_some_and(has_regex) {
                    self.note(of(), "vars", &REGEX);
                }
            }
            Kind::Secret if id(item).is_some_and(|id| !id.starts_with("env/") && !id.starts_with("file/")) => {
                self.note(of(), "", &MANAGER);
            }
            Kind::Service if takes_any_host(item) => self.note(of(), "hosts", &ANY_HOST),
            Kind::Ssl => self.note(of(), "cert", &CERTIFICATE),
            Kind::Upstream => self.upstream(&of(), "", item),
            _ => {}
        }
        if let Some(upstream) = item.get("upstream").filter(|_| matches!(kind, Kind::Route | Kind::Service)) {
            if item.get("upstream_id").is_some() {
                self.note(of(), "upstream", &BOTH_UPSTREAMS);
            } else {
                self.upstream(&of(), "upstream.", upstream);
            }
        }
        self.plugins(&of(), item);
        if kind != Kind::Secret && holds_reference(item) {
            self.note(of(), "", &SECRET);
        }
    }

    fn plugins(&mut self, of: &(Kind, Option<String>), item: &Value) {
        let mut priorities = BTreeSet::new();
        for (plugin, block) in plugins(item) {
            let priority = block.pointer("/_meta/priority").and_then(Value::as_i64);
            if priority.is_some_and(|priority| !priorities.insert(priority)) {
                self.note(of.clone(), format!("plugins.{plugin}._meta.priority"), &PRIORITIES);
            }
            let meta = |name: &str| block.get("_meta").and_then(|meta| meta.get(name)).is_some();
            if meta("pre_function") {
                self.note(of.clone(), format!("plugins.{plugin}._meta.pre_function"), &PRE_FUNCTION);
            }
            if meta("filter") {
                self.note(of.clone(), format!("plugins.{plugin}._meta.filter"), &BAD_FILTER);
            }
            if plugin == "fault-injection" && block.get("abort").is_some() {
                self.note(of.clone(), "plugins.fault-injection.abort", &ABORT);
            }
            if plugin == "traffic-split" {
                let rules = block.get("rules").and_then(Value::as_array).into_iter().flatten();
                for (index, rule) in rules.enumerate() {
                    let entries = rule.get("weighted_upstreams").and_then(Value::as_array);
                    for (entry, value) in entries.into_iter().flatten().enumerate() {
                        if let Some(upstream) = value.get("upstream") {
                            let at =
                                format!("plugins.traffic-split.rules.{index}.weighted_upstreams.{entry}.upstream.");
                            self.upstream(of, &at, upstream);
                        }
                    }
                    let mut seen = BTreeSet::new();
                    let ids = entries.into_iter().flatten().filter_map(|entry| entry.get("upstream_id"));
                    if ids.map(Value::to_string).any(|id| !seen.insert(id)) {
                        self.note(of.clone(), format!("plugins.traffic-split.rules.{index}"), &SPLIT);
                    }
                }
            }
        }
    }

    fn upstream(&mut self, of: &(Kind, Option<String>), at: &str, upstream: &Value) {
        let has = |name: &str| upstream.get(name).is_some();
        let mut note = |path: &str, words: &Words| self.note(of.clone(), format!("{at}{path}"), words);
        let nodes = nodes(upstream);
        if !has("retries") && nodes.len() > 2 {
            note("retries", &RETRIES);
        }
        if nodes.len() > 1 && upstream.get("retries").is_none_or(|retries| retries != 0) {
            if !has("retry_budget") {
                note("retry_budget", &BUDGET);
            }
            if !has("retry_methods") {
                note("retry_methods", &METHODS);
            }
        }
        if !has("timeout") {
            note("timeout.connect", &CONNECT);
        }
        let tls = |name: &str| upstream.get("tls").is_some_and(|tls| tls.get(name).is_some());
        if text(upstream, "scheme").is_some_and(|scheme| matches!(scheme, "https" | "grpcs" | "tls")) {
            if !tls("verify") {
                note("tls.verify", &VERIFY);
            }
            let passes = text(upstream, "pass_host").is_none_or(|pass| pass == "pass");
            if passes && !tls("sni") && nodes.iter().any(|node| node.is_name()) {
                note("tls.sni", &SNI);
            }
        }
        let mut seen = BTreeSet::new();
        if nodes.iter().any(|node| !seen.insert((&node.host, node.port, node.priority))) {
            note("nodes", &TWICE);
        }
        if nodes.iter().any(Node::is_name) {
            note("nodes", &NAMES);
        }
        match text(upstream, "type") {
            Some("ewma") => note("type", &EWMA),
            Some("least_conn") if nodes.iter().any(|node| node.weight == 0) => note("nodes", &ZERO),
            Some("chash") if !nodes.is_empty() && nodes.iter().all(|node| node.weight == 0) => note("nodes", &ZERO),
            _ => {}
        }
        match upstream.get("checks") {
            Some(checks) if checks.get("active").is_some() => note("checks.active", &CHECKS),
            Some(checks) if checks.get("passive").is_some() => note("checks.passive", &PASSIVE),
            _ => {}
        }
    }
}

struct Node {
    host: String,
    port: u64,
    weight: u64,
    priority: i64,
}

impl Node {
    fn is_name(&self) -> bool {
        self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_err()
    }
}

/// The nodes of either form.
fn nodes(upstream: &Value) -> Vec<Node> {
    match upstream.get("nodes") {
        Some(Value::Object(map)) => {
            let node = |(address, weight): (&String, &Value)| {
                let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
                let port = port.parse().unwrap_or(0);
                Node { host: host.to_owned(), port, weight: weight.as_u64().unwrap_or(1), priority: 0 }
            };
            map.iter().map(node).collect()
        }
        Some(Value::Array(list)) => {
            let node = |node: &Value| {
                let number = |name: &str| node.get(name).and_then(Value::as_u64);
                Some(Node {
                    host: text(node, "host")?.to_owned(),
                    port: number("port").unwrap_or(0),
                    weight: number("weight").unwrap_or(1),
                    priority: node.get("priority").and_then(Value::as_i64).unwrap_or(0),
                })
            };
            list.iter().filter_map(node).collect()
        }
        _ => Vec::new(),
    }
}

fn plugins(item: &Value) -> impl Iterator<Item = (&String, &Value)> {
    item.get("plugins").and_then(Value::as_object).into_iter().flat_map(in_order)
}

fn text<'v>(item: &'v Value, name: &str) -> Option<&'v str> {
    item.get(name)?.as_str()
}

/// An item's id, as written.
fn id(item: &Value) -> Option<String> {
    match item.get("id").or_else(|| item.get("username"))? {
        Value::String(id) => Some(id.clone()),
        other => Some(other.to_string()),
    }
}

/// Whether a root key is one of a document.
fn is_root_key(key: &str) -> bool {
    let others = [Kind::Proto, Kind::StreamRoute].map(Kind::root_key);
    LISTS.into_iter().map(Kind::root_key).chain(others).chain(["plugins", "tollgate"]).any(|known| known == key)
}

fn takes_any_host(item: &Value) -> bool {
    let hosts = item.get("hosts").and_then(Value::as_array).into_iter().flatten();
    hosts.chain(item.get("host")).any(|host| host == "*")
}

/// Whether an expression has one of the operators of regular expressions.
fn has_regex(expression: &Value) -> bool {
    let items = expression.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().any(|item| matches!(item.as_str(), Some("~~" | "~*")) || has_regex(item))
}

fn holds_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let head = text.get(..10).unwrap_or(text).to_ascii_lowercase();
            head.starts_with("$secret://") || head.starts_with("$env://")
        }
        Value::Array(items) => items.iter().any(holds_reference),
        Value::Object(fields) => fields.values().any(holds_reference),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(document: &Value) -> Vec<&'static str> {
        compat(document).into_iter().map(|note| note.code).collect()
    }

    /// A document with one list of one item.
    fn one(kind: &str, item: Value) -> Value {
        json!({"tollgate": {
            "router": {"path_mode": "compatible"}, "trusted_proxies": ["10.0.0.1"], "start_policy": "serve_valid",
            "unknown_fields": "warn", "limits": {"body_bytes": 1},
        }, kind: [item]})
    }

    /// What touches nothing else.
    const SETTLED: &str = r#"{"retries": 1, "retry_budget": {}, "retry_methods": ["GET"], "timeout": {}}"#;

    fn upstream(more: Value) -> Value {
        let mut upstream: Value = serde_json::from_str(SETTLED).unwrap();
        upstream["id"] = json!("u");
        upstream["nodes"] = json!({"10.0.0.1:80": 1, "10.0.0.2:80": 1});
        for (name, value) in more.as_object().unwrap() {
            if value.is_null() {
                upstream.as_object_mut().unwrap().remove(name);
            } else {
                upstream[name] = value.clone();
            }
        }
        one("upstreams", upstream)
    }

    #[test]
    fn each_difference_is_found_by_what_it_is_about() {
        let three = json!({"10.0.0.1:80": 1, "10.0.0.2:80": 1, "10.0.0.3:80": 1});
        let twice =
            json!([{"host": "10.0.0.1", "port": 80, "weight": 1}, {"host": "10.0.0.1", "port": 80, "weight": 2}]);
        let route = |more: Value| one("routes", more);
        let plugin = |name: &str, block: Value| one("plugin_configs", json!({"id": "c", "plugins": {name: block}}));
        for (document, expected) in [
            (upstream(json!({})), vec![]),
            (upstream(json!({"retries": null, "nodes": three})), vec!["retries-default"]),
            (upstream(json!({"retry_budget": null})), vec!["retry-budget"]),
            (upstream(json!({"retry_methods": null})), vec!["retry-methods"]),
            (upstream(json!({"retry_methods": null, "retries": 0})), vec![]),
            (upstream(json!({"timeout": null})), vec!["connect-timeout-default"]),
            (upstream(json!({"scheme": "https"})), vec!["tls-verify-default"]),
            (upstream(json!({"scheme": "https", "tls": {"verify": true}})), vec![]),
            (
                upstream(json!({"scheme": "https", "tls": {"verify": true}, "nodes": {"a.test:443": 1}})),
                vec!["tls-sni", "names"],
            ),
            (upstream(json!({"nodes": twice})), vec!["node-twice"]),
            (upstream(json!({"nodes": {"[::1]:80": 1}})), vec![]),
            (upstream(json!({"type": "ewma"})), vec!["ewma-by-upstream"]),
            (upstream(json!({"type": "least_conn", "nodes": {"10.0.0.1:80": 0}})), vec!["zero-weights"]),
            (upstream(json!({"type": "chash", "nodes": {"10.0.0.1:80": 0}})), vec!["zero-weights"]),
            (upstream(json!({"checks": {"active": {}, "passive": {}}})), vec!["checks-start"]),
            (upstream(json!({"checks": {"passive": {}}})), vec!["passive-alone"]),
            (route(json!({"uri": "/", "filter_func": "function(vars) return true end"})), vec!["filter-func"]),
            (route(json!({"uri": "/", "filter_func": "is_beta"})), vec![]),
            (route(json!({"uri": "/", "host": "*"})), vec!["any-host"]),
            (route(json!({"uri": "/", "vars": [["AND", ["arg_a", "~~", "x"]]]})), vec!["regex-in-vars"]),
            (route(json!({"uri": "/", "upstream_id": "u", "upstream": {"nodes": {"a:1": 1}}})), vec!["two-upstreams"]),
            (route(json!({"uri": "/", "upstream": {"nodes": {"10.0.0.1:1": 1}}})), vec!["connect-timeout-default"]),
            (plugin("cors", json!({"_meta": {"pre_function": "return"}})), vec!["pre-function"]),
            (plugin("cors", json!({"_meta": {"filter": [["a", "==", 1]]}})), vec!["meta-filter"]),
            (plugin("fault-injection", json!({"abort": {"http_status": 500}})), vec!["abort-without-cors"]),
            (
                plugin(
                    "traffic-split",
                    json!({"rules": [{"weighted_upstreams": [
                        {"upstream_id": 1, "weight": 1}, {"upstream_id": 1, "weight": 2},
                    ]}]}),
                ),
                vec!["traffic-split-twice"],
            ),
            (
                plugin(
                    "traffic-split",
                    json!({"rules": [{"weighted_upstreams": [{"upstream": {"nodes": {"10.0.0.1:1": 1}}}]}]}),
                ),
                vec!["connect-timeout-default"],
            ),
            (
                one(
                    "routes",
                    json!({"uri": "/", "plugins": {"cors": {"_meta": {"priority": 7}}, "csrf": {"_meta": {"priority": 7}}}}),
                ),
                vec!["equal-priorities"],
            ),
            (one("services", json!({"id": "s", "hosts": ["*"]})), vec!["any-host"]),
            (one("stream_routes", json!({"id": "s"})), vec!["stream-routes"]),
            (one("strange", json!(1)), vec!["root-key"]),
            (one("protos", json!({"id": "p"})), vec![]),
            (json!({"services": [{"id": 1}, {"id": "1"}]}), vec!["id-twice"]),
            (plugin("csrf", json!({"key": "$ENV://KEY"})), vec!["secret-fails-closed"]),
            (one("secrets", json!({"id": "vault/1", "token": "$env://T"})), vec!["secret-manager"]),
            (one("secrets", json!({"id": "file/1"})), vec![]),
            (one("ssls", json!({"id": "1"})), vec!["certificate-and-key"]),
            (one("consumers", json!({"username": "jack"})), vec!["identity-fields"]),
        ] {
            assert_eq!(codes(&document), expected, "{document}");
        }
    }

    #[test]
    fn differences_of_the_whole_come_first() {
        let route = json!({"id": 1, "uri": "/a"});
        let document = json!({
            "routes": [route, {"id": 2, "uri": "/a"}, {"id": 3, "uri": "/a", "priority": 1}],
            "global_rules": [
                {"id": "a", "plugins": {"cors": {}}}, {"id": "b", "plugins": {"cors": {}, "csrf": {}}},
            ],
            "consumers": [
                {"username": "a", "plugins": {"key-auth": {"key": "k"}}},
                {"id": "b/credentials/c", "plugins": {"key-auth": {"key": "k"}, "jwt-auth": {"key": "k"}}},
            ],
        });
        assert_eq!(
            codes(&document),
            [
                "path-mode",
                "trusted-proxies",
                "faulty-items",
                "body-limit",
                "identity-fields",
                "plugin-fields",
                "global-rule-twice",
                "credential-twice",
                "route-order",
            ]
        );
        let notes = compat(&document);
        let twice = notes.iter().find(|note| note.code == "credential-twice").unwrap();
        assert_eq!((twice.kind, twice.id.as_deref()), (Kind::Credential, Some("b/credentials/c")));
        assert_eq!(twice.path, "plugins.key-auth.key");
        assert_eq!(
            notes.last().unwrap().to_string(),
            "route `2`: route-order\n  APISIX:   which of several routes with the same path, hosts and priority wins is not \
             defined\n  tollgate: the one that stands first wins (in a store: the one whose id is first)\n  as it was: give \
             them a `priority`\n"
        );
    }

    #[test]
    fn what_is_no_document_has_no_differences() {
        for document in [json!(null), json!([]), json!({"routes": {}}), json!({"routes": [1, null, {"plugins": 7}]})] {
            for note in compat(&document) {
                assert!(matches!(note.kind, Kind::Document | Kind::Route), "{note}");
            }
        }
    }
}
