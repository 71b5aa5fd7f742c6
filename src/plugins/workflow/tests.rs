use http::Request;
use serde_json::{Value, json};

use super::*;
use crate::plugin::shape;
use crate::plugins::limit_conn::{LimitConnConfig, LimitConnLayer};
use crate::plugins::limit_count::{LimitCountConfig, LimitCountLayer};
use crate::{Body, Next, PluginLayer, Response, wire};

fn refused(rules: Value) -> String {
    let block = json!({ "rules": rules });
    match shape::<WorkflowConfig>("workflow", block.as_object().unwrap()).and_then(WorkflowLayer::new) {
        Ok(_) => panic!("{block} is taken"),
        Err(error) => error.to_string(),
    }
}

fn layer(rules: Value) -> PluginLayer {
    let block = json!({ "rules": rules });
    WorkflowLayer::new(shape("workflow", block.as_object().unwrap()).unwrap()).unwrap().into()
}

async fn ask(chain: &Next, path: &str) -> (u16, String) {
    let response = chain.run(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    let body = response.into_body().buffer(1000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn end() -> Next {
    Next::from_fn(|_| async { Response::new(Body::from("up")) })
}

#[tokio::test]
async fn the_first_rule_that_holds_runs_its_first_action() {
    let chain = layer(json!([
        {"case": [["uri", "==", "/closed"]], "actions": [["return", {"code": 403}], ["return", {"code": 404}]]},
        {"case": [["uri", "==", "/twice"]], "actions": [["limit-count", {"count": 2, "time_window": 60}]]},
        {"case": [["uri", "~~", "^/(closed|once)"]],
         "actions": [["limit-count", {"count": 1, "time_window": 60, "rejected_code": 429, "rejected_msg": "enough"}]]},
    ]))
    .wrap(end());
    assert_eq!(ask(&chain, "/closed").await, (403, "{\"error_msg\":\"rejected by workflow\"}\n".to_owned()));
    assert_eq!(ask(&chain, "/open").await, (200, "up".to_owned()));
    // the counters of two rules are two
    assert_eq!([ask(&chain, "/twice").await.0, ask(&chain, "/once").await.0], [200, 200]);
    assert_eq!(ask(&chain, "/once").await, (429, "{\"error_msg\":\"enough\"}\n".to_owned()));
    assert_eq!([ask(&chain, "/twice").await.0, ask(&chain, "/twice").await.0], [200, 503]);
}

#[tokio::test]
async fn a_rule_without_a_case_holds_always() {
    let chain = layer(json!([{"actions": [["return", {"code": 410}]]}])).wrap(end());
    assert_eq!(ask(&chain, "/").await.0, 410);
    let chain = layer(json!([])).wrap(end());
    assert_eq!(ask(&chain, "/").await.0, 200);
}

#[tokio::test]
async fn the_same_plugin_elsewhere_stands_aside() {
    let workflow = layer(json!([
        {"case": [["uri", "==", "/count"]], "actions": [["limit-count", {"count": 3, "time_window": 60}]]},
        {"case": [["uri", "==", "/conn"]],
         "actions": [["limit-conn", {"conn": 3, "burst": 0, "default_conn_delay": 0.1, "key": "remote_addr"}]]},
    ]));
    let count = PluginLayer::from(LimitCountLayer::new(LimitCountConfig::new(1, 60)).unwrap());
    let conn = LimitConnLayer::new(LimitConnConfig::new(1, 0, 0.1, "remote_addr")).unwrap();
    let chain = wire([workflow, conn.into(), count].iter(), end());
    let mut statuses = Vec::new();
    for path in ["/count", "/count", "/count", "/count", "/other", "/other", "/conn"] {
        statuses.push(ask(&chain, path).await.0);
    }
    assert_eq!(statuses, [200, 200, 200, 503, 200, 503, 503]);
    // limit-conn of the workflow runs in place of the other one: three at once
    let chain = wire(
        [
            layer(
                json!([{"actions": [["limit-conn", {"conn": 3, "burst": 0, "default_conn_delay": 1, "key": "uri"}]]}]),
            ),
            LimitConnLayer::new(LimitConnConfig::new(1, 0, 0.1, "uri")).unwrap().into(),
        ]
        .iter(),
        Next::from_fn(|_| async {
            tokio::task::yield_now().await;
            Response::new(Body::from("up"))
        }),
    );
    let all = tokio::join!(ask(&chain, "/"), ask(&chain, "/"), ask(&chain, "/"), ask(&chain, "/"));
    assert_eq!([all.0.0, all.1.0, all.2.0, all.3.0], [200, 200, 200, 503]);
}

#[test]
fn wrong_rules_are_refused_with_the_place() {
    for (rules, says) in [
        (json!({}), "rules"),
        (json!([{"case": [["uri", "==", "/"]]}]), "missing field `actions`"),
        (json!([{"actions": []}]), "rules.0.actions: needs at least one"),
        (json!([{"case": [], "actions": [["return", {"code": 403}]]}]), "rules.0.case: needs an array"),
        (json!([{"case": [["uri", "=~", "/"]], "actions": [["return", {"code": 403}]]}]), "rules.0.case: "),
        (json!([{"actions": [["proxy", {}]]}]), "unsupported action: proxy"),
        (json!([{"actions": [["return", {"code": 403}], ["proxy", {}]]}]), "unsupported action: proxy"),
        (json!([{"actions": [["return", {}]]}]), "rules.0.actions.0.1: missing field `code`"),
        (json!([{"actions": [["return", {"code": 100}]]}]), "rules.0.actions.0.1.code: needs"),
        (json!([{"actions": [["return", {"code": 403, "x": 1}]]}]), "unknown field `x`"),
        (json!([{"actions": [["limit-count", {"count": 1}]]}]), "rules.0.actions.0.1.time_window: is required"),
        (
            json!([{"actions": [["limit-count", {"count": 1, "time_window": 1, "group": "g"}]]}]),
            "rules.0.actions.0.1.group: group is not supported",
        ),
        (json!([{"when": 1, "actions": [["return", {"code": 403}]]}]), "unknown field `when`"),
    ] {
        let error = refused(rules.clone());
        assert!(error.starts_with("failed to check the configuration of plugin workflow err: "), "{error}");
        assert!(error.contains(says), "{rules}: {error}");
    }
}
