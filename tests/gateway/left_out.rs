//! Faulty items of a configuration that is adopted: their predecessors serve on, or they are left out and fail closed
//! (config-sources.md §1, security.md CFG-02).
use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::model::Snapshot;

use super::support::{ask, builder, candidate, get, snapshot, told};

fn route(id: &str, uri: &str, endpoint: &str) -> Value {
    json!({"id": id, "uri": uri, "upstream": {"nodes": [{"service": endpoint, "weight": 1}]}})
}

fn with(mut route: Value, field: &str, value: Value) -> Value {
    route[field] = value;
    route
}

fn left_out(gateway: &Gateway) -> Vec<String> {
    gateway.status().left_out.iter().map(|item| item.id.as_ref().unwrap().to_string()).collect()
}

#[tokio::test]
async fn cfg_02_a_new_route_with_a_fault_answers_503_instead_of_letting_a_broader_one_answer() {
    let gateway = builder().build().unwrap();
    let broad = route("broad", "/*", "a");
    for faulty in [
        // One that the reader refuses, and three that only the gateway can judge.
        with(route("faulty", "/admin/*", "b"), "timeout", json!(5)),
        with(route("faulty", "/admin/*", "b"), "filter_func", json!("nobody")),
        with(route("faulty", "/admin/*", "b"), "plugins", json!({"unheard-of": {}})),
        with(route("faulty", "/admin/*", "nowhere"), "desc", json!("no such endpoint")),
    ] {
        gateway.apply(Snapshot::default()).unwrap();
        gateway.adopt(candidate(&json!({"routes": [broad, faulty]}))).unwrap();
        let answer = get(&gateway, "/admin/x").await;
        assert_eq!((answer.status, get(&gateway, "/other").await.status), (503, 200), "{faulty}");
        assert!(!answer.text.contains("nobody") && !answer.text.contains("unheard"), "{}", answer.text);
        assert_eq!(left_out(&gateway), ["faulty"]);
        assert!(gateway.status().findings.iter().any(|finding| finding.is_error()), "the status says why");
    }
}

#[tokio::test]
async fn cfg_02_conditions_of_a_left_out_route_still_narrow_it() {
    let gateway = builder().build().unwrap();
    let mut faulty = route("faulty", "/*", "nowhere");
    faulty["methods"] = json!(["POST"]);
    faulty["vars"] = json!([["arg_v", "==", "2"]]);
    gateway.adopt(candidate(&json!({"routes": [route("broad", "/*", "a"), faulty]}))).unwrap();
    let post = |uri: &str| {
        let request = http::Request::builder().method("POST").uri(uri).body(tollgate::Body::empty()).unwrap();
        let gateway = gateway.clone();
        async move { ask(&gateway, request).await.status }
    };
    // The tie of equal patterns goes to the first of the file, as if it were no faulty one.
    let _ = post("/?v=2").await;
    assert_eq!((get(&gateway, "/?v=2").await.status, post("/?v=1").await), (200, 200));
    let mut faulty = route("faulty", "/narrow", "nowhere");
    faulty["methods"] = json!(["POST"]);
    gateway.adopt(candidate(&json!({"routes": [route("broad", "/*", "a"), faulty]}))).unwrap();
    assert_eq!((get(&gateway, "/narrow").await.status, post("/narrow").await), (200, 503));
}

#[tokio::test]
async fn cfg_02_ties_are_broken_by_the_place_in_the_document() {
    let gateway = builder().build().unwrap();
    let faulty = |id: &str, uri: &str| route(id, uri, "nowhere");
    gateway
        .adopt(candidate(&json!({"routes": [
            faulty("f1", "/x"), faulty("f2", "/first"), route("a", "/first", "a"),
            route("b", "/last", "b"), faulty("f3", "/last"),
        ]})))
        .unwrap();
    assert_eq!((get(&gateway, "/first").await.status, get(&gateway, "/last").await.status), (503, 200));
}

#[tokio::test]
async fn a_left_out_route_of_a_service_follows_the_hosts_of_the_service() {
    let document = |host: &str| {
        json!({
            "services": [{"id": "s", "hosts": [host]}],
            "routes": [
                route("broad", "/*", "a"),
                with(with(route("faulty", "/f", "b"), "filter_func", json!("nobody")), "service_id", json!("s")),
            ],
        })
    };
    let gateway = builder().build().unwrap();
    gateway.adopt(candidate(&document("gw.test"))).unwrap();
    assert_eq!(get(&gateway, "/f").await.status, 503);
    gateway.adopt(candidate(&document("else.test"))).unwrap();
    assert_eq!(get(&gateway, "/f").await.status, 200, "the host of the service is another now");
    gateway.adopt(candidate(&document("gw.test"))).unwrap();
    assert_eq!(get(&gateway, "/f").await.status, 503);
}

#[tokio::test]
async fn a_faulty_item_keeps_its_predecessor_and_the_rest_is_applied() {
    let gateway = builder().build().unwrap();
    gateway.adopt(candidate(&json!({"routes": [route("r", "/r", "a"), route("s", "/s", "a")]}))).unwrap();
    let faulty = with(route("r", "/r", "b"), "filter_func", json!("nobody"));
    gateway.adopt(candidate(&json!({"routes": [faulty, route("s", "/s", "b"), route("t", "/t", "c")]}))).unwrap();
    assert_eq!(
        (told(&gateway, "/r").await.1, told(&gateway, "/s").await.1, told(&gateway, "/t").await.1),
        ("a".into(), "b".into(), "c".into())
    );
    let status = gateway.status();
    assert_eq!(status.kept.iter().map(|item| item.id.as_ref().unwrap().as_str()).collect::<Vec<_>>(), ["r"]);
    assert!(status.left_out.is_empty());
    // Mended, it is in force.
    gateway.adopt(candidate(&json!({"routes": [route("r", "/r", "b")]}))).unwrap();
    assert_eq!((told(&gateway, "/r").await.1, get(&gateway, "/s").await.status), ("b".into(), 404));
    assert!(gateway.status().kept.is_empty());
}

#[tokio::test]
async fn a_left_out_upstream_makes_its_routes_fail_closed() {
    let gateway = builder().build().unwrap();
    gateway
        .adopt(candidate(&json!({
            "upstreams": [{"id": "u", "nodes": [{"service": "nowhere", "weight": 1}]}],
            "routes": [{"id": "r", "uri": "/r", "upstream_id": "u"}, route("broad", "/*", "a")],
        })))
        .unwrap();
    assert_eq!((get(&gateway, "/r").await.status, get(&gateway, "/x").await.status), (502, 200));
}

#[tokio::test]
async fn apply_takes_no_snapshot_with_rejected_items() {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&json!({"routes": [route("r", "/r", "a")]}))).unwrap();
    let torn = candidate(&json!({"routes": [route("r", "/r", "b"), {"id": "torn", "uri": 5}]}));
    let error = gateway.apply(torn).unwrap_err().to_string();
    assert!(error.contains("route `torn`"), "{error}");
    assert_eq!(told(&gateway, "/r").await.1, "a");
}
