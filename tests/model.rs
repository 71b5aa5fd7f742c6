//! The data model: what is taken, what is refused, and how that is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]
use serde_json::{Value, json};
use tollgate::model::{
    Finding, Id, Kind, Method, NodeSpec, ReadOptions, RouteSpec, Seconds, Settings, Severity, Snapshot, Status,
    UnknownFields, UpstreamSpec, check, check_item, read,
};

const FORM: &str = "does not have the form that is needed here";
const RANGE: &str = "is out of range";
const UNKNOWN: &str = "is not a field that is known here";

/// The errors of one item under `key`, without the words that name the item.
fn faults(key: &str, item: &Value) -> Vec<String> {
    let read = read(&json!({key: [item]}), &ReadOptions::default());
    read.errors().map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
}

/// Reads each item under `key` and compares its errors; each expectation is `path: message`.
fn judge(key: &str, cases: &[(Value, &[String])]) {
    for (item, expected) in cases {
        assert_eq!(faults(key, item), *expected, "{key} {item}");
    }
}

fn at(path: &str, message: &str) -> String {
    format!("{path}: {message}")
}

/// `base` with `fields` over it; null removes.
fn merged(mut base: Value, fields: Value) -> Value {
    let object = base.as_object_mut().unwrap();
    for (name, value) in fields.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    base
}

fn route(fields: Value) -> Value {
    merged(json!({"id": "r", "uri": "/", "upstream_id": "u"}), fields)
}

fn upstream(fields: Value) -> Value {
    merged(json!({"id": "u", "nodes": {"a:80": 1}}), fields)
}

#[test]
fn all_faults_of_all_items_are_found_in_one_go() {
    let document = json!({
        "routes": [
            {"id": "r1", "uri": 5, "methods": ["GET", "FETCH"], "upsteam_id": "u1", "priority": "high"},
            {"id": "r1", "uri": "/b", "upstream_id": "u1"},
            {"uri": "/c", "uris": ["/d"], "plugins": {}},
        ],
        "upstreams": [{"id": "u1", "nodes": [
            {"host": "a", "port": 70000, "weight": -1},
            {"host": "b", "weight": 1, "port": 80},
            {"host": "B", "weight": 1},
        ]}],
        "rotues": [],
    });
    let read = read(&document, &ReadOptions::default());
    let found: Vec<_> = read.findings.iter().map(Finding::to_string).collect();
    assert_eq!(
        found,
        [
            "document, field rotues: is no kind of resource; it is ignored; did you mean `routes`?",
            "route `r1`, field methods[1]: is none of the words known here; write one of `GET`, `POST`, `PUT`, `DELETE`, \
             `PATCH`, `HEAD`, `OPTIONS`, `CONNECT`, `TRACE`, `PURGE`",
            "route `r1`, field priority: is a string; write an integer",
            "route `r1`, field upsteam_id: is not a field that is known here; did you mean `upstream_id`?",
            "route `r1`, field uri: is a number; write a string of 1 to 4096 characters",
            "route `r1`: leads nowhere; write at least one of `upstream_id`, `upstream`, `service_id` and `plugins` \
             (`plugin_config_id` alone is not enough)",
            "route `r1`, field id: is the id of an earlier item too; give one of them another id",
            "route `arr_3`: has both uri and uris; write `uri` for one path, or `uris` for several",
            "upstream `u1`, field nodes[0].port: is out of range; write an integer from 1 to 65535",
            "upstream `u1`, field nodes[0].weight: is out of range; write an integer from 0 to 4294967295",
            "upstream `u1`, field nodes: has b:80 twice; leave one of them out, or give it another `priority`",
        ]
    );
}

#[test]
fn an_item_with_an_error_is_rejected_and_the_rest_is_taken() {
    let document = json!({
        "routes": [
            {"id": "bad", "uri": "/x", "hosts": ["A.test"], "methods": ["GET"], "service_id": "s", "upstream_id": 0,
             "vars": [["arg_a", "==", "1"]], "priority": 7},
            {"id": 7, "uri": "/y", "plugins": {}},
            {"id": "unreadable", "uri": ["/x"], "plugins": {}},
            {"id": "off", "uri": "/x", "status": 0, "plugins": []},
        ],
        "services": [{"id": "s"}],
    });
    let snapshot = read(&document, &ReadOptions::default()).snapshot;
    assert_eq!(snapshot.routes.len(), 1);
    assert_eq!(snapshot.routes[0].id, "7");
    let rejected: Vec<_> = snapshot.rejected.iter().map(|item| (item.kind, item.id.clone(), item.index)).collect();
    let expected = |id: &str, index| (Kind::Route, Some(Id::from(id)), Some(index));
    assert_eq!(rejected, [expected("bad", 0), expected("unreadable", 2), expected("off", 3)]);

    let part = snapshot.rejected[0].match_part.clone().expect("paths, hosts and methods can be read");
    assert_eq!(part.uris, [std::sync::Arc::<str>::from("/x")]);
    assert_eq!(part.hosts, ["a.test".into()]);
    assert_eq!(part.methods, [Method::Get]);
    assert_eq!(part.service_id, Some("s".into()));
    assert_eq!(part.priority, 7);
    assert_eq!(part.vars, Some(json!([["arg_a", "==", "1"]])));
    assert_eq!(snapshot.rejected[1].match_part, None, "its path cannot be read");
    assert_eq!(snapshot.rejected[2].match_part, None, "it is not in use");
}

