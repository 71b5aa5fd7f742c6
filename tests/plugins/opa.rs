//! `opa` in a whole gateway, before a double of the server that answers as its documentation says.
use serde_json::{Value, json};
use tollgate::gateway::Gateway;

use super::peers::origin::Origin;
use super::support::{Rig, example, refused, route_with, said};

/// What stands for the server in the example.
const SERVER: &str = "127.0.0.1:8181";

async fn deciding(decision: Value) -> Origin {
    Origin::saying(&json!({"decision_id": "1", "result": decision}).to_string()).await
}

async fn asking(server: &Origin) -> Rig {
    Rig::with(Gateway::builder(), &example("opa").replace(SERVER, &server.address().to_string())).await
}

#[tokio::test]
async fn the_example_lets_pass_what_the_policy_allows() {
    let server = deciding(json!({"allow": true, "headers": {"X-User": "acme"}})).await;
    let rig = asking(&server).await;
    let answer = rig.get("/orders/1?page=2", &[("apikey", "key-of-acme"), ("X-User", "forged")]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "origin"));
    assert_eq!(rig.forwarded().all("x-user"), ["acme"]);
    let question = server.request();
    assert_eq!((question.method(), question.target()), ("POST", "/v1/data/shop/orders"));
    let input = &serde_json::from_slice::<Value>(&question.body).unwrap()["input"];
    let request = &input["request"];
    assert_eq!((&request["path"], &request["query"]), (&json!("/orders/1"), &json!({"page": "2"})));
    assert_eq!(input["request"]["headers"]["x-user"], Value::Null, "a client's copy is taken off before");
    assert_eq!(input["consumer"]["labels"], json!({"tier": "gold"}));
    assert_eq!(input["var"]["remote_addr"], "127.0.0.1");
    let whole = input.to_string();
    assert!(!whole.contains("key-of-acme"), "the caller's credential is told: {whole}");
}

