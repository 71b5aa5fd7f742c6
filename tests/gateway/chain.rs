//! The order of a route's plugins, what their blocks' `_meta` changes, and which block counts when several name a plugin.
use http::Request;
use serde_json::json;
use tollgate::Body;
use tollgate::gateway::{Gateway, Route};
use tollgate::model::NodeSpec;
use tollgate::router::{Value, VarName};

use super::support::{Answer, Edge, ask, builder, candidate, get, snapshot, told, with_marks};

/// A gateway whose route `/` has these plugins and leads to `way`.
fn gateway(plugins: &serde_json::Value) -> Gateway {
    configured(&json!({"routes": [route(plugins)]}))
}

fn route(plugins: &serde_json::Value) -> serde_json::Value {
    json!({"id": "r", "uri": "/", "plugins": plugins, "upstream": {"nodes": [{"service": "way", "weight": 1}]}})
}

fn configured(document: &serde_json::Value) -> Gateway {
    let gateway = with_marks().build().unwrap();
    gateway.apply(snapshot(document)).unwrap_or_else(|error| panic!("{error}"));
    gateway
}

async fn way(gateway: &Gateway) -> String {
    told(gateway, "/").await.1
}

async fn asking(gateway: &Gateway, path: &str, version: &str) -> Answer {
    ask(gateway, Request::builder().uri(path).header("x-version", version).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn stages_come_first_then_priorities_downwards_then_names() {
    let all = json!({"last": {}, "twin": {}, "low": {}, "high": {}, "edge": {}, "observer": {}});
    assert_eq!(way(&gateway(&all)).await, "observer edge high twin low last");
}

#[tokio::test]
async fn global_rules_stand_outside_inside_of_a_stage_and_are_never_merged() {
    let gateway = configured(&json!({
        "global_rules": [
            {"id": "g1", "plugins": {"low": {"text": "global"}, "last": {"text": "global"}}},
            {"id": "g2", "plugins": {"edge": {"text": "global"}}},
        ],
        "routes": [route(&json!({"high": {}, "low": {"text": "route"}, "observer": {}}))],
    }));
    assert_eq!(way(&gateway).await, "observer edge:global low:global high low:route last:global");
}

#[tokio::test]
async fn global_rules_also_see_requests_without_a_route() {
    let gateway = configured(&json!({"global_rules": [{"id": "g", "plugins": {"edge": {"reject": 418}}}]}));
    assert_eq!(get(&gateway, "/nowhere").await.status, 418);
    let gateway = configured(&json!({"global_rules": [{"id": "g", "plugins": {"edge": {}}}]}));
    let answer = get(&gateway, "/nowhere").await;
    assert_eq!((answer.status, &*answer.text), (404, "{\"error_msg\":\"404 Route Not Found\"}\n"));
}

#[tokio::test]
async fn a_priority_of_the_binding_replaces_the_plugins_own_inside_its_stage() {
    let raised = json!({"low": {"_meta": {"priority": 10}}, "high": {}, "last": {"_meta": {"priority": 9999}}});
    assert_eq!(way(&gateway(&raised)).await, "low high last");
    let zero = json!({"low": {}, "high": {"_meta": {"priority": 0}}});
    assert_eq!(way(&gateway(&zero)).await, "low high");
}

#[tokio::test]
async fn a_disabled_block_is_off_and_hides_the_blocks_beneath() {
    let off = json!({"edge": {"_meta": {"disable": true}}, "low": {}});
    assert_eq!(way(&gateway(&off)).await, "low");
    let mut hiding = json!({
        "services": [{"id": "s", "plugins": {"edge": {"text": "service"}, "high": {"text": "service"}}}],
        "routes": [route(&off)],
    });
    hiding["routes"][0]["service_id"] = json!("s");
    assert_eq!(way(&configured(&hiding)).await, "high:service low");
}

#[tokio::test]
async fn a_disabled_block_may_be_faulty_and_is_warned_of() {
    let gateway = gateway(&json!({"edge": {"reject": 7, "_meta": {"disable": true}}}));
    assert_eq!(way(&gateway).await, "");
    let warnings: Vec<_> = gateway.status().findings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("plugins.edge")), "{warnings:?}");
}