#[test]
fn rules_of_routes() {
    let long = "/".repeat(4097);
    judge(
        "routes",
        &[
            (route(json!({})), &[]),
            (route(json!({"uri": null, "uris": ["/a", "/b/*"]})), &[]),
            (route(json!({"upstream_id": null, "plugins": {}})), &[]),
            (route(json!({"upstream_id": null, "service_id": 3})), &[]),
            (route(json!({"methods": [], "vars": []})), &[]),
            (route(json!({"status": 0, "priority": -5, "enable_websocket": false, "encoded_slash": "keep"})), &[]),
            (route(json!({"create_time": 1, "update_time": 2})), &[]),
            (route(json!({"timeout": {"connect": 0.5, "send": 1, "read": 1}})), &[]),
            (route(json!({"hosts": ["*", "*.a", "a_b", "a:80", "[::1]:80"]})), &[]),
            (route(json!({"remote_addrs": ["::1/128", "10.0.0.1"]})), &[]),
            (route(json!({"filter_func": "in_office_hours"})), &[]),
            (route(json!({"id": "x".repeat(64)})), &[]),
            // References to secrets are judged by whoever resolves them.
            (route(json!({"host": "$env://THE_HOST", "name": "$secret://vault/1/name"})), &[]),
            (route(json!({"uri": null})), &[at("", "has neither uri nor uris")]),
            (route(json!({"uri": null, "uris": []})), &[at("uris", "has 0 entries")]),
            (route(json!({"uri": null, "uris": ["/a", "/a"]})), &[at("uris[1]", "stands in the list twice")]),
            (route(json!({"uri": ""})), &[at("uri", "is empty")]),
            (route(json!({"uri": long})), &[at("uri", "has 4097 characters")]),
            (route(json!({"host": "a", "hosts": ["b"]})), &[at("", "has both host and hosts")]),
            (route(json!({"host": "a b"})), &[at("host", FORM)]),
            (route(json!({"host": "**"})), &[at("host", FORM)]),
            (route(json!({"remote_addr": "10.0.0.0/33"})), &[at("remote_addr", "is no address or network")]),
            (
                route(json!({"remote_addr": "::1", "remote_addrs": ["::1"]})),
                &[at("", "has both remote_addr and remote_addrs")],
            ),
            (route(json!({"status": 2})), &[at("status", RANGE)]),
            (route(json!({"priority": 1.5})), &[at("priority", "is not a whole number")]),
            (route(json!({"upstream_id": null, "plugin_config_id": "p"})), &[at("", "leads nowhere")]),
            (
                route(json!({"script": "return 1", "script_id": 1})),
                &[at("script", "is not supported"), at("script_id", "is not supported")],
            ),
            (route(json!({"service_protocol": "grpc"})), &[at("service_protocol", "is not supported")]),
            (route(json!({"filter_func": "function(vars) return true end"})), &[at("filter_func", FORM)]),
            (route(json!({"plugins": {"key-auth": []}})), &[at("plugins.key-auth", "is an array")]),
            (
                route(json!({"timeout": {"connect": 0, "send": 1}})),
                &[at("timeout.connect", RANGE), at("timeout.read", "is missing")],
            ),
            (
                route(json!({"labels": {"a b": "x", "c": "d e", "f": 1}})),
                &[at("labels.c", FORM), at("labels.f", "is a number")],
            ),
            (route(json!({"id": "a/b"})), &[at("id", "is no id")]),
            (route(json!({"id": 0})), &[at("id", "is no id")]),
            (route(json!({"id": "x".repeat(65)})), &[at("id", "is no id")]),
            (route(json!({"enabeld": true})), &[at("enabeld", UNKNOWN)]),
        ],
    );
}

#[test]
fn rules_of_meta() {
    let with = |meta: Value| route(json!({"plugins": {"cors": {"_meta": meta}}}));
    let path = |field: &str| format!("plugins.cors._meta.{field}");
    judge(
        "routes",
        &[
            (with(json!({"disable": true, "filter": [], "error_response": {"a": 1}, "priority": -1})), &[]),
            (with(json!({"error_response": "no"})), &[]),
            (with(json!({"error_response": 5})), &[at(&path("error_response"), "is neither a string nor an object")]),
            (
                with(json!({"disabled": true, "pre_function": "x", "priority": "1"})),
                &[
                    at(&path("disabled"), UNKNOWN),
                    at(&path("pre_function"), "is not supported"),
                    at(&path("priority"), "is a string"),
                ],
            ),
        ],
    );
}

