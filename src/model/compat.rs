//! [`compat`]: where Apache APISIX would treat a document differently.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Kind;

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

/// What a difference is in words: its name, what the reference does, what happens here, and how to have it as it was.
struct Words(&'static str, &'static str, &'static str, Option<&'static str>);

const PATHS: Words = Words(
    "path-mode",
    "matches the decoded path and forwards the target as the client sent it",
    "matches and forwards the canonical path (dots, double slashes and encodings resolved); refuses what can be read in two ways",
    Some("`tollgate.router.path_mode: compatible`"),
);
const TRUSTED: Words = Words(
    "trusted-proxies",
    "trusts `X-Forwarded-*` of every client unless `apisix.trusted_addresses` is set",
    "trusts nobody's forwarding fields: they are written anew",
    Some("name the proxies in front of it in `tollgate.trusted_proxies`"),
);
const FAULTS: Words = Words(
    "faulty-items",
    "leaves a faulty item out at each load, also one that was good before",
    "a start with a fault ends with exit code 2; later the version before serves on; a route that is left out answers 503",
    Some("`tollgate.start_policy: serve_valid` starts with the faultless rest"),
);
const IDENTITY: Words = Words(
    "identity-fields",
    "passes a client's own `X-Consumer-*` and `X-Credential-*` to upstreams where no plugin identifies the caller",
    "removes a client's copies of them on every route",
    None,
);
const GLOBAL_TWICE: Words = Words(
    "global-rule-twice",
    "runs a plugin of two global rules once, and which of them is not defined",
    "refuses the later one",
    Some("keep one of them"),
);
const SAME_CREDENTIAL: Words = Words(
    "credential-twice",
    "of two consumers with the same key the one that was loaded last is found",
    "refuses the second one",
    Some("give each consumer a key of its own"),
);
const ORDER: Words = Words(
    "route-order",
    "which of several routes with the same path, hosts and priority wins is not defined",
    "the one that stands first wins (in a store: the one whose id is first)",
    Some("give them a `priority`"),
);
const FILTER_FUNC: Words = Words(
    "filter-func",
    "runs the Lua function",
    "takes the name of a predicate that the host program registers; a Lua text is a fault",
    Some("write the condition as `vars`, or register a predicate"),
);
const BOTH_UPSTREAMS: Words = Words(
    "two-upstreams",
    "silently lets `upstream_id` win over `upstream`",
    "lets `upstream_id` win as well, with a warning",
    None,
);
const ANY_HOST: Words = Words(
    "any-host",
    "the host `*` also matches a request without a host",
    "the host `*` matches every host that is not empty",
    Some("leave `hosts` out"),
);
const REGEX: Words = Words(
    "regex-in-vars",
    "a regular expression that is none is false for every request",
    "a regular expression that is none is a fault of the route at load",
    None,
);
const RETRIES: Words = Words(
    "retries-default",
    "tries every node once (`retries` is the number of nodes less one)",
    "tries one further node",
    Some("write `retries`"),
);
const BUDGET: Words = Words(
    "retry-budget",
    "retries without a bound over all requests, and at once",
    "retries while they are no more than a share of the requests, after a short back-off",
    Some("raise `retry_budget.ratio` and set `retry_backoff.base_ms`"),
);
const METHODS: Words = Words(
    "retry-methods",
    "sends every method but POST, PATCH and LOCK again after an upstream failed under way",
    "sends only methods again that are safe or idempotent (RFC 9110), unless nothing was sent yet",
    Some("name further ones in `retry_methods`"),
);
const CONNECT: Words = Words(
    "connect-timeout-default",
    "waits 60 s for a connection",
    "waits 5 s for a connection",
    Some("write `timeout: {connect: 60, send: 60, read: 60}`"),
);
const VERIFY: Words = Words(
    "tls-verify-default",
    "does not verify the upstream's certificate",
    "verifies the upstream's certificate, against `tls.ca` or the system's authorities",
    Some("`tls.verify: false`, which is warned about"),
);
const SNI: Words = Words(
    "tls-sni",
    "names the client's host in the handshake with the upstream",
    "names the node's domain in the handshake where the client's host is passed on and `tls.sni` is not set",
    Some("write `tls.sni`"),
);
const TWICE: Words = Words(
    "node-twice",
    "of a node that stands twice the last weight counts",
    "a node that stands twice is a fault",
    Some("write it once"),
);
const NAMES: Words = Words(
    "names",
    "resolves a node's name while requests wait, and uses one of its addresses",
    "resolves in the background, uses all addresses, and keeps the last good answer when DNS fails",
    None,
);
const ZERO: Words = Words(
    "zero-weights",
    "`ewma` and `least_conn` send requests to nodes of weight 0, and `chash` fails when all weights are 0",
    "a node of weight 0 gets no request, unless all are 0: then all count the same",
    None,
);
const EWMA: Words = Words(
    "ewma-by-upstream",
    "`ewma` remembers the latency of an address across all upstreams",
    "`ewma` remembers the latency of an address in its upstream",
    None,
);
const CHECKS: Words = Words(
    "checks-start",
    "begins to check with the first request, per worker, and with all nodes unhealthy sends to all",
    "begins to check when the upstream comes into use, once per process; when few are left `panic_threshold` decides",
    Some("`panic_threshold: 0` answers 503 with no healthy node"),
);
const PASSIVE: Words = Words(
    "passive-alone",
    "refuses `checks` without `active`",
    "takes passive checks alone: a node comes back after `ejection_time`",
    None,
);
const PRE_FUNCTION: Words = Words(
    "pre-function",
    "runs the Lua text of `_meta.pre_function`",
    "refuses it: there are no scripts",
    Some("write a plugin"),
);
const BAD_FILTER: Words = Words(
    "meta-filter",
    "runs the plugin when its `_meta.filter` cannot be evaluated",
    "refuses a filter that cannot be evaluated at load",
    None,
);
const SPLIT: Words = Words(
    "traffic-split-twice",
    "of an upstream id that stands twice in a rule the last weight counts",
    "the weights of an upstream id that stands twice add up",
    Some("write it once"),
);
const ABORT: Words = Words(
    "abort-without-cors",
    "adds CORS headers to an answer that `fault-injection` aborts with",
    "an aborted answer carries no CORS headers",
    None,
);
const SECRET: Words = Words(
    "secret-fails-closed",
    "uses the reference itself as the value when it cannot be resolved",
    "answers 500 on routes, and identifies nobody by such a credential, until the secret is there",
    None,
);
const MANAGER: Words = Words(
    "secret-manager",
    "asks Vault, AWS or Google for secrets",
    "references to `vault`, `aws` and `gcp` fail closed: they are not asked yet",
    Some("provide the secrets by `env` or `file`"),
);
const CERTIFICATE: Words = Words(
    "certificate-and-key",
    "does not look whether certificate and key belong together",
    "a certificate whose key does not belong to it is a fault",
    None,
);

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
        if has(Kind::Consumer) {
            self.note(whole(), "", &IDENTITY);
        }
        self.twice(document);
        self.order(document);
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
                let hosts = item.get("hosts").and_then(Value::as_array).into_iter().flatten();
                if hosts.chain(item.get("host")).any(|host| host == "*") {
                    self.note(of(), "hosts", &ANY_HOST);
                }
                if item.get("vars").is_some_and(has_regex) {
                    self.note(of(), "vars", &REGEX);
                }
            }
            Kind::Secret if id(item).is_some_and(|id| !id.starts_with("env/") && !id.starts_with("file/")) => {
                self.note(of(), "", &MANAGER);
            }
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
        for (plugin, block) in plugins(item) {
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
    item.get("plugins").and_then(Value::as_object).into_iter().flat_map(Map::iter)
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
                "identity-fields",
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