#[tokio::test]
async fn the_example_tells_the_client_why_not() {
    let server = deciding(json!({"allow": false, "reason": {"code": "only-gold-reads"}, "status_code": 402})).await;
    let rig = asking(&server).await;
    let answer = rig.get("/orders/1", &[("apikey", "key-of-acme")]).await;
    assert_eq!((answer.status(), said(&answer, "code").as_str()), (402, "only-gold-reads"));
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn a_policy_is_told_route_and_service_without_their_plugins() {
    let server = deciding(json!({"allow": true})).await;
    let opa = format!("{{host: 'http://{}', policy: p, with_route: true, with_service: true}}", server.address());
    let yaml = format!(
        "services: [{{id: s, name: shop, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}]\n\
         routes: [{{id: r, name: all, uri: /*, service_id: s, plugins: {{opa: {opa}, csrf: {{key: canary-9}}}}}}]\n"
    );
    let rig = Rig::of(&yaml).await;
    assert_eq!(rig.get("/a", &[]).await.status(), 200);
    let input = &serde_json::from_slice::<Value>(&server.request().body).unwrap()["input"];
    assert_eq!(input["route"], json!({"id": "r", "name": "all", "uri": "/*", "host": null, "service_id": "s"}));
    assert_eq!(input["service"], json!({"id": "s", "name": "shop"}));
    assert!(!input.to_string().contains("canary"));
}

#[tokio::test]
async fn a_server_that_is_away_or_talks_nonsense_refuses_everybody() {
    let address = Origin::saying("").await.address();
    let away = Rig::of(&route_with(&format!("{{opa: {{host: 'http://{address}', policy: p}}}}"))).await;
    assert_eq!((away.get("/", &[]).await.status(), away.forwarded_count()), (403, 0));
    let server = Origin::saying("{\"result\": true}").await;
    let lying = Rig::of(&route_with(&format!("{{opa: {{host: 'http://{}', policy: p}}}}", server.address()))).await;
    assert_eq!((lying.get("/", &[]).await.status(), lying.forwarded_count()), (503, 0));
}

#[tokio::test]
async fn sec_path_12_the_path_that_a_policy_is_told_is_the_one_that_is_forwarded() {
    let server = deciding(json!({"allow": true})).await;
    let rig = Rig::of(&route_with(&format!(
        "{{opa: {{host: 'http://{}', policy: p}}, proxy-rewrite: {{regex_uri: [\"^/api/(.*)\", \"/$1\"]}}}}",
        server.address()
    )))
    .await;
    for (target, path) in [("/x/../a", "/a"), ("/%61", "/a"), ("/api/b%20c?d", "/b%20c"), ("/api/x/%2e%2e/e", "/e")] {
        assert_eq!(rig.get(target, &[]).await.status(), 200, "{target}");
        let question = server.requests().pop().unwrap();
        let told = serde_json::from_slice::<Value>(&question.body).unwrap()["input"]["request"]["path"].clone();
        assert_eq!((told.as_str(), rig.forwarded().target().split('?').next()), (Some(path), Some(path)), "{target}");
    }
}

#[tokio::test]
async fn a_field_that_clients_send_for_reasons_of_their_own_stays_theirs_on_other_routes() {
    let server = deciding(json!({"allow": true, "headers": {"Content-Type": "text/x"}})).await;
    let yaml = format!(
        "routes: [{{id: a, uri: /a, plugins: {{opa: {{host: 'http://{}', policy: p, \
         send_headers_upstream: [Content-Type, X-Who]}}}}, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}, \
         {{id: b, uri: /b, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}]\n",
        server.address()
    );
    let rig = Rig::of(&yaml).await;
    let fields = [("Content-Type", "text/plain"), ("X-Who", "forged")];
    for (target, kind) in [("/b", "text/plain"), ("/a", "text/x")] {
        assert_eq!(rig.get(target, &fields).await.status(), 200);
        let seen = rig.forwarded();
        assert_eq!((seen.field("content-type"), seen.field("x-who")), (Some(kind), None), "{target}");
    }
}

#[test]
fn a_faulty_block_is_refused_with_its_field() {
    for (block, says) in [
        ("{policy: p}", "plugins.opa.host"),
        ("{host: 'http://a', policy: 'a?b'}", "plugins.opa.policy"),
        ("{host: 'http://a', policy: p, with_consumers: true}", "with_consumers"),
    ] {
        let faults = refused(&route_with(&format!("{{opa: {block}}}")));
        assert!(faults.contains(says), "{block}: {faults}");
    }
}

#[cfg(feature = "rego")]
#[tokio::test]
async fn a_policy_in_the_block_needs_no_server() {
    let policy = "package shop.orders\ndefault allow := false\n\
                  allow if { input.request.method == \"GET\"; input.consumer.labels.tier in data.tiers }\n\
                  headers := {\"X-User\": input.consumer.username}\nreason := {\"code\": \"only-gold-reads\"}\n\
                  status_code := 402";
    let opa = format!("        rego: {policy:?}\n        data: {{tiers: [gold]}}");
    let yaml = example("opa")
        .replace("        host: http://127.0.0.1:8181", &opa)
        .replace("        policy: shop/orders\n", "");
    let rig = Rig::of(&yaml).await;
    let fields = [("apikey", "key-of-acme"), ("X-User", "forged")];
    assert_eq!(rig.get("/orders/1", &fields).await.status(), 200);
    assert_eq!(rig.forwarded().all("x-user"), ["acme"]);
    let answer = rig.ask("DELETE /orders/1", &fields).await;
    assert_eq!((answer.status(), said(&answer, "code").as_str()), (402, "only-gold-reads"));
    assert_eq!(rig.forwarded_count(), 1);
    let broken = yaml.replace("status_code := 402", "status_code := if");
    assert!(refused(&broken).contains("plugins.opa.rego: "), "{}", refused(&broken));
}
