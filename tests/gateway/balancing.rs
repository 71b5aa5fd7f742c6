//! Balancing as a configuration says: what is hashed of a request, and what stays where it is.
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use http::Request;
use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::{Body, ConnectInfo};
use tower::ServiceExt as _;

use super::support::{ask, builder, candidate, snapshot, told};

const NODES: [&str; 3] = ["a", "b", "c"];

/// A gateway with one route to the services `a`, `b`, `c`.
fn gateway(upstream: Value, route: Value) -> Gateway {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&document(upstream, route))).unwrap();
    gateway
}

fn document(mut upstream: Value, mut route: Value) -> Value {
    upstream["id"] = json!("u");
    upstream["nodes"] = NODES.iter().map(|name| json!({"service": name, "weight": 1})).collect();
    route["id"] = json!("r");
    route["uri"] = json!("/*");
    route["upstream_id"] = json!("u");
    json!({"upstreams": [upstream], "routes": [route]})
}

async fn asked(gateway: &Gateway, from: SocketAddr, path: &str, fields: &[(&str, &str)]) -> String {
    let mut request = Request::builder().uri(path).header("host", "gw.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let info = ConnectInfo::new(from).with_local(SocketAddr::from(([10, 0, 0, 1], 80)));
    let response = gateway.connection(info).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    String::from_utf8(response.into_body().buffer(100).await.unwrap().to_vec()).unwrap()
}

fn client(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

#[tokio::test]
async fn each_value_of_what_is_hashed_has_its_node() {
    type Ask = fn(usize) -> (u16, String, Vec<(&'static str, String)>);
    let cases: [(Value, Ask); 7] = [
        (json!({"key": "arg_user"}), |user| (1, format!("/?user={user}&x=1"), vec![])),
        (json!({"key": "uri"}), |user| (1, format!("/{user}?a"), vec![])),
        (json!({"key": "remote_port"}), |user| (1000 + user as u16, "/".into(), vec![])),
        (json!({"hash_on": "header", "key": "X-User"}), |user| (1, "/".into(), vec![("x-user", user.to_string())])),
        (json!({"hash_on": "cookie", "key": "User"}), |user| {
            (1, "/".into(), vec![("cookie", format!("user=1; User={user}"))])
        }),
        (json!({"hash_on": "vars_combinations", "key": "$host-$arg_user"}), |user| {
            (1, format!("/?user={user}"), vec![])
        }),
        (json!({"hash_on": "vars_combinations", "key": "$remote_port at $server_addr"}), |user| {
            (1000 + user as u16, "/".into(), vec![])
        }),
    ];
    for (mut upstream, of_user) in cases {
        upstream["type"] = json!("chash");
        let gateway = gateway(upstream.clone(), json!({}));
        let mut nodes = BTreeSet::new();
        for user in 0..24 {
            let (port, path, fields) = of_user(user);
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
            let node = asked(&gateway, client(port), &path, &fields).await;
            for _ in 0..3 {
                assert_eq!(asked(&gateway, client(port), &path, &fields).await, node, "{upstream}");
            }
            nodes.insert(node);
        }
        assert_eq!(Vec::from_iter(nodes), NODES, "{upstream}");
    }
}

#[tokio::test]
async fn what_is_missing_or_empty_goes_by_the_client() {
    for (mut upstream, fields) in [
        (json!({"hash_on": "header", "key": "x-user"}), vec![("x-other", "1")]),
        (json!({"hash_on": "header", "key": "x-user"}), vec![("x-user", "")]),
        (json!({"hash_on": "cookie", "key": "user"}), vec![("cookie", "User=1")]),
        (json!({"hash_on": "vars_combinations", "key": "$arg_a-$arg_b"}), vec![]),
        (json!({"hash_on": "consumer"}), vec![]),
    ] {
        upstream["type"] = json!("chash");
        let gateway = gateway(upstream.clone(), json!({}));
        let mut nodes = BTreeSet::new();
        for last in 0..24 {
            let from = |port| SocketAddr::from(([192, 0, 2, last], port));
            let node = asked(&gateway, from(1), "/", &fields).await;
            assert_eq!(asked(&gateway, from(2), "/x", &fields).await, node, "{upstream}");
            nodes.insert(node);
        }
        assert_eq!(Vec::from_iter(nodes), NODES, "{upstream}");
    }
}

#[tokio::test]
async fn a_consumer_has_his_node() {
    let upstream = json!({"type": "chash", "hash_on": "consumer"});
    let mut document = document(upstream, json!({"plugins": {"key-auth": {}}}));
    document["consumers"] = (0..24)
        .map(|user| json!({"username": format!("u{user}"), "plugins": {"key-auth": {"key": format!("key-{user}")}}}))
        .collect();
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&document)).unwrap();
    let mut nodes = BTreeSet::new();
    for user in 0..24 {
        let key = format!("key-{user}");
        let node = asked(&gateway, client(1), "/", &[("apikey", &key)]).await;
        let elsewhere = SocketAddr::from(([203, 0, 113, user], 1));
        assert_eq!(asked(&gateway, elsewhere, "/x", &[("apikey", &key)]).await, node);
        nodes.insert(node);
    }
    assert_eq!(Vec::from_iter(nodes), NODES);
}

#[tokio::test]
async fn a_change_elsewhere_moves_no_key_and_no_turn() {
    for upstream in [json!({"type": "chash", "key": "arg_user"}), json!({"type": "roundrobin"})] {
        let gateway = gateway(upstream.clone(), json!({}));
        let mut counts = BTreeMap::<String, usize>::new();
        let mut of_user = BTreeMap::new();
        for round in 0..4_u32 {
            for user in 0..3 {
                let (status, node) = told(&gateway, &format!("/?user={user}")).await;
                assert_eq!(status, 200);
                if upstream["type"] == "chash" {
                    assert_eq!(of_user.entry(user).or_insert_with(|| node.clone()), &node);
                }
                *counts.entry(node).or_default() += 1;
            }
            let changed = document(upstream.clone(), json!({"desc": round.to_string()}));
            gateway.apply(snapshot(&changed)).unwrap();
        }
        if upstream["type"] == "roundrobin" {
            assert!(counts.values().all(|count| *count == 4), "{counts:?}");
        }
    }
}

#[tokio::test]
async fn a_session_stays_and_the_cookie_is_as_configured() {
    let affinity = json!({"cookie": "stay", "ttl_s": 60, "path": "/shop", "secure": true, "same_site": "none",
        "http_only": false, "secret": "sixteen characters"});
    let gateway = gateway(json!({"affinity": affinity}), json!({}));
    let answer = ask(&gateway, Request::builder().uri("/").body(Body::empty()).unwrap()).await;
    let field = answer.headers["set-cookie"].to_str().unwrap();
    let (pair, attributes) = field.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/shop; Max-Age=60; Secure; SameSite=None");
    for _ in 0..5 {
        let again = Request::builder().uri("/").header("cookie", pair).body(Body::empty()).unwrap();
        let again = ask(&gateway, again).await;
        assert_eq!((&again.text, again.headers.get("set-cookie")), (&answer.text, None));
    }
}

#[tokio::test]
async fn the_secret_of_sessions_may_be_a_reference() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stay"), "sixteen characters").unwrap();
    let affinity = |secret: &str| json!({"affinity": {"cookie": "stay", "secret": secret}});
    let mut document = document(affinity("$secret://file/keys/stay"), json!({}));
    document["secrets"] = json!([{"id": "file/keys", "path": folder.path()}]);
    let (by_reference, plain) = (builder().build().unwrap(), gateway(affinity("sixteen characters"), json!({})));
    by_reference.apply(snapshot(&document)).unwrap();
    let get = |cookie: &str| Request::builder().uri("/").header("cookie", cookie).body(Body::empty()).unwrap();
    let answer = ask(&plain, get("")).await;
    let field = answer.headers["set-cookie"].to_str().unwrap().to_owned();
    let again = ask(&by_reference, get(field.split(';').next().unwrap())).await;
    assert_eq!((again.text, again.headers.get("set-cookie")), (answer.text, None));
}

#[test]
fn a_slow_start_that_nobody_heeds_is_a_warning() {
    for (policy, warned) in [("ewma", true), ("chash", true), ("least_conn", false), ("roundrobin", false)] {
        let upstream = json!({"type": policy, "key": "uri", "slow_start": {"window_ms": 1000}});
        let findings = builder().build().unwrap().check(&snapshot(&document(upstream, json!({}))));
        let paths: Vec<_> = findings.iter().map(|finding| (&*finding.path, finding.is_error())).collect();
        assert_eq!(paths, if warned { vec![("slow_start", false)] } else { vec![] }, "{policy}");
    }
}

#[test]
fn a_key_that_cannot_be_hashed_is_a_fault_of_its_field() {
    let upstream = json!({"type": "chash", "hash_on": "vars_combinations", "key": "${"});
    let gateway = builder().build().unwrap();
    let findings = gateway.check(&candidate(&document(upstream, json!({}))));
    assert_eq!(findings.iter().map(|finding| &*finding.path).collect::<Vec<_>>(), ["key"], "{findings:?}");
}
