//! Who refers to whom (model.md §10): what an item needs to be there, and what has to go before it can.
use serde_json::{Map, Value};

use crate::model::{
    ConsumerGroupSpec, ConsumerSpec, CredentialSpec, GlobalRuleSpec, Id, Items, Kind, PluginConfigSpec, PluginMap,
    PluginMetadataSpec, ProtoSpec, Resource, RouteSpec, SecretSpec, ServiceSpec, Snapshot, SslSpec, StreamRouteSpec,
    UpstreamSpec,
};

/// A field that holds the id of another item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) kind: Kind,
    pub(super) id: String,
    /// The field, for messages.
    pub(super) field: &'static str,
}

/// An item that may refer to others.
pub(super) trait Refers {
    /// Tells every reference.
    fn refer(&self, tell: &mut dyn FnMut(Kind, &str, &'static str));
}

/// Every reference of an item.
pub(super) fn of(item: &(impl Refers + ?Sized)) -> Vec<Reference> {
    let mut found = Vec::new();
    item.refer(&mut |kind, id, field| {
        let reference = Reference { kind, id: id.to_owned(), field };
        if !found.contains(&reference) {
            found.push(reference);
        }
    });
    found
}

/// Whether the item that a reference names must be there when the reference is written. A secret may come later: until
/// then whatever needs it fails closed. Protobuf definitions are looked up by plugins alone.
pub(super) fn must_exist(kind: Kind) -> bool {
    !matches!(kind, Kind::Secret | Kind::Proto)
}

/// What is wrong with a reference of an item that is written, in the words of the reference implementation. `there` is the
/// item that it names.
pub(super) fn fault(from: &str, reference: &Reference, there: Option<&Value>) -> Option<String> {
    let Reference { kind, id, .. } = reference;
    match (kind, there) {
        (Kind::StreamRoute, _) if id == from => Some("stream route cannot be its own superior".to_owned()),
        (Kind::Ssl, Some(ssl)) if ssl.get("type").and_then(Value::as_str) != Some("client") => {
            Some(format!("failed to fetch ssl info by ssl id [{id}], wrong ssl type"))
        }
        (_, Some(_)) => None,
        (kind, None) => {
            must_exist(*kind).then(|| format!("failed to fetch {kind} info by {kind} id [{id}], response code: 404"))
        }
    }
}

/// Whoever refers to an item first, in the order of kinds; `None` if it may go.
pub(super) fn user(snapshot: &Snapshot, kind: Kind, id: &str) -> Option<(Kind, Id)> {
    if referrers(kind).is_empty() {
        return None;
    }
    let in_use = (kind, id);
    first(&snapshot.routes, in_use)
        .or_else(|| first(&snapshot.services, in_use))
        .or_else(|| first(&snapshot.upstreams, in_use))
        .or_else(|| first(&snapshot.stream_routes, in_use))
        .or_else(|| first(&snapshot.plugin_configs, in_use))
        .or_else(|| first(&snapshot.global_rules, in_use))
        .or_else(|| first(&snapshot.consumers, in_use))
        .or_else(|| first(&snapshot.credentials, in_use))
        .or_else(|| first(&snapshot.consumer_groups, in_use))
        .or_else(|| first(&snapshot.plugin_metadata, in_use))
        .or_else(|| first(&snapshot.ssls, in_use))
}

/// The kinds whose items may refer to one of `kind`.
pub(super) fn referrers(kind: Kind) -> &'static [Kind] {
    const PLUGINS: [Kind; 8] = [
        Kind::Route,
        Kind::Service,
        Kind::StreamRoute,
        Kind::PluginConfig,
        Kind::GlobalRule,
        Kind::Consumer,
        Kind::ConsumerGroup,
        Kind::PluginMetadata,
    ];
    match kind {
        Kind::Upstream | Kind::Proto => &PLUGINS,
        Kind::Service => &[Kind::Route, Kind::StreamRoute],
        Kind::PluginConfig => &[Kind::Route],
        Kind::ConsumerGroup => &[Kind::Consumer],
        Kind::Ssl => &[Kind::Route, Kind::Service, Kind::Upstream, Kind::StreamRoute],
        Kind::StreamRoute => &[Kind::StreamRoute],
        Kind::Secret => &[
            Kind::Route,
            Kind::Service,
            Kind::Upstream,
            Kind::StreamRoute,
            Kind::PluginConfig,
            Kind::GlobalRule,
            Kind::Consumer,
            Kind::ConsumerGroup,
            Kind::PluginMetadata,
            Kind::Ssl,
        ],
        _ => &[],
    }
}

fn first<T: Refers + Resource>(items: &Items<T>, (kind, id): (Kind, &str)) -> Option<(Kind, Id)> {
    let uses = |item: &T| {
        let mut found = false;
        item.refer(&mut |to, named, _| found |= to == kind && named == id);
        found
    };
    let by = items.iter().find(|item| uses(item) && (T::KIND, item.id().as_str()) != (kind, id))?;
    Some((T::KIND, by.id().clone()))
}

type Tell<'a> = &'a mut dyn FnMut(Kind, &str, &'static str);

fn named(id: Option<&Id>, kind: Kind, field: &'static str, tell: Tell<'_>) {
    if let Some(id) = id {
        tell(kind, id.as_str(), field);
    }
}

/// What plugin blocks refer to, whatever the plugin: upstreams in lists of `weighted_upstreams` at any depth (traffic-split,
/// and workflow around it), a Protobuf definition at the top, secrets anywhere. A field of that name elsewhere is some
/// plugin's own.
fn plugins(plugins: Option<&PluginMap>, tell: Tell<'_>) {
    for (_, block) in plugins.into_iter().flat_map(PluginMap::iter) {
        self::block(block, tell);
    }
}

fn block(block: &Map<String, Value>, tell: Tell<'_>) {
    id(block.get("proto_id"), Kind::Proto, "plugin proto_id", tell);
    block.iter().for_each(|(name, value)| within(name, value, tell));
}

fn within(name: &str, value: &Value, tell: Tell<'_>) {
    match value {
        Value::String(text) => secret(text, tell),
        Value::Array(list) => {
            for value in list {
                if name == "weighted_upstreams" {
                    id(value.get("upstream_id"), Kind::Upstream, "plugin upstream_id", tell);
                }
                within("", value, tell);
            }
        }
        Value::Object(object) => object.iter().for_each(|(name, value)| within(name, value, tell)),
        _ => {}
    }
}

fn id(value: Option<&Value>, kind: Kind, field: &'static str, tell: Tell<'_>) {
    match value {
        Some(Value::String(id)) => tell(kind, id, field),
        Some(Value::Number(id)) => tell(kind, &id.to_string(), field),
        _ => {}
    }
}

/// `$secret://<manager>/<id>/<key>` refers to the manager `<manager>/<id>`.
fn secret(text: &str, tell: Tell<'_>) {
    if let Some(rest) = text.strip_prefix("$secret://") {
        let mut parts = rest.splitn(3, '/');
        if let (Some(manager), Some(id), Some(_)) = (parts.next(), parts.next(), parts.next()) {
            tell(Kind::Secret, &format!("{manager}/{id}"), "a secret reference");
        }
    }
}

fn upstream(upstream: &UpstreamSpec, tell: Tell<'_>) {
    let Some(tls) = &upstream.tls else { return };
    named(tls.client_cert_id.as_ref(), Kind::Ssl, "tls.client_cert_id", tell);
    tls.client_cert.iter().chain(&tls.ca).for_each(|text| secret(text, tell));
    tls.client_key.iter().for_each(|text| secret(text.expose(), tell));
}

impl Refers for RouteSpec {
    fn refer(&self, tell: Tell<'_>) {
        named(self.upstream_id.as_ref(), Kind::Upstream, "upstream_id", tell);
        named(self.service_id.as_ref(), Kind::Service, "service_id", tell);
        named(self.plugin_config_id.as_ref(), Kind::PluginConfig, "plugin_config_id", tell);
        self.upstream.iter().for_each(|inner| upstream(inner, tell));
        plugins(self.plugins.as_ref(), tell);
    }
}

impl Refers for ServiceSpec {
    fn refer(&self, tell: Tell<'_>) {
        named(self.upstream_id.as_ref(), Kind::Upstream, "upstream_id", tell);
        self.upstream.iter().for_each(|inner| upstream(inner, tell));
        plugins(self.plugins.as_ref(), tell);
    }
}

impl Refers for UpstreamSpec {
    fn refer(&self, tell: Tell<'_>) {
        upstream(self, tell);
    }
}

impl Refers for StreamRouteSpec {
    fn refer(&self, tell: Tell<'_>) {
        named(self.upstream_id.as_ref(), Kind::Upstream, "upstream_id", tell);
        named(self.service_id.as_ref(), Kind::Service, "service_id", tell);
        let superior = self.protocol.as_ref().and_then(|protocol| protocol.superior_id.as_ref());
        named(superior, Kind::StreamRoute, "protocol.superior_id", tell);
        self.upstream.iter().for_each(|inner| upstream(inner, tell));
        plugins(self.plugins.as_ref(), tell);
    }
}

impl Refers for ConsumerSpec {
    fn refer(&self, tell: Tell<'_>) {
        named(self.group_id.as_ref(), Kind::ConsumerGroup, "group_id", tell);
        plugins(self.plugins.as_ref(), tell);
    }
}

impl Refers for CredentialSpec {
    fn refer(&self, tell: Tell<'_>) {
        plugins(self.plugins.as_ref(), tell);
    }
}

impl Refers for ConsumerGroupSpec {
    fn refer(&self, tell: Tell<'_>) {
        plugins(Some(&self.plugins), tell);
    }
}

impl Refers for PluginConfigSpec {
    fn refer(&self, tell: Tell<'_>) {
        plugins(Some(&self.plugins), tell);
    }
}

impl Refers for GlobalRuleSpec {
    fn refer(&self, tell: Tell<'_>) {
        plugins(Some(&self.plugins), tell);
    }
}

impl Refers for PluginMetadataSpec {
    fn refer(&self, tell: Tell<'_>) {
        block(&self.config, tell);
    }
}

impl Refers for SslSpec {
    fn refer(&self, tell: Tell<'_>) {
        let certificates = std::iter::once(&self.cert).chain(&self.certs).map(String::as_str);
        let keys = std::iter::once(&self.key).chain(&self.keys).map(|key| key.expose());
        certificates.chain(keys).for_each(|text| secret(text, tell));
    }
}

impl Refers for SecretSpec {
    fn refer(&self, _: Tell<'_>) {}
}

impl Refers for ProtoSpec {
    fn refer(&self, _: Tell<'_>) {}
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{ReadOptions, read};

    fn snapshot(document: &Value) -> Snapshot {
        let read = read(document, &ReadOptions::default());
        assert!(read.errors().next().is_none(), "{:?}", read.findings);
        read.snapshot
    }

    fn split(id: &str) -> Value {
        json!({"traffic-split": {"rules": [{"weighted_upstreams": [{"upstream_id": id, "weight": 1}]}]}})
    }

    #[test]
    fn the_first_user_is_named() {
        let pem = "-----BEGIN CERTIFICATE-----\n".repeat(8);
        let cases = [
            ("upstream", json!({"routes": [{"id": "r", "uri": "/", "upstream_id": "1"}]}), "route r"),
            ("upstream", json!({"services": [{"id": "s", "upstream_id": 1}]}), "service s"),
            ("upstream", json!({"stream_routes": [{"id": "t", "upstream_id": "1"}]}), "stream route t"),
            ("upstream", json!({"routes": [{"id": "r", "uri": "/", "plugins": split("1")}]}), "route r"),
            ("upstream", json!({"services": [{"id": "s", "plugins": split("1")}]}), "service s"),
            ("upstream", json!({"plugin_configs": [{"id": "p", "plugins": split("1")}]}), "plugin config p"),
            ("upstream", json!({"global_rules": [{"id": "g", "plugins": split("1")}]}), "global rule g"),
            ("upstream", json!({"consumers": [{"username": "c", "plugins": split("1")}]}), "consumer c"),
            ("upstream", json!({"consumer_groups": [{"id": "h", "plugins": split("1")}]}), "consumer group h"),
            ("service", json!({"routes": [{"id": "r", "uri": "/", "service_id": "1"}]}), "route r"),
            ("service", json!({"stream_routes": [{"id": "t", "service_id": "1"}]}), "stream route t"),
            (
                "plugin config",
                json!({"routes": [{"id": "r", "uri": "/", "plugins": {}, "plugin_config_id": "1"}]}),
                "route r",
            ),
            ("consumer group", json!({"consumers": [{"username": "c", "group_id": "1"}]}), "consumer c"),
            (
                "proto",
                json!({"plugin_configs": [{"id": "p", "plugins": {"grpc-transcode": {"proto_id": 1}}}]}),
                "plugin config p",
            ),
            ("ssl", json!({"upstreams": [{"id": "u", "nodes": {}, "tls": {"client_cert_id": "1"}}]}), "upstream u"),
            (
                "ssl",
                json!({"services": [{"id": "s", "upstream": {"nodes": {}, "tls": {"client_cert_id": "1"}}}]}),
                "service s",
            ),
            (
                "stream route",
                json!({"stream_routes": [
                    {"id": "1", "protocol": {"name": "redis"}},
                    {"id": "t", "protocol": {"name": "redis", "superior_id": "1"}},
                ]}),
                "stream route t",
            ),
            (
                "secret vault/1",
                json!({"consumers": [{"username": "c", "plugins": {"key-auth": {"key": "$secret://vault/1/k/v"}}}]}),
                "consumer c",
            ),
            (
                "secret vault/1",
                json!({"ssls": [{"id": "x", "type": "client", "cert": pem, "key": "$secret://vault/1/k"}]}),
                "ssl x",
            ),
        ];
        let kinds = [
            Kind::Upstream,
            Kind::Service,
            Kind::PluginConfig,
            Kind::ConsumerGroup,
            Kind::Proto,
            Kind::Ssl,
            Kind::StreamRoute,
            Kind::Secret,
        ];
        for (deleted, document, expected) in cases {
            let snapshot = snapshot(&document);
            let kind = kinds
                .into_iter()
                .find(|kind| deleted.starts_with(kind.as_str()) && (*kind != Kind::Service || deleted == "service"))
                .unwrap();
            let id = if kind == Kind::Secret { "vault/1" } else { "1" };
            let (by, name) = user(&snapshot, kind, id).unwrap_or_else(|| panic!("{deleted} {document}"));
            assert_eq!(format!("{by} {name}"), expected, "{deleted}");
            assert!(referrers(kind).contains(&by), "{deleted}: the store's guard looks at {by}");
            assert_eq!(user(&snapshot, kind, "2"), None, "{deleted}");
        }
    }

    #[test]
    fn what_is_not_referred_to_may_go() {
        let snapshot = snapshot(&json!({
            "routes": [{"id": "1", "uri": "/", "service_id": "1"}],
            "services": [{"id": "1"}],
            "consumers": [{"username": "1"}],
            "plugin_configs": [{"id": "1", "plugins": {
                "limit-count": {"upstream_id": "1", "rules": [{"upstream_id": "1", "proto_id": "1"}]},
                "x": {"upstream": {"upstream_id": 1}},
            }}],
        }));
        for kind in [
            Kind::Route,
            Kind::Consumer,
            Kind::GlobalRule,
            Kind::PluginMetadata,
            Kind::Credential,
            Kind::Upstream,
            Kind::Proto,
        ] {
            assert_eq!(user(&snapshot, kind, "1"), None, "{kind}");
        }
    }

    #[test]
    fn references_have_to_lead_somewhere() {
        let stored = json!({
            "upstream/u": {"nodes": {"a:80": 1}},
            "ssl/c": {"type": "client"},
            "ssl/s": {"type": "server"},
            "ssl/d": {},
        });
        let judge = |kind: Kind, id: &str| {
            fault("t", &Reference { kind, id: id.to_owned(), field: "" }, stored.get(format!("{kind}/{id}")))
        };
        assert_eq!(judge(Kind::Upstream, "u"), None);
        assert_eq!(
            judge(Kind::Upstream, "v").unwrap(),
            "failed to fetch upstream info by upstream id [v], response code: 404"
        );
        assert_eq!(
            judge(Kind::Service, "u").unwrap(),
            "failed to fetch service info by service id [u], response code: 404"
        );
        assert_eq!(judge(Kind::Ssl, "c"), None);
        assert!(judge(Kind::Ssl, "s").unwrap().contains("wrong ssl type"));
        assert!(judge(Kind::Ssl, "d").unwrap().contains("wrong ssl type"), "as of the server unless said otherwise");
        assert!(judge(Kind::Ssl, "x").unwrap().contains("404"));
        assert!(judge(Kind::StreamRoute, "t").unwrap().contains("own superior"));
        assert_eq!(judge(Kind::Secret, "vault/1"), None);
    }
}
