//! What items say of each other.
use std::collections::{HashMap, HashSet};

use crate::model::{Finding, GlobalRuleSpec, Id, Items, Kind, Resource, Snapshot, SslType, UpstreamSpec};

/// Which global rule has which plugin.
#[derive(Default)]
pub(crate) struct GlobalPlugins(HashMap<String, Id>);

impl GlobalPlugins {
    /// Takes the plugins of `rule`, or finds that an earlier rule has one of them. Call in order of id.
    pub(crate) fn claim(&mut self, rule: &GlobalRuleSpec) -> Option<Finding> {
        let taken = rule.plugins.iter().find_map(|(name, _)| self.0.get(name).map(|earlier| (name, earlier)));
        if let Some((name, earlier)) = taken {
            let message = format!("is in the global rule `{earlier}` too");
            return Some(
                Finding::error(Kind::GlobalRule, Some(rule.id.clone()), format!("plugins.{name}"), message)
                    .with_mend("keep it in one of them"),
            );
        }
        self.0.extend(rule.plugins.iter().map(|(name, _)| (name.to_owned(), rule.id.clone())));
        None
    }
}

/// References to items that are not there: legal, answered 404, 502 or 503 when a request needs them (model.md §7.6).
pub(crate) fn dangling(snapshot: &Snapshot) -> Vec<Finding> {
    let upstreams = ids(&snapshot.upstreams);
    let services = ids(&snapshot.services);
    let plugin_configs = ids(&snapshot.plugin_configs);
    let groups = ids(&snapshot.consumer_groups);
    let consumers = ids(&snapshot.consumers);
    let certificates: HashMap<&str, SslType> = snapshot.ssls.iter().map(|ssl| (ssl.id.as_str(), ssl.purpose)).collect();
    let mut found = Dangling { found: Vec::new(), certificates };

    for (index, route) in snapshot.routes.iter().enumerate() {
        let from = From { kind: Kind::Route, id: &route.id, index };
        found.reference(&from, "upstream_id", route.upstream_id.as_ref(), &upstreams, "upstreams");
        found.reference(&from, "service_id", route.service_id.as_ref(), &services, "services");
        found.reference(&from, "plugin_config_id", route.plugin_config_id.as_ref(), &plugin_configs, "plugin_configs");
        found.client_certificate(&from, "upstream.tls.client_cert_id", route.upstream.as_deref());
    }
    for (index, service) in snapshot.services.iter().enumerate() {
        let from = From { kind: Kind::Service, id: &service.id, index };
        found.reference(&from, "upstream_id", service.upstream_id.as_ref(), &upstreams, "upstreams");
        found.client_certificate(&from, "upstream.tls.client_cert_id", service.upstream.as_deref());
    }
    for (index, upstream) in snapshot.upstreams.iter().enumerate() {
        let from = From { kind: Kind::Upstream, id: &upstream.id, index };
        found.client_certificate(&from, "tls.client_cert_id", Some(upstream));
    }
    for (index, consumer) in snapshot.consumers.iter().enumerate() {
        let from = From { kind: Kind::Consumer, id: &consumer.username, index };
        found.reference(&from, "group_id", consumer.group_id.as_ref(), &groups, "consumer_groups");
    }
    for (index, credential) in snapshot.credentials.iter().enumerate() {
        let from = From { kind: Kind::Credential, id: &credential.id, index };
        let owner = credential.consumer().map(Id::from);
        found.reference(&from, "id", owner.as_ref(), &consumers, "consumers");
    }
    found.stream_routes(snapshot, &upstreams, &services);
    found.found
}

fn ids<T: Resource>(items: &Items<T>) -> HashSet<&str> {
    items.iter().map(|item| item.id().as_str()).collect()
}

struct From<'a> {
    kind: Kind,
    id: &'a Id,
    index: usize,
}

struct Dangling<'a> {
    found: Vec<Finding>,
    certificates: HashMap<&'a str, SslType>,
}

impl Dangling<'_> {
    fn reference(&mut self, from: &From<'_>, field: &str, to: Option<&Id>, known: &HashSet<&str>, list: &str) {
        if let Some(to) = to.filter(|to| !known.contains(to.as_str())) {
            self.warn(from, field, format!("refers to `{to}`, which is not there"), format!("add it to `{list}`"));
        }
    }

    fn client_certificate(&mut self, from: &From<'_>, field: &str, upstream: Option<&UpstreamSpec>) {
        let Some(to) = upstream.and_then(|upstream| upstream.tls.as_ref()?.client_cert_id.as_ref()) else { return };
        match self.certificates.get(to.as_str()) {
            Some(SslType::Client) => {}
            Some(SslType::Server) => {
                let message = format!("refers to `{to}`, which is no client certificate");
                self.warn(from, field, message, "set its `type` to client".to_owned());
            }
            None => {
                let message = format!("refers to `{to}`, which is not there");
                self.warn(from, field, message, "add it to `ssls`, with `type: client`".to_owned());
            }
        }
    }

    fn stream_routes(&mut self, snapshot: &Snapshot, upstreams: &HashSet<&str>, services: &HashSet<&str>) {
        let protocols: HashMap<&str, Option<&str>> = snapshot
            .stream_routes
            .iter()
            .map(|route| (route.id.as_str(), route.protocol.as_ref().map(|protocol| protocol.name.as_str())))
            .collect();
        for (index, route) in snapshot.stream_routes.iter().enumerate() {
            let from = From { kind: Kind::StreamRoute, id: &route.id, index };
            self.reference(&from, "upstream_id", route.upstream_id.as_ref(), upstreams, "upstreams");
            self.reference(&from, "service_id", route.service_id.as_ref(), services, "services");
            self.client_certificate(&from, "upstream.tls.client_cert_id", route.upstream.as_deref());
            let Some(protocol) = &route.protocol else { continue };
            let Some(superior) = &protocol.superior_id else { continue };
            let field = "protocol.superior_id";
            match protocols.get(superior.as_str()) {
                Some(Some(name)) if *name == protocol.name => {}
                Some(_) => {
                    let message = format!("refers to `{superior}`, which speaks another protocol");
                    self.warn(&from, field, message, "write the same `protocol.name` in both".to_owned());
                }
                None => {
                    let message = format!("refers to `{superior}`, which is not there");
                    self.warn(&from, field, message, "add it to `stream_routes`".to_owned());
                }
            }
        }
    }

    fn warn(&mut self, from: &From<'_>, field: &str, message: String, mend: String) {
        let finding = Finding::warning(from.kind, Some(from.id.clone()), field, message);
        self.found.push(finding.with_index(from.index).with_mend(mend));
    }
}
