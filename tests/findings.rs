//! What a gateway has to say about a file: each fault and doubt once, with its line, and nothing passed over in silence.
#![cfg(test)]
#![cfg(all(feature = "config-file", feature = "yaml"))]
use std::fs;

use serde_json::json;
use tollgate::PluginLayer;
use tollgate::config::FileSource;
use tollgate::gateway::Gateway;
use tollgate::model::{Finding, ReadOptions, read};
use tollgate::plugin::{BuildContext, ConfigError, Plugin, Stage};
use tower::layer::util::Identity;

/// Every finding as one line, from the top of the file to its end.
fn findings(text: &str) -> Vec<String> {
    let read = FileSource::new("a.yaml").read(text.as_bytes()).unwrap();
    let gateway = Gateway::builder().build().unwrap();
    let mut findings = gateway.check(&read.snapshot);
    findings.sort_by_key(|finding| finding.line);
    findings.iter().map(Finding::to_string).collect()
}

#[test]
fn faults_that_only_the_gateway_knows_have_their_lines() {
    let text = "\
upstreams:
  - id: u
    nodes: {\"127.0.0.1:1\": 1}
    type: fairest
  - {id: s, nodes: [{service: nobody, weight: 1}]}
routes:
  - uri: /a
    upstream_id: 5
    plugins:
      no-such-plugin: {}
  - id: b
    uri: /b
    # of the items above one may be refused, and places shift
    upstream_id: u
    vars:
      - [arg_a, '=?', 1]
  - id: c
    upstream_id: u
  - id: d
    filter_func: nobody
    uri: '/d'
    upstream_id: u
";
    assert_eq!(
        findings(text),
        [
            "line 4: upstream `u`, field type: there is no balancer `fairest`; write roundrobin, chash, \
             least_conn or ewma",
            "line 5: upstream `s`, field nodes: there is no in-process service `nobody`; register it in code with \
             `GatewayBuilder::endpoint`",
            "line 8: route `arr_1`, field upstream_id: refers to `5`, which is not there; add it to `upstreams`",
            "line 10: route `arr_1`, field plugins.no-such-plugin: unknown plugin `no-such-plugin`; remove it, register it in \
             code, or set `tollgate.unknown_plugin: ignore`; docs/plugins.md lists those that there are",
            "line 16: route `b`, field vars: vars[0]: invalid operator '=?': use one of == ~= > >= < <= ~~ ~* in has ipmatch; \
             write an array of [variable, operator, value]",
            "line 17: route `c`: has neither uri nor uris; write `uri` for one path, or `uris` for several",
            "line 20: route `d`, field filter_func: no predicate `nobody` is registered; register it in code with \
             `GatewayBuilder::predicate`",
        ]
    );
}

#[test]
fn what_nothing_acts_on_is_named() {
    let text = "\
upstreams: [{id: u, nodes: {\"127.0.0.1:1\": 1}, checks: {active: {req_headers: [\"Host: a\"]}}}]
stream_routes: [{id: l4, server_port: 1, upstream_id: u}]
secrets: [{id: vault/1, prefix: kv, token: a, uri: \"http://127.0.0.1\"}]
plugin_metadata: [{id: x, a: 1}]
";
    let found = findings(text);
    let lines: Vec<_> = found.iter().filter_map(|finding| finding.split_once(": ")).map(|(line, _)| line).collect();
    assert_eq!(lines, (1..=4).map(|line| format!("line {line}")).collect::<Vec<_>>());
    assert!(found.iter().all(|finding| finding.contains("is not used")), "{found:#?}");
}

/// A plugin that takes any configuration.
struct Any;

impl Plugin for Any {
    const NAME: &'static str = "any";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 1;
    type Config = serde_json::Value;
    fn build(&self, _: serde_json::Value, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Ok(PluginLayer::new(Identity::new()))
    }
}

#[test]
fn a_reference_to_a_secret_never_reaches_a_plugin() {
    let document = json!({"routes": [
        {"id": "a", "uri": "/a", "plugins": {"any": {"users": [{"password": "$secret://vault/1/a"}]}}},
        {"id": "b", "uri": "/b", "plugins": {"any": {"password": "$ENV://B", "_meta": {"disable": true}}}},
        {"id": "c", "uri": "/c", "plugins": {"any": {"password": "plain"}}},
    ]});
    let gateway = Gateway::builder().plugin(Any).build().unwrap();
    let findings = gateway.check(&read(&document, &ReadOptions::default()).snapshot);
    assert_eq!(
        findings.iter().map(Finding::to_string).collect::<Vec<_>>(),
        [
            "route `a`, field plugins.any.users.0.password: refers to a secret that has no value: there is no secret manager \
          `vault/1` among `secrets`; its requests are answered with 500; provide the secret, or write the value itself"
        ]
    );
}

#[test]
fn a_list_of_enabled_plugins_is_kept_to() {
    let gateway = Gateway::builder().plugin(Any).build().unwrap();
    let apply = |plugins: serde_json::Value| {
        let document = json!({
            "plugins": plugins, "routes": [{"id": "a", "uri": "/a", "upstream_id": "u", "plugins": {"any": {}}}],
            "upstreams": [{"id": "u", "nodes": {"127.0.0.1:1": 1}}],
        });
        gateway.apply(read(&document, &ReadOptions::default()).snapshot).map_err(|error| error.to_string())
    };
    apply(json!([{"name": "any"}])).unwrap();
    let error = apply(json!([{"name": "cors"}, {"name": "any", "stream": true}])).unwrap_err();
    assert!(error.contains("plugin `any` is not enabled"), "{error}");
    apply(json!([{"name": "any"}, {"name": "cors"}])).unwrap();
}

#[test]
fn faults_of_json_have_lines_too() {
    let text = "{\"routes\": [\n{\"id\": \"a\",\n\"uri\": \"/\",\n\"plugins\": {\n\"nothing\": {}}}]}";
    let read = FileSource::new("a.json").read(text.as_bytes()).unwrap();
    let lines: Vec<_> =
        Gateway::builder().build().unwrap().check(&read.snapshot).iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [Some(5)]);
}

/// A plugin whose every configuration is wrong.
struct Never;

impl Plugin for Never {
    const NAME: &'static str = "never";
    const STAGE: Stage = Stage::Edge;
    const PRIORITY: i32 = 1;
    type Config = serde_json::Value;
    fn build(&self, _: serde_json::Value, _: &BuildContext<'_>) -> Result<PluginLayer, ConfigError> {
        Err(ConfigError::Invalid { plugin: Self::NAME, field: "a".to_owned(), reason: "is wrong".to_owned() })
    }
}

#[test]
fn warnings_stay_as_long_as_what_they_are_about() {
    let gateway = Gateway::builder().plugin(Never).build().unwrap();
    let apply = |text: &str| {
        let snapshot = FileSource::new("a.yaml").read(text.as_bytes()).unwrap().snapshot;
        gateway.apply(snapshot).unwrap();
        let status = gateway.status();
        let found = status.findings.iter().map(|finding| (finding.line.unwrap(), finding.kind.to_string()));
        let mut found: Vec<_> = found.collect();
        found.sort();
        found
    };
    let expect = |list: &[(u32, &str)]| list.iter().map(|(line, kind)| (*line, (*kind).to_owned())).collect::<Vec<_>>();
    let all = "\
tollgate: {trusted_proxies: [\"0.0.0.0/0\"]}
upstreams: [{id: u, nodes: {\"127.0.0.1:1\": 1}, checks: {active: {req_headers: [\"Host: a\"]}}}]
consumers: [{username: jack, group_id: none}]
routes:
  - {id: a, uri: /a, upstream_id: u, plugins: {never: {_meta: {disable: true}}}}
  - {id: b, uri: /b, upstream_id: u}
";
    let warned = expect(&[(1, "settings"), (2, "upstream"), (3, "consumer"), (5, "route")]);
    assert_eq!(apply(all), warned);
    assert_eq!(apply(&all.replace("/b", "/c")), warned, "another item changed");
    assert_eq!(apply(&all.replace("/a", "/d")), warned, "the item changed, what is wrong did not");
    let below = expect(&[(2, "settings"), (3, "upstream"), (4, "consumer"), (6, "route")]);
    assert_eq!(apply(&format!("# a note\n{all}")), below, "the lines are those of the text in force");
    assert_eq!(apply(&all.replace("0.0.0.0/0", "::/0")), warned, "everything is built anew");
    assert_eq!(
        apply(&all.replace(", checks: {active: {req_headers: [\"Host: a\"]}}", "")),
        expect(&[(1, "settings"), (3, "consumer"), (5, "route")])
    );
    assert_eq!(apply(&all.replace("jack", "jill")), warned);
    let mended = all
        .replace("{never: {_meta: {disable: true}}}", "{}")
        .replace("consumers: [{username: jack, group_id: none}]", "");
    assert_eq!(apply(&mended), expect(&[(1, "settings"), (2, "upstream")]));
    assert_eq!(apply(&mended.replace("trusted_proxies: [\"0.0.0.0/0\"]", "")), expect(&[(2, "upstream")]));
}

#[test]
fn a_configuration_that_was_taken_in_part_says_where_it_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.yaml");
    fs::write(
        &path,
        "routes:\n  - {id: a, uri: /a, plugins: {}}\n  - id: b\n    uri: /b\n    plugins: {none: {}}\n#END\n",
    )
    .unwrap();
    let gateway = Gateway::builder().build().unwrap();
    gateway.adopt(FileSource::new(&path).load().unwrap().snapshot).unwrap();
    let status = gateway.status();
    assert_eq!(status.findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [Some(5)]);
    assert_eq!(status.left_out[0].findings[0].line, Some(5));
    let error = gateway.apply(FileSource::new(&path).load().unwrap().snapshot).unwrap_err();
    assert_eq!(error.findings()[0].line, Some(5));
}

/// Puts `value` where `path` leads below `block`; `*` is an element of a list or a member of a map.
fn place(block: &mut serde_json::Value, path: &str, value: &serde_json::Value, star_is_list: bool) {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    if block.is_null() {
        *block = if step == "*" && star_is_list { json!([null]) } else { json!({}) };
    }
    let inner = if block.is_array() { &mut block[0] } else { &mut block[if step == "*" { "a" } else { step }] };
    match rest {
        Some(rest) => place(inner, rest, value, star_is_list),
        None => *inner = value.clone(),
    }
}

#[test]
fn no_finding_shows_a_secret_whatever_is_wrong_with_it() {
    let gateway = Gateway::builder().build().unwrap();
    let registry = gateway.registry();
    let canaries =
        [json!(7_318_553), json!(7_318_553.5), json!({"7318553": 7_318_553}), json!([7_318_553]), json!(true)];
    let texts = [json!("7318553"), json!("7318553, expected a `7318553`")];
    let mut faults = 0;
    let mut judge = |document: &serde_json::Value| {
        let read = read(document, &ReadOptions::default());
        for finding in gateway.check(&read.snapshot) {
            assert!(!finding.to_string().contains("7318553"), "{document}: {finding}");
            faults += 1;
        }
    };
    for canary in canaries.iter().chain(&texts) {
        for (kind, item, paths) in [
            ("ssls", json!({"id": "1", "cert": "c"}), &["key", "keys.*"][..]),
            ("upstreams", json!({"id": "1", "nodes": {"a:1": 1}}), &["tls.client_key", "affinity.secret"]),
            (
                "secrets",
                json!({"id": "vault/1", "uri": "http://a"}),
                &["token", "access_key_id", "secret_access_key", "session_token", "auth_config.private_key"],
            ),
        ] {
            for path in paths {
                let mut item = item.clone();
                place(&mut item, path, canary, true);
                judge(&json!({kind: [item]}));
            }
        }
        for entry in registry.iter() {
            for (path, star_is_list) in entry.secret_fields().iter().flat_map(|path| [(path, true), (path, false)]) {
                let mut block = serde_json::Value::Null;
                place(&mut block, path, canary, star_is_list);
                let mut metadata = block.clone();
                metadata["id"] = json!(entry.name());
                judge(&json!({
                    "routes": [{"id": "r", "uri": "/", "plugins": {entry.name(): block}}],
                    "consumers": [{"username": "jack", "plugins": {entry.name(): block}}],
                    "plugin_metadata": [metadata],
                }));
            }
        }
    }
    assert!(faults > 200, "{faults}");
}

#[cfg(feature = "tls")]
#[test]
fn listeners_that_have_no_certificate_to_show_are_named_until_there_is_one() {
    const NAMED: &str = "settings, field listeners[1].tls: has no certificate to show: every handshake fails; add one to \
                         `ssls`, with its server names, or leave out `tls`";
    let text = |more: &str| {
        format!(
            "tollgate:\n  listeners:\n    - {{address: \"127.0.0.1:1\"}}\n    - {{address: \"127.0.0.1:2\", tls: true}}\n{more}"
        )
    };
    let with = |status: u8| text(&format!("ssls: [{{id: a, sni: a.test, acme: true, status: {status}}}]\n"));
    let named = |text: &str| findings(text).iter().filter(|line| line.ends_with(NAMED)).count();
    assert_eq!((named(&text("")), named(&with(0)), named(&with(1))), (1, 1, 0), "{:?}", findings(&text("")));
    assert_eq!(named(&text("  store: {kind: memory}\n")), 0, "they are in the store");

    // It comes and goes with the certificates, though the settings stay as they are.
    let gateway = Gateway::builder().build().unwrap();
    for (text, wanted) in [(text(""), 1), (with(1), 0), (with(1), 0), (text(""), 1), (text(""), 1)] {
        gateway.apply(FileSource::new("a.yaml").read(text.as_bytes()).unwrap().snapshot).unwrap();
        let status = gateway.status();
        let told = status.findings.iter().filter(|finding| finding.to_string().ends_with(NAMED)).count();
        assert_eq!(told, wanted, "{:?}", status.findings);
    }
}