#[test]
fn rules_of_nodes() {
    let nodes = |nodes: Value| upstream(json!({ "nodes": nodes }));
    let key = "this key cannot stand here";
    judge(
        "upstreams",
        &[
            (nodes(json!({})), &[]),
            (nodes(json!([])), &[]),
            (nodes(json!({"a": 1, "a:81": 0, "[::1]": 1, "[::1]:81": 2})), &[]),
            (nodes(json!([{"host": "a", "weight": 1, "priority": -1}, {"host": "a", "weight": 1}])), &[]),
            (nodes(json!([{"service": "demo", "weight": 1}])), &[]),
            (nodes(json!({"::1": 1})), &[at(r#"nodes["::1"]"#, key)]),
            (nodes(json!({"a:0": 1})), &[at(r#"nodes["a:0"]"#, key)]),
            (nodes(json!({"http://a": 1})), &[at(r#"nodes["http://a"]"#, key)]),
            (nodes(json!({"a:80": "1"})), &[at(r#"nodes["a:80"]"#, "is a string")]),
            (nodes(json!({"a": 1, "a:80": 1})), &[at("nodes", "has a:80 twice")]),
            (nodes(json!("a:80")), &[at("nodes", "is a string")]),
            (nodes(json!([{"host": "a"}])), &[at("nodes[0].weight", "is missing")]),
            (nodes(json!([{"host": "::1", "weight": 1}])), &[at("nodes[0].host", FORM)]),
            (nodes(json!([{"weight": 1}])), &[at("nodes[0]", "has neither host nor service")]),
            (
                nodes(json!([{"service": "demo", "host": "a", "weight": 1}])),
                &[at("nodes[0]", "has both host and service")],
            ),
            (
                nodes(json!([{"service": "demo", "weight": 1}, {"service": "demo", "weight": 2}])),
                &[at("nodes", "has service demo twice")],
            ),
            (
                upstream(json!({"scheme": "tcp", "nodes": {"a": 1}})),
                &[at("nodes", "has a node without a port, and tcp has none by default")],
            ),
            (upstream(json!({"nodes": null})), &[at("", "has no endpoints")]),
            (upstream(json!({"nodes": null, "service_name": "x"})), &[at("", "has half of a discovery")]),
            (upstream(json!({"nodes": null, "service_name": "x", "discovery_type": "dns"})), &[]),
            (
                upstream(json!({"discovery_type": "dns", "service_name": "x"})),
                &[at("", "has both nodes and a discovery")],
            ),
        ],
    );
}

#[test]
fn rules_of_upstreams() {
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}", "A".repeat(128));
    let healthy = json!({"checks": {"active": {"healthy": {"successes": 0, "http_statuses": [199]}}}});
    judge(
        "upstreams",
        &[
            (upstream(json!({})), &[]),
            (upstream(json!({"type": "my-own-balancer"})), &[]),
            (upstream(json!({"type": "chash", "key": "remote_addr"})), &[]),
            (upstream(json!({"type": "chash", "hash_on": "header", "key": "X-User"})), &[]),
            (upstream(json!({"type": "chash", "hash_on": "consumer"})), &[]),
            (upstream(json!({"retry_on": [503, "5xx", "gateway-error", "reset", "unavailable"]})), &[]),
            (
                upstream(json!({"retry_on": [99, "5xy"]})),
                &[at("retry_on[0]", "is out of range"), at("retry_on[1]", "is none of the words known here")],
            ),
            (upstream(json!({"hedge": {}})), &[at("hedge.after_ms", "is missing")]),
            (
                upstream(json!({"adaptive_concurrency": {"min": 9, "tolerance": 0.5}, "max_requests": 8})),
                &[
                    at("adaptive_concurrency.tolerance", "is out of range"),
                    at("adaptive_concurrency", "has a `min` above `max_requests`"),
                ],
            ),
            (upstream(json!({"pass_host": "rewrite", "upstream_host": "b.test"})), &[]),
            (upstream(json!({"retries": 0, "retry_timeout": 0.5})), &[]),
            (upstream(json!({"checks": {"passive": {}}})), &[]),
            (upstream(json!({"tls": {"client_cert_id": "c", "sni": "a.test", "ca": pem}})), &[]),
            (upstream(json!({"scheme": "htps"})), &[at("scheme", "is none of the words known here")]),
            (upstream(json!({"pass_host": "rewrite"})), &[at("", "has pass_host rewrite, but no host to write")]),
            (upstream(json!({"type": "chash"})), &[at("key", "is missing")]),
            (upstream(json!({"type": "chash", "key": "$remote_addr"})), &[at("key", "cannot be hashed")]),
            (upstream(json!({"type": "chash", "hash_on": "cookie", "key": "a b"})), &[at("key", "cannot be hashed")]),
            (upstream(json!({"retries": -1})), &[at("retries", RANGE)]),
            (upstream(json!({"keepalive_pool": {"size": 0}})), &[at("keepalive_pool.size", RANGE)]),
            (upstream(json!({"checks": {}})), &[at("checks", "checks nothing")]),
            (
                upstream(healthy),
                &[at("checks.active.healthy.http_statuses[0]", RANGE), at("checks.active.healthy.successes", RANGE)],
            ),
            (upstream(json!({"tls": {"client_cert": pem}})), &[at("tls", "has one half of a client certificate")]),
            (
                upstream(json!({"tls": {"client_key": "short"}})),
                &[at("tls.client_key", "has 5 characters"), at("tls", "has one half of a client certificate")],
            ),
            (upstream(json!({"retry_budget": {"ratio": 0.5, "min": 1}})), &[at("retry_budget.min", UNKNOWN)]),
            (upstream(json!({"panic_threshold": 101})), &[at("panic_threshold", RANGE)]),
            (upstream(json!({"affinity": {"cookie": "stay", "secret": "$env://STAY"}})), &[]),
            (upstream(json!({"affinity": {"path": "/a"}})), &[at("affinity.cookie", "is missing")]),
            (
                upstream(json!({"affinity": {"cookie": "a b"}})),
                &[at("affinity.cookie", "does not have the form that is needed here")],
            ),
            (
                upstream(json!({"affinity": {"cookie": "a", "same_site": "none"}})),
                &[at("affinity", "has same_site none, which browsers refuse without secure")],
            ),
            (upstream(json!({"slow_start": {"window_ms": 30_000, "aggression": 0.5}})), &[]),
            (
                upstream(json!({"slow_start": {"aggression": 0}})),
                &[at("slow_start.aggression", RANGE), at("slow_start.window_ms", "is missing")],
            ),
            (upstream(json!({"max_requests": 0})), &[at("max_requests", RANGE)]),
        ],
    );
}

#[test]
fn rules_of_the_other_resources() {
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}", "A".repeat(128));
    let ssl = |fields: Value| merged(json!({"id": "c", "cert": pem, "key": pem, "sni": "a.test"}), fields);
    judge(
        "services",
        &[
            (json!({}), &[]),
            (json!({"uri": "/"}), &[at("uri", UNKNOWN)]),
            (json!({"hosts": []}), &[at("hosts", "has 0 entries")]),
        ],
    );
    judge(
        "consumers",
        &[
            (json!({"username": "jack_1", "plugins": {"key-auth": {"key": "k"}}}), &[]),
            (json!({"username": "jack", "id": "jack"}), &[]),
            (json!({"username": "jack", "id": "jill"}), &[at("id", "is not the username")]),
            (json!({"username": "a.b"}), &[at("username", FORM)]),
            (json!({"id": "jack/credentials/c1", "plugins": {"key-auth": {"key": "k"}}}), &[]),
            (json!({"id": "jack/credentials/c1", "plugins": {"a": {}, "b": {}}}), &[at("plugins", "has 2 plugins")]),
            (json!({"id": "/credentials/"}), &[at("id", "has 13 characters")]),
        ],
    );
    judge(
        "consumer_groups",
        &[(json!({"id": "g", "plugins": {}}), &[]), (json!({"plugins": {}}), &[at("id", "is missing")])],
    );
    judge("plugin_configs", &[(json!({"id": "p"}), &[at("plugins", "is missing")])]);
    judge("global_rules", &[(json!({"id": "g", "plugins": {}, "name": "x"}), &[at("name", UNKNOWN)])]);
    judge(
        "plugin_metadata",
        &[
            (json!({"id": "http-logger", "log_format": {"host": "$host"}}), &[]),
            (json!({"log_format": {}}), &[at("id", "is missing")]),
        ],
    );
    judge(
        "plugins",
        &[
            (json!({"name": "cors"}), &[]),
            (json!({"name": "mqtt-proxy", "stream": true}), &[]),
            (json!("cors"), &[at("", "is a string")]),
        ],
    );
    judge(
        "protos",
        &[
            (json!({"id": 1, "content": "syntax = \"proto3\";"}), &[]),
            (json!({"id": 1, "content": ""}), &[at("content", "is empty")]),
        ],
    );
    judge(
        "secrets",
        &[
            (json!({"id": "vault/1", "uri": "http://v", "prefix": "kv", "token": "$ENV://TOKEN"}), &[]),
            (
                json!({"id": "vault/1", "uri": "http://v", "tokn": "x"}),
                &[at("tokn", UNKNOWN), at("prefix", "is missing"), at("token", "is missing")],
            ),
            (json!({"id": "gcp/1"}), &[at("", "needs one account")]),
            (json!({"id": "gcp/1", "auth_file": "/x"}), &[]),
            (json!({"id": "aws/1", "access_key_id": "a", "secret_access_key": "b"}), &[]),
            (json!({"id": "azure/1"}), &[at("id", FORM)]),
        ],
    );
    judge(
        "ssls",
        &[
            (ssl(json!({})), &[]),
            (ssl(json!({"cert": "$secret://vault/1/a/cert", "key": "$env://KEY"})), &[]),
            (ssl(json!({"sni": null})), &[at("", "has no server name")]),
            (ssl(json!({"sni": null, "type": "client"})), &[]),
            (ssl(json!({"snis": ["b"]})), &[at("", "has both sni and snis")]),
            (ssl(json!({"cert": null})), &[at("cert", "is missing")]),
            (json!({"id": "c", "acme": true, "sni": "a.test"}), &[]),
            (json!({"id": "c", "acme": false, "sni": "a.test"}), &[at("cert", "is missing"), at("key", "is missing")]),
            (ssl(json!({"acme": true})), &[at("", "has both acme and a certificate")]),
            (
                json!({"id": "c", "acme": true, "type": "client"}),
                &[at("", "is for upstreams, and acme is for listeners")],
            ),
            (ssl(json!({"certs": [pem]})), &[at("", "has 1 certs and 0 keys")]),
            (ssl(json!({"client": {"depth": 1}})), &[at("client.ca", "is missing")]),
            (ssl(json!({"ssl_protocols": ["TLSv1.2", "TLSv1.3"]})), &[]),
            (ssl(json!({"ssl_protocols": ["SSLv3"]})), &[at("ssl_protocols[0]", "is none of the words known here")]),
            (ssl(json!({"ocsp_stapling": {"enabled": true, "skip_verify": false, "cache_ttl": 60}})), &[]),
            (ssl(json!({"ocsp_stapling": {"cache_ttl": 59}})), &[at("ocsp_stapling.cache_ttl", RANGE)]),
        ],
    );
    judge(
        "stream_routes",
        &[
            (json!({"server_port": 9100, "upstream_id": 1}), &[]),
            (json!({"server_port": 0}), &[at("server_port", RANGE)]),
            (json!({"id": "a", "protocol": {"name": "redis", "superior_id": "a"}}), &[at("", "is its own superior")]),
        ],
    );
}

#[test]
fn unknown_fields_are_refused_or_warned_about() {
    let document = json!({
        "tollgate": {"unknown_fields": "warn"},
        "routes": [{"id": "r", "uri": "/", "upstream": {"nodes": {"a": 1}, "colour": "red"}, "flavour": 1}],
    });
    let lenient = read(&document, &ReadOptions::default());
    let paths: Vec<_> = lenient.findings.iter().map(|finding| (finding.severity, finding.path.as_str())).collect();
    assert_eq!(paths, [(Severity::Warning, "flavour"), (Severity::Warning, "upstream.colour")]);
    assert_eq!(lenient.snapshot.routes.len(), 1);
    assert_eq!(lenient.snapshot.warnings, lenient.findings);

    let strict = read(&document, &ReadOptions::default().with_unknown_fields(UnknownFields::Reject));
    assert_eq!(strict.errors().count(), 2);
    assert!(strict.snapshot.routes.is_empty());
}

#[test]
fn where_the_reference_takes_unknown_fields_they_are_warnings() {
    let item = upstream(json!({
        "nodes": [{"host": "a", "weight": 1, "zone": "x"}],
        "tls": {"verify": true, "ciphers": "x"},
        "keepalive_pool": {"pool": 1},
        "checks": {"active": {"retry": 1, "healthy": {"hello": 1}}, "more": 1},
    }));
    let read = read(&json!({"upstreams": [item]}), &ReadOptions::default());
    let paths: Vec<_> = read.findings.iter().map(|finding| finding.path.as_str()).collect();
    let expected = [
        "checks.active.healthy.hello",
        "checks.active.retry",
        "checks.more",
        "keepalive_pool.pool",
        "nodes[0].zone",
        "tls.ciphers",
    ];
    assert_eq!(paths, expected);
    assert_eq!(read.errors().count(), 0);
    assert_eq!(read.snapshot.upstreams.len(), 1);
}

#[test]
fn extensions_are_named_on_demand() {
    let item = upstream(json!({"max_requests": 5, "tls": {"sni": "a.test"}, "nodes": [{"service": "s", "weight": 1}]}));
    let read = read(&json!({"upstreams": [item]}), &ReadOptions::default().naming_extensions());
    let paths: Vec<_> = read.findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["max_requests", "nodes[0].service", "tls.sni"]);
    assert_eq!(read.errors().count(), 0);
}

#[test]
fn items_are_called_by_id_username_or_place() {
    let document = json!({
        "routes": [
            {"uri": "/a", "plugins": {}},
            {"id": 12, "uri": "/b", "plugins": {}},
            {"uri": "/c", "plugins": {}},
        ],
        "consumers": [{"username": "jack"}, {"id": "jack/credentials/one"}],
        "plugins": [{"name": "cors"}, {"name": "key-auth"}],
    });
    let read = read(&document, &ReadOptions::default());
    assert_eq!(read.findings, []);
    let snapshot = &read.snapshot;
    let ids: Vec<_> = snapshot.routes.iter().map(|route| route.id.as_str()).collect();
    assert_eq!(ids, ["arr_1", "12", "arr_3"]);
    assert_eq!(snapshot.consumers[0].username, "jack");
    assert_eq!(snapshot.credentials[0].consumer(), Some("jack"));
    assert_eq!(snapshot.credentials[0].short_id(), Some("one"));
    assert_eq!(snapshot.plugins.as_ref().unwrap().len(), 2);
}

#[test]
fn of_two_items_with_one_id_the_later_is_rejected() {
    let document = json!({"upstreams": [{"id": 1, "nodes": {"a": 1}}, {"id": "1", "nodes": {"b": 1}}]});
    let snapshot = read(&document, &ReadOptions::default()).snapshot;
    assert_eq!(snapshot.upstreams.len(), 1);
    assert_eq!(snapshot.upstreams[0].nodes.as_ref().unwrap()[0].host, Some("a".into()));
    assert_eq!(snapshot.rejected[0].index, Some(1));
}

#[test]
fn a_plugin_stands_in_one_global_rule() {
    let document = json!({"global_rules": [
        {"id": "b", "plugins": {"cors": {}, "prometheus": {}}},
        {"id": "a", "plugins": {"cors": {}}},
    ]});
    let read = read(&document, &ReadOptions::default());
    assert_eq!(read.snapshot.global_rules.len(), 1);
    assert_eq!(read.snapshot.global_rules[0].id, "a", "the earlier by id stays");
    assert_eq!(
        read.findings[0].to_string(),
        "global rule `b`, field plugins.cors: is in the global rule `a` too; keep it in one of them"
    );

    let mut built = read.snapshot.clone();
    let mut other = (*built.global_rules[0]).clone();
    other.id = "c".into();
    built.global_rules.push(other);
    let found = check(&built);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, Some("c".into()));
}

#[test]
fn references_that_lead_nowhere_are_warnings() {
    let document = json!({
        "routes": [{"id": "r", "uri": "/", "upstream_id": "u", "service_id": "s", "plugin_config_id": "p"}],
        "services": [{"id": "s", "upstream_id": "u"}],
        "upstreams": [{"id": "x", "nodes": {"a": 1}, "tls": {"client_cert_id": "c"}}],
        "consumers": [{"username": "jack", "group_id": "g"}, {"id": "jill/credentials/c1"}],
        "stream_routes": [{"id": "t", "protocol": {"name": "redis", "superior_id": "y"}}],
    });
    let read = read(&document, &ReadOptions::default());
    assert_eq!(read.errors().count(), 0);
    let lines: Vec<_> = read.findings.iter().map(Finding::to_string).collect();
    assert_eq!(
        lines,
        [
            "route `r`, field upstream_id: refers to `u`, which is not there; add it to `upstreams`",
            "route `r`, field plugin_config_id: refers to `p`, which is not there; add it to `plugin_configs`",
            "service `s`, field upstream_id: refers to `u`, which is not there; add it to `upstreams`",
            "upstream `x`, field tls.client_cert_id: refers to `c`, which is not there; add it to `ssls`, with `type: client`",
            "consumer `jack`, field group_id: refers to `g`, which is not there; add it to `consumer_groups`",
            "credential `jill/credentials/c1`, field id: refers to `jill`, which is not there; add it to `consumers`",
            "stream route `t`, field protocol.superior_id: refers to `y`, which is not there; add it to `stream_routes`",
        ]
    );
    let mut of_code = check(&read.snapshot);
    assert_eq!((of_code[5].index, read.findings[5].index), (Some(0), Some(1)), "in its list; in the document's");
    of_code[5].index = Some(1);
    assert_eq!(of_code, read.findings, "a snapshot is judged alike, wherever it comes from");
}

#[test]
fn snapshots_built_in_code_are_judged_by_the_same_rules() {
    let mut snapshot = Snapshot::default();
    snapshot.routes.push(RouteSpec::new("r", "/"));
    snapshot.routes.push(RouteSpec { plugins: Some(Default::default()), ..RouteSpec::new("r", "") });
    snapshot.upstreams.push(UpstreamSpec::new("", [NodeSpec::host("a", 0)]));
    snapshot.settings = Settings { workers: Some(0), ..Settings::default() }.into();
    let found = check(&snapshot);
    let lines: Vec<_> =
        found.iter().map(|it| format!("{} {:?} {}: {}", it.kind, it.index, it.path, it.message)).collect();
    assert_eq!(
        lines,
        [
            "route Some(0) : leads nowhere",
            "route Some(1) uri: is empty",
            "route Some(1) id: is the id of an earlier item too",
            "upstream Some(0) id: is missing",
            "upstream Some(0) nodes[0].port: is out of range",
            "settings None workers: is out of range",
        ]
    );
    let valid = UpstreamSpec::new("u", [NodeSpec::host("[::1]", 80), NodeSpec::service("demo").with_weight(0)]);
    assert_eq!(check_item(&valid), []);
}

#[test]
fn settings_have_the_published_defaults() {
    let read = read(&json!({"tollgate": {}}), &ReadOptions::default());
    assert_eq!(*read.snapshot.settings, Settings::default());
    let written = serde_json::to_value(Settings::default()).unwrap();
    let listener = json!({
        "address": "127.0.0.1:9080", "protocols": ["h1", "h2c"], "backlog": 4096, "reuse_port": false,
        "drain_when_removed": false,
    });
    assert_eq!(written["listeners"], json!([listener]));
    assert_eq!(
        written["router"],
        json!({"host_first": true, "parameters": true, "path_mode": "strict", "encoded_slash": "reject",
               "method_not_allowed": false, "delete_uri_tail_slash": false, "normalize_uri_like_servlet": false,
               "match_uri_encoded_slash": false})
    );
    for (name, value) in [
        ("request_line_bytes", 8192),
        ("header_bytes", 32768),
        ("field_bytes", 8192),
        ("header_count", 100),
        ("body_bytes", 16777216),
        ("head_timeout_ms", 10000),
        ("body_timeout_ms", 15000),
        ("idle_timeout_ms", 60000),
        ("max_connections", 10000),
    ] {
        assert_eq!(written["limits"][name], json!(value), "{name}");
    }
    for (name, value) in [("errors", "catalogue"), ("unknown_plugin", "reject"), ("unknown_fields", "reject")] {
        assert_eq!(written[name], value, "{name}");
    }
    assert_eq!(written["trusted_proxies"], json!([]));
}

#[test]
fn faults_of_settings_leave_the_defaults() {
    let document = json!({"tollgate": {
        "limits": {"header_count": 0, "max_conections": 5},
        "listeners": [{"address": "localhost:80"}, {"address": "0.0.0.0:80"}, {"address": "0.0.0.0:80", "protocols": []}],
        "router": {"match_uri_encoded_slash": true},
    }});
    let read = read(&document, &ReadOptions::default());
    let lines: Vec<_> = read.findings.iter().map(|finding| at(&finding.path, &finding.message)).collect();
    assert_eq!(
        lines,
        [
            "limits.header_count: is out of range",
            "limits.max_conections: is not a field that is known here",
            "listeners[0].address: does not have the form that is needed here",
            "listeners[2].protocols: has 0 entries",
            "router.match_uri_encoded_slash: works with path_mode compatible only",
            "listeners: has 0.0.0.0:80 twice",
        ]
    );
    assert_eq!(*read.snapshot.settings, Settings::default());
    assert_eq!(read.snapshot.rejected[0].kind, Kind::Settings);
}

#[test]
fn listeners_say_what_goes_together() {
    let cases = [
        (json!({"address": "127.0.0.1:1", "protocols": ["h2"]}), "has h2, which is HTTP/2 over TLS"),
        (json!({"address": "127.0.0.1:1", "mode": "0660"}), "has a mode and is no Unix socket at a path"),
        (json!({"address": "unix:/run/s", "mode": "rwx"}), ".mode: does not have the form that is needed here"),
        (json!({"address": "0.0.0.0:1", "ipv6_only": true}), "has ipv6_only and no address of IPv6"),
        (json!({"address": "unix:@s", "reuse_port": true}), "has reuse_port and no address of TCP"),
        (
            json!({"address": "unix:@s", "proxy_protocol": {"optional": true}}),
            "has an optional PROXY header on a Unix socket",
        ),
        (json!({"address": "127.0.0.1:1", "proxy_protocol": {"from": ["x"]}}), ".proxy_protocol.from[0]: "),
        (json!({"address": "127.0.0.1:1", "proxy_protocol": "yes"}), ".proxy_protocol: is "),
        (
            json!({"address": "0.0.0.0:1", "proxy_protocol": true}),
            "takes PROXY headers of this machine alone, and listens on more than its loopback",
        ),
        (
            json!({"address": "127.0.0.1:1", "proxy_protocol": {"from": ["0.0.0.0/0"]}}),
            "believes PROXY headers of everybody: whoever reaches it can claim any address",
        ),
        (
            json!({"address": "0.0.0.0:1", "protocols": ["h2c"]}),
            "speaks HTTP/2 in clear text on more than the loopback",
        ),
        (json!({"address": "127.0.0.1:1", "tls": false, "proxy_protocol": false}), ""),
        (json!({"address": "systemd:web", "proxy_protocol": {"optional": true}}), ""),
        (json!({"address": "[::]:1", "ipv6_only": true, "reuse_port": true, "backlog": 1, "max_connections": 5}), ""),
    ];
    let with_tls = [
        (
            json!({"address": "127.0.0.1:1", "tls": true, "protocols": ["h1", "h2c"]}),
            "has h2c, which is HTTP/2 without TLS",
        ),
        (json!({"address": "127.0.0.1:1", "tls": {"ssl_protocols": ["TLSv1.1"]}}), ".tls.ssl_protocols[0]: "),
        (json!({"address": "127.0.0.1:1", "tls": {"fallback_sni": "a.test"}, "protocols": ["h2"]}), ""),
    ];
    let with_tls = if cfg!(feature = "tls") { &with_tls[..] } else { &[] };
    for (listener, message) in cases.iter().chain(with_tls) {
        let read = read(&json!({"tollgate": {"listeners": [listener]}}), &ReadOptions::default());
        let lines: Vec<_> = read.findings.iter().map(|finding| at(&finding.path, &finding.message)).collect();
        match message.is_empty() {
            true => assert!(lines.is_empty(), "{listener} {lines:?}"),
            false => assert!(lines.len() == 1 && lines[0].contains(message), "{listener} {lines:?}"),
        }
    }
    let spec: tollgate::model::ListenerSpec =
        serde_json::from_value(json!({"address": "[::1]:1", "tls": true})).unwrap();
    assert_eq!((spec.speaks(), spec.tls), ((true, true), Some(tollgate::model::ListenerTls::default())));
    let written = serde_json::to_value(tollgate::model::ListenerSpec::new(
        "unix:@s".parse::<tollgate::model::ListenAddress>().unwrap(),
    ));
    assert_eq!(written.unwrap()["address"], "unix:@s");
}

#[test]
fn a_document_that_is_none_is_unusable() {
    for document in [json!([]), json!("x"), json!({"routes": {"a": 1}})] {
        assert!(read(&document, &ReadOptions::default()).is_unusable(), "{document}");
    }
    for document in [json!(null), json!({}), json!({"routes": null}), json!({"routes": []})] {
        let read = read(&document, &ReadOptions::default());
        assert!(!read.is_unusable() && read.findings.is_empty(), "{document}");
    }
}

#[test]
fn the_wire_form_round_trips() {
    let document = json!({
        "routes": [route(json!({
            "uris": ["/a"], "uri": null, "status": 0, "labels": {"a": "b"}, "methods": ["PURGE"],
            "timeout": {"connect": 0.25, "send": 1, "read": 2}, "plugins": {"b": {"x": [1, null]}, "a": {}},
            "upstream": {"nodes": [{"host": "[::1]", "port": 80, "weight": 0, "priority": -3, "metadata": {"z": 1}}]},
        }))],
        "upstreams": [upstream(json!({
            "checks": {"active": {"type": "tcp"}, "passive": {}}, "tls": {"sni": "x"}, "retry_on": [503],
            "retry_methods": ["POST"],
        }))],
        "consumers": [{"username": "jack"}, {"id": "jack/credentials/c", "plugins": {"key-auth": {"key": "k"}}}],
        "secrets": [{"id": "vault/1", "uri": "http://v", "prefix": "kv", "token": "t"}],
        "plugin_metadata": [{"id": "cors", "allow_origins": {"a": "b"}}],
        "plugins": [],
        "tollgate": {"workers": 3, "trusted_proxies": ["10.0.0.0/8", "::1"]},
    });
    let first = read(&document, &ReadOptions::default());
    assert_eq!(first.errors().count(), 0, "{:#?}", first.findings);
    let again = read(&first.snapshot.to_document().unwrap(), &ReadOptions::default());
    assert_eq!(again.snapshot, first.snapshot);
    let route = &first.snapshot.routes[0];
    assert_eq!(route.status, Status::Disabled);
    assert_eq!(route.timeout.unwrap().connect, Seconds(0.25));
}

#[test]
fn debug_shows_no_secret() {
    let document = json!({
        "consumers": [{"username": "jack", "plugins": {"key-auth": {"key": "hunter2"}}}],
        "secrets": [{"id": "vault/1", "uri": "http://v", "prefix": "kv", "token": "hunter2"}],
        "plugin_metadata": [{"id": "x", "password": "hunter2"}],
    });
    let read = read(&document, &ReadOptions::default());
    assert_eq!(read.findings, []);
    assert!(!format!("{:?}", read.snapshot).contains("hunter2"));
}
