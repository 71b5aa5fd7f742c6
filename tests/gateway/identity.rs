//! What a reload leaves as it is: balancers' positions, connections, counts; and what counts as unchanged.
use std::sync::Arc;

use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::model::{RouteSpec, Snapshot};

use super::peers::origin::Origin;
use super::support::{builder, snapshot, told};

fn turning() -> Value {
    json!({
        "upstreams": [{"id": "u", "nodes": [
            {"service": "a", "weight": 1}, {"service": "b", "weight": 1}, {"service": "c", "weight": 1},
        ]}],
        "routes": [{"id": "r", "uri": "/", "upstream_id": "u"}],
    })
}

async fn turns(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut turns = Vec::new();
    for _ in 0..count {
        turns.push(told(gateway, "/").await.1);
    }
    turns
}

/// Two turns, a reload by `change`, four more: whether each node still has every third turn.
async fn goes_on(change: impl FnOnce(&Gateway)) -> bool {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&turning())).unwrap();
    let mut all = turns(&gateway, 2).await;
    change(&gateway);
    all.extend(turns(&gateway, 4).await);
    all[..3] == all[3..] && all[0] != all[1] && all[1] != all[2] && all[2] != all[0]
}

/// The position of a balancer begins at random, so that a lost one is found one time in three.
const ROUNDS: usize = 12;

#[tokio::test]
async fn a_balancer_goes_on_from_its_position() {
    // Other resources and even the route change, and the settings with everything.
    let mut other = turning();
    other["routes"].as_array_mut().unwrap().insert(0, json!({"id": "new", "uri": "/new", "upstream_id": "u"}));
    other["routes"][1]["priority"] = json!(7);
    other["tollgate"] = json!({"errors": "problem"});
    // The same upstream with a setting of its own changed: nodes and weights, and so the position, are the same.
    let mut upstream = turning();
    upstream["upstreams"][0]["timeout"] = json!({"connect": 9, "send": 9, "read": 9});
    let mut refused = turning();
    refused["routes"][0]["filter_func"] = json!("nobody");
    for _ in 0..ROUNDS {
        let same_items = |gateway: &Gateway| assert!(gateway.apply(gateway.snapshot()).is_ok());
        assert!(goes_on(same_items).await);
        for document in [&turning(), &other, &upstream] {
            assert!(goes_on(|gateway| assert!(gateway.apply(snapshot(document)).is_ok())).await, "{document}");
        }
        assert!(goes_on(|gateway| assert!(gateway.apply(snapshot(&refused)).is_err())).await);
    }
}

#[tokio::test]
async fn an_inline_upstream_keeps_its_position_when_its_route_changes() {
    let document = |uri: &str| {
        json!({"routes": [{"id": "r", "uris": ["/", uri], "upstream": {"nodes": [
            {"service": "a", "weight": 1}, {"service": "b", "weight": 1}, {"service": "c", "weight": 1},
        ]}}]})
    };
    for _ in 0..ROUNDS {
        let gateway = builder().build().unwrap();
        gateway.apply(snapshot(&document("/x"))).unwrap();
        let mut all = turns(&gateway, 2).await;
        gateway.apply(snapshot(&document("/y"))).unwrap();
        all.extend(turns(&gateway, 4).await);
        assert_eq!(all[..3], all[3..]);
    }
}

#[tokio::test]
async fn a_changed_set_of_nodes_is_in_force_at_once() {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&turning())).unwrap();
    turns(&gateway, 2).await;
    let mut less = turning();
    less["upstreams"][0]["nodes"] = json!([{"service": "c", "weight": 1}]);
    gateway.apply(snapshot(&less)).unwrap();
    assert_eq!(turns(&gateway, 3).await, ["c", "c", "c"]);
}

fn to(origin: &Origin, extra: &Value) -> Value {
    let mut upstream = json!({"id": "u", "nodes": {origin.address().to_string(): 1}});
    upstream.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"upstreams": [upstream], "routes": [{"id": "r", "uri": "/*", "upstream_id": "u"}]})
}

#[tokio::test]
async fn connections_survive_reloads_and_changes_of_their_upstream() {
    let origin = Origin::saying("net").await;
    let gateway = builder().build().unwrap();
    let mut applied = vec![to(&origin, &json!({})), to(&origin, &json!({}))];
    applied.push(to(&origin, &json!({"timeout": {"connect": 3, "send": 3, "read": 3}})));
    applied.push(to(&origin, &json!({"retries": 4, "pass_host": "node"})));
    let mut renamed = to(&origin, &json!({}));
    renamed["upstreams"][0]["id"] = json!("other");
    renamed["routes"][0]["upstream_id"] = json!("other");
    applied.push(renamed);
    for document in &applied {
        gateway.apply(snapshot(document)).unwrap();
        for _ in 0..3 {
            assert_eq!(told(&gateway, "/").await, (200, "net".to_owned()));
        }
    }
    assert_eq!(origin.seen().len(), 1, "connections at the origin");
    assert_eq!(origin.requests().len(), 15);
}

#[tokio::test]
async fn connections_are_closed_when_nothing_leads_to_them_any_more() {
    let origin = Origin::saying("net").await;
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&to(&origin, &json!({})))).unwrap();
    assert_eq!(told(&gateway, "/").await.1, "net");
    gateway.apply(Snapshot::default()).unwrap();
    origin.end_of(0).await;
}

#[tokio::test]
async fn a_hundred_reloads_between_requests_open_one_connection() {
    let origin = Origin::saying("net").await;
    let gateway = builder().build().unwrap();
    for version in 0..100 {
        let mut document = to(&origin, &json!({}));
        document["routes"][0]["name"] = json!(format!("version {version}"));
        gateway.apply(snapshot(&document)).unwrap();
        assert_eq!(told(&gateway, "/").await.0, 200);
    }
    assert_eq!(origin.seen().len(), 1, "connections at the origin");
}

#[tokio::test]
async fn an_item_is_the_same_by_its_pointer_or_by_its_content() {
    let gateway = builder().build().unwrap();
    gateway.apply(snapshot(&turning())).unwrap();
    let mut next = gateway.snapshot();
    // Two equal items in places of their own, and one that differs.
    let twin = RouteSpec::clone(&next.routes[0]);
    next.routes.to_mut()[0] = Arc::new(twin);
    next.routes.push(RouteSpec { upstream_id: Some("u".into()), ..RouteSpec::new("more", "/more") });
    gateway.apply(next.clone()).unwrap();
    assert_eq!(told(&gateway, "/more").await.0, 200);
    let routes = next.routes.to_mut();
    routes.remove(0);
    gateway.apply(next).unwrap();
    assert_eq!((told(&gateway, "/").await.0, told(&gateway, "/more").await.0), (404, 200));
}
