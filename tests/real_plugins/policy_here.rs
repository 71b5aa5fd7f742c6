//! Policies that decide in the gateway: `authz-casbin` and `cedar` by the examples of the documentation, `opa` with Rego.
use super::rig::Rig;

const REGO: &str = r#"
consumers:
  - {username: acme, labels: {tier: gold}, plugins: {key-auth: {key: key-of-acme}}}
  - {username: bolt, plugins: {key-auth: {key: key-of-bolt}}}
routes:
  - uri: /orders/*
    plugins:
      key-auth: {hide_credentials: true}
      opa:
        with_consumer: true
        rego: |
          package shop.orders
          import rego.v1
          default allow := false
          allow if { input.request.method == "GET"; input.consumer.labels.tier == "gold" }
          status_code := 451 if not allow
    upstream: {nodes: {"127.0.0.1:7001": 1}}
"#;

/// Asks each of `questions`: a method, a path under /orders, who calls, and the status that is due.
async fn ask(yaml: &str, questions: &[(&str, &str, Option<&str>, u16)]) {
    let rig = Rig::with(yaml, &[("/orders/", "/echo/orders/")], &[]).await;
    for (method, path, caller, due) in questions {
        let key = caller.map(|caller| format!("apikey: key-of-{caller}"));
        let mut arguments = vec!["-X", method];
        arguments.extend(key.iter().flat_map(|key| ["-H", key]));
        let reply = rig.curl(&format!("/echo/orders/{path}"), &arguments).await;
        assert_eq!(reply.status, *due, "{method} {path} of {caller:?}: {}", reply.text());
        if *due == 200 {
            assert!(reply.text().starts_with(&format!("{method} /echo/orders/{path}")), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn casbin_decides_by_roles_paths_and_methods() {
    let yaml = include_str!("../../docs/plugins/examples/authz-casbin.yaml");
    let questions = [
        ("GET", "1", Some("bolt"), 200),
        ("POST", "1", Some("bolt"), 403),
        ("POST", "1", Some("acme"), 200),
        ("DELETE", "1", Some("acme"), 403),
        ("GET", "1", None, 401),
    ];
    ask(yaml, &questions).await;
}

#[tokio::test]
async fn cedar_decides_by_teams_labels_and_paths() {
    let yaml = include_str!("../../docs/plugins/examples/cedar.yaml");
    let questions = [
        ("GET", "1", Some("bolt"), 200),
        ("POST", "1", Some("bolt"), 403),
        ("DELETE", "1", Some("acme"), 200),
        ("DELETE", "archive/1", Some("acme"), 403),
        ("GET", "1", None, 401),
    ];
    ask(yaml, &questions).await;
}

#[tokio::test]
async fn rego_decides_by_methods_and_labels_and_names_the_status() {
    let questions = [
        ("GET", "1", Some("acme"), 200),
        ("POST", "1", Some("acme"), 451),
        ("GET", "1", Some("bolt"), 451),
        ("GET", "1", None, 401),
    ];
    ask(REGO, &questions).await;
}
