//! A route that was left out answers 503 where it would have matched, and takes nothing from others (CFG-02).
#![cfg(test)]
use std::convert::Infallible;

use http::{Request, Response};
use serde_json::{Value, json};
use tollgate::Body;
use tollgate::gateway::{Gateway, Route};
use tollgate::model::{ReadOptions, read};
use tower::ServiceExt as _;

/// The statuses of GET requests for `urls`, behind a broad route that would take them all.
async fn statuses(routes: Value, urls: &[&str]) -> Vec<u16> {
    let fine = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let gateway = Gateway::builder().endpoint("fine", fine).route(Route::new("/*").to_service(fine)).build().unwrap();
    let upstreams = json!([{"id": "fine", "nodes": [{"service": "fine", "weight": 1}]}]);
    let document = json!({"routes": routes, "upstreams": upstreams});
    gateway.adopt(read(&document, &ReadOptions::default()).snapshot).unwrap();
    let mut statuses = Vec::new();
    for url in urls {
        let request = Request::get(*url).body(Body::empty()).unwrap();
        statuses.push(gateway.clone().oneshot(request).await.unwrap().status().as_u16());
    }
    statuses
}

#[tokio::test]
async fn sec_cfg_02_a_faulty_pattern_does_not_open_the_others() {
    let routes = json!([{"id": "a", "uris": ["/a", "no-slash", "/b/*"], "upstream_id": "fine"}]);
    assert_eq!(statuses(routes, &["http://h/a", "http://h/b/c", "http://h/c"]).await, [503, 503, 200]);
}

#[tokio::test]
async fn sec_cfg_02_a_route_whose_only_pattern_is_faulty_does_not_stop_the_rest() {
    let routes = json!([
        {"id": "a", "uri": "no-slash", "upstream_id": "fine"},
        {"id": "b", "uri": "/b", "methods": ["PUT"], "upstream_id": "fine"},
        {"id": "c", "uri": "/c", "upstream_id": 0},
    ]);
    assert_eq!(statuses(routes, &["http://h/a", "http://h/b", "http://h/c"]).await, [200, 200, 503]);
}

#[tokio::test]
async fn sec_cfg_02_the_later_of_two_routes_of_one_id_takes_nothing_from_the_first() {
    let routes = json!([
        {"id": "a", "uri": "/first", "upstream_id": "fine"},
        {"id": "a", "uri": "/later", "upstream_id": "fine"},
        {"id": "a", "uri": "/last", "hosts": ["x.test", "y.test"], "upstream_id": "fine"},
    ]);
    let urls = ["http://h/first", "http://h/later", "http://y.test/last", "http://z.test/last"];
    assert_eq!(statuses(routes, &urls).await, [200, 503, 503, 200]);
}