#[tokio::test]
async fn a_filter_decides_for_each_request_whether_the_block_exists() {
    let filter = json!([["http_x_version", "==", "2"]]);
    let gateway = gateway(&json!({"edge": {"_meta": {"filter": filter}}, "low": {}}));
    assert_eq!(asking(&gateway, "/", "2").await.text, "edge low");
    assert_eq!(asking(&gateway, "/", "1").await.text, "low");
    assert_eq!(way(&gateway).await, "low");
}

#[tokio::test]
async fn a_filter_sees_the_route_and_variables_of_the_host_program() {
    let gateway = with_marks()
        .variable("tenant", |vars| match vars.get(&VarName::parse("arg_t"))? {
            Value::Text(text) => Some(format!("tenant {}", String::from_utf8_lossy(&text))),
            _ => None,
        })
        .build()
        .unwrap();
    let filter = json!(["AND", ["tenant", "==", "tenant 7"], ["route_id", "==", "r"]]);
    let document = json!({"routes": [route(&json!({"edge": {"_meta": {"filter": filter}}}))]});
    gateway.apply(snapshot(&document)).unwrap();
    assert_eq!(told(&gateway, "/?t=7").await.1, "edge");
    assert_eq!(told(&gateway, "/?t=8").await.1, "");
}

#[tokio::test]
async fn an_error_response_replaces_the_plugins_own_body() {
    let gateway = gateway(&json!({"edge": {"reject": 403, "_meta": {"error_response": {"code": "closed"}}}}));
    let answer = get(&gateway, "/").await;
    assert_eq!((answer.status, &*answer.text), (403, "{\"code\":\"closed\"}\n"));
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn faults_under_meta_are_refused_with_the_field() {
    let gateway = with_marks().build().unwrap();
    for (meta, says) in [
        (json!({"filter": [["x", "=", 1]]}), "failed to validate the 'vars' expression"),
        (json!({"filters": []}), "did you mean `filter`?"),
        (json!({"priority": "9"}), "write an integer"),
        (json!({"pre_function": "return 1"}), "is not supported"),
    ] {
        let document = json!({"routes": [route(&json!({"edge": {"_meta": meta}}))]});
        let error = gateway.apply(candidate(&document)).unwrap_err().to_string();
        assert!(error.contains("route `r`, field plugins.edge") && error.contains(says), "{error}");
    }
    let document = json!({"routes": [route(&json!({"edge": {"txt": ""}}))]});
    let error = gateway.apply(snapshot(&document)).unwrap_err().to_string();
    assert!(error.contains("failed to check the configuration of plugin edge err: unknown field `txt`"), "{error}");
}

#[tokio::test]
async fn whole_blocks_are_merged_route_before_plugin_config_before_service() {
    let document = json!({
        "services": [{"id": "s", "plugins": {
            "edge": {"text": "service"}, "low": {"text": "service"}, "high": {"text": "service"},
        }, "upstream": {"nodes": [{"service": "a", "weight": 1}]}}],
        "plugin_configs": [{"id": "p", "plugins": {"low": {"text": "config"}, "high": {"text": "config"}}}],
        "routes": [{
            "id": "r", "uri": "/", "service_id": "s", "plugin_config_id": "p", "plugins": {"high": {}},
            "upstream": {"nodes": [{"service": "way", "weight": 1}]},
        }],
    });
    // The route's block has no text: blocks are not merged field by field.
    assert_eq!(way(&configured(&document)).await, "edge:service high low:config");
}

#[tokio::test]
async fn changes_of_a_service_a_plugin_config_and_a_global_rule_reach_the_routes() {
    let document = |text: &str| {
        json!({
            "global_rules": [{"id": "g", "plugins": {"observer": {"text": text}}}],
            "services": [{"id": "s", "plugins": {"edge": {"text": text}}}],
            "plugin_configs": [{"id": "p", "plugins": {"low": {"text": text}}}],
            "routes": [{
                "id": "r", "uri": "/", "service_id": "s", "plugin_config_id": "p",
                "upstream": {"nodes": [{"service": "way", "weight": 1}]},
            }],
        })
    };
    let gateway = configured(&document("1"));
    assert_eq!(way(&gateway).await, "observer:1 edge:1 low:1");
    for part in ["global_rules", "services", "plugin_configs"] {
        let mut one = document("1");
        one[part] = document("2")[part].clone();
        gateway.apply(snapshot(&one)).unwrap();
        let expected = match part {
            "global_rules" => "observer:2 edge:1 low:1",
            "services" => "observer:1 edge:2 low:1",
            _ => "observer:1 edge:1 low:2",
        };
        assert_eq!(way(&gateway).await, expected);
    }
}

#[tokio::test]
async fn a_block_that_is_as_before_is_not_built_again() {
    let edge = Edge::default();
    let built = edge.0.clone();
    let gateway = builder().plugin(edge).build().unwrap();
    let document = |upstream: &str, text: &str| {
        json!({"routes": [
            {"id": "r", "uri": "/", "plugins": {"edge": {"text": text}},
             "upstream": {"nodes": [{"service": upstream, "weight": 1}]}},
        ]})
    };
    gateway.apply(snapshot(&document("a", "x"))).unwrap();
    assert_eq!(built.count(), 1);
    gateway.apply(snapshot(&document("a", "x"))).unwrap();
    gateway.apply(snapshot(&document("b", "x"))).unwrap();
    assert_eq!((built.count(), &*told(&gateway, "/").await.1), (1, "b"));
    let mut settings = document("b", "x");
    settings["tollgate"] = json!({"errors": "problem"});
    gateway.apply(snapshot(&settings)).unwrap();
    assert_eq!(built.count(), 1, "a change of the settings builds every route, not every plugin");
    gateway.apply(snapshot(&document("b", "y"))).unwrap();
    assert_eq!(built.count(), 2);
}

#[tokio::test]
async fn unknown_plugins_are_refused_or_left_out_as_the_settings_say() {
    let mut document = json!({"routes": [route(&json!({"edge": {}, "unheard-of": {"a": 1}}))]});
    let gateway = with_marks().build().unwrap();
    let error = gateway.apply(snapshot(&document)).unwrap_err().to_string();
    assert!(error.contains("unknown plugin `unheard-of`; remove it"), "{error}");
    assert!(error.contains("`tollgate.unknown_plugin: ignore`"), "{error}");
    document["tollgate"] = json!({"unknown_plugin": "ignore"});
    gateway.apply(snapshot(&document)).unwrap();
    assert_eq!(way(&gateway).await, "edge");
    let warnings: Vec<_> = gateway.status().findings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("unknown plugin `unheard-of`")), "{warnings:?}");
}

#[tokio::test]
async fn layers_in_code_stand_just_outside_of_the_edge_stage() {
    let mark = |text: &'static str| {
        tower::util::MapRequestLayer::new(move |mut request: Request<Body>| {
            request.headers_mut().append("x-way", http::HeaderValue::from_static(text));
            request
        })
    };
    let gateway = with_marks()
        .layer(mark("gateway"))
        .route(Route::new("/").layer(mark("first")).layer(mark("second")).to_nodes([NodeSpec::service("way")]))
        .build()
        .unwrap();
    let rules = json!({"global_rules": [{"id": "g", "plugins": {"observer": {}, "edge": {}, "low": {}}}]});
    gateway.apply(snapshot(&rules)).unwrap();
    assert_eq!(way(&gateway).await, "gateway observer edge first second low");
}
