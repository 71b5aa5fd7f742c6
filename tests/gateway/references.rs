//! References to what is not there (model.md §7.6), and how an upstream is chosen among those that a route can have.
use serde_json::json;
use tollgate::Fault;
use tollgate::gateway::Gateway;
use tower::ServiceExt as _;

use super::support::{builder, get, snapshot, told};

async fn status_and_reason(gateway: &Gateway, path: &str) -> (u16, &'static str) {
    let request = http::Request::builder().uri(path).header("host", "gw.test").body(tollgate::Body::empty()).unwrap();
    let response = gateway.clone().oneshot(request).await.unwrap();
    (response.status().as_u16(), response.extensions().get::<Fault>().unwrap().code())
}

#[tokio::test]
async fn each_missing_reference_has_its_status_and_reason() {
    let gateway = builder().build().unwrap();
    let node = json!([{"service": "a", "weight": 1}]);
    gateway
        .apply(snapshot(&json!({
            "services": [{"id": "s", "upstream_id": "gone"}],
            "routes": [
                {"id": "1", "uri": "/plugin-config", "plugin_config_id": "gone", "upstream": {"nodes": node}},
                {"id": "2", "uri": "/service", "service_id": "gone", "upstream": {"nodes": node}},
                {"id": "3", "uri": "/upstream", "upstream_id": "gone"},
                {"id": "4", "uri": "/upstream-of-service", "service_id": "s"},
                {"id": "5", "uri": "/nothing", "plugins": {}},
                {"id": "6", "uri": "/no-node", "upstream": {"nodes": []}},
            ],
        })))
        .unwrap();
    for (path, expected) in [
        ("/plugin-config", (503, "plugin_config_missing")),
        ("/service", (404, "service_missing")),
        ("/upstream", (502, "upstream_missing")),
        ("/upstream-of-service", (502, "upstream_missing")),
        ("/nothing", (503, "upstream_undefined")),
        ("/no-node", (503, "no_endpoint")),
    ] {
        assert_eq!(status_and_reason(&gateway, path).await, expected, "{path}");
    }
    let warnings: Vec<_> = gateway.status().findings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|text| text.contains("route `3`, field upstream_id")), "{warnings:?}");
}

#[tokio::test]
async fn what_was_missing_is_used_when_it_comes_and_missed_when_it_goes() {
    let gateway = builder().build().unwrap();
    let routes = json!([{"id": "r", "uri": "/", "service_id": "s"}]);
    let service = json!([{"id": "s", "upstream_id": "u"}]);
    let upstream = json!([{"id": "u", "nodes": [{"service": "a", "weight": 1}]}]);
    let steps = [
        (json!({"routes": routes}), 404),
        (json!({"routes": routes, "services": service}), 502),
        (json!({"routes": routes, "services": service, "upstreams": upstream}), 200),
        (json!({"routes": routes, "upstreams": upstream}), 404),
        (json!({"routes": routes, "services": service, "upstreams": upstream}), 200),
        (json!({"routes": routes, "services": service}), 502),
    ];
    for (step, (document, status)) in steps.iter().enumerate() {
        gateway.apply(snapshot(document)).unwrap();
        assert_eq!(get(&gateway, "/").await.status, *status, "step {step}");
    }
}

#[tokio::test]
async fn the_upstream_of_the_route_comes_before_that_of_its_service_and_ids_before_inline_ones() {
    let inline = |name: &str| json!({"nodes": [{"service": name, "weight": 1}]});
    let gateway = builder().build().unwrap();
    gateway
        .apply(snapshot(&json!({
            "upstreams": [{"id": "u", "nodes": [{"service": "a", "weight": 1}]}],
            "services": [
                {"id": "both", "upstream_id": "u", "upstream": inline("c")},
                {"id": "inline", "upstream": inline("c")},
            ],
            "routes": [
                {"id": "1", "uri": "/id", "upstream_id": "u", "upstream": inline("b"), "service_id": "inline"},
                {"id": "2", "uri": "/inline", "upstream": inline("b"), "service_id": "both"},
                {"id": "3", "uri": "/service-id", "service_id": "both"},
                {"id": "4", "uri": "/service-inline", "service_id": "inline"},
            ],
        })))
        .unwrap();
    for (path, expected) in [("/id", "a"), ("/inline", "b"), ("/service-id", "a"), ("/service-inline", "c")] {
        assert_eq!(told(&gateway, path).await.1, expected, "{path}");
    }
}

#[tokio::test]
async fn the_hosts_of_a_service_hold_for_routes_without_hosts() {
    let node = json!({"nodes": [{"service": "a", "weight": 1}]});
    let document = |host: &str| {
        json!({
            "services": [{"id": "s", "hosts": [host], "upstream": node}],
            "routes": [
                {"id": "1", "uri": "/inherits", "service_id": "s"},
                {"id": "2", "uri": "/own", "service_id": "s", "host": "own.test"},
            ],
        })
    };
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&document("gw.test"))).unwrap();
    assert_eq!((get(&gateway, "/inherits").await.status, get(&gateway, "/own").await.status), (200, 404));
    gateway.apply(snapshot(&document("else.test"))).unwrap();
    assert_eq!(get(&gateway, "/inherits").await.status, 404);
}
