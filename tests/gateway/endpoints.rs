//! Services of the host program as endpoints, and what they and the layers around them are told.
use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use serde_json::json;
use tollgate::gateway::{Gateway, Route, RouteMatch};
use tollgate::model::{NodeSpec, UpstreamSpec};
use tollgate::upstream::balance::{Balancer, Member, Pick, Policy};
use tollgate::{Body, ConnectInfo, Exchange};
use tower::ServiceExt as _;

use super::peers::origin::Origin;
use super::support::{ask, builder, get, saying, snapshot, told};

#[tokio::test]
async fn a_service_stands_beside_network_nodes_under_one_balancer() {
    let origin = Origin::saying("net").await;
    let gateway = builder().build().unwrap();
    let (host, port) = (origin.address().ip().to_string(), origin.address().port());
    gateway
        .apply(snapshot(&json!({
            "upstreams": [{"id": "u", "nodes": [
                {"service": "a", "weight": 1}, {"host": host, "port": port, "weight": 2},
            ]}],
            "routes": [{"id": "r", "uri": "/", "upstream_id": "u"}],
        })))
        .unwrap();
    let mut own = 0;
    for _ in 0..30 {
        own += usize::from(told(&gateway, "/").await.1 == "a");
    }
    assert_eq!((own, origin.requests().len(), origin.seen().len()), (10, 20, 1));
}

/// Always the last member.
struct Last(usize);

impl Balancer for Last {
    fn pick(&self, pick: &Pick<'_>) -> Option<usize> {
        (0..self.0).rev().find(|index| pick.is_usable(*index))
    }
}

#[tokio::test]
async fn a_balancer_of_the_hosts_own_is_named_by_a_file() {
    let last = |members: &[Member], _: &Policy| -> Arc<dyn Balancer> { Arc::new(Last(members.len())) };
    let gateway = builder().balancer("last", last).build().unwrap();
    let upstream = |kind: &str| {
        snapshot(&json!({
            "upstreams": [{"id": "u", "type": kind, "nodes": [
                {"service": "a", "weight": 1}, {"service": "b", "weight": 1},
            ]}],
            "routes": [{"id": "r", "uri": "/", "upstream_id": "u"}],
        }))
    };
    gateway.apply(upstream("last")).unwrap();
    for _ in 0..5 {
        assert_eq!(told(&gateway, "/").await.1, "b");
    }
    let error = gateway.apply(upstream("first")).unwrap_err().to_string();
    assert!(error.contains("there is no balancer `first`"), "{error}");
}

#[tokio::test]
async fn routes_in_code_stay_and_come_before_those_of_a_file() {
    let gateway = builder()
        .route(Route::new("/code").to_service(saying("code")))
        .route(Route::new("/shared").to_upstream("u"))
        .build()
        .unwrap();
    assert_eq!((told(&gateway, "/code").await.1, get(&gateway, "/shared").await.status), ("code".into(), 502));
    for endpoint in ["a", "b"] {
        let node = json!([{"service": endpoint, "weight": 1}]);
        gateway
            .apply(snapshot(&json!({
                "upstreams": [{"id": "u", "nodes": node}],
                "routes": [
                    {"id": "file", "uri": "/code", "upstream": {"nodes": node}},
                    {"id": "own", "uri": "/file", "upstream": {"nodes": node}},
                ],
            })))
            .unwrap();
        assert_eq!(told(&gateway, "/code").await.1, "code");
        assert_eq!(told(&gateway, "/file").await.1, endpoint);
        assert_eq!(told(&gateway, "/shared").await.1, endpoint);
    }
}

#[tokio::test]
async fn a_configured_route_cannot_take_the_id_of_one_in_code() {
    let gateway = builder().route(Route::new("/code").id("mine").to_service(saying("code"))).build().unwrap();
    let file = |id: &str| {
        snapshot(&json!({"routes": [
            {"id": id, "uri": "/file", "upstream": {"nodes": [{"service": "a", "weight": 1}]}},
        ]}))
    };
    gateway.apply(file("theirs")).unwrap();
    let error = gateway.apply(file("mine")).unwrap_err().to_string();
    assert!(error.contains("route `mine`"), "{error}");
    assert_eq!((told(&gateway, "/code").await.0, told(&gateway, "/file").await.0), (200, 200));
    gateway.apply(file("theirs")).unwrap();
    assert_eq!((told(&gateway, "/code").await.0, told(&gateway, "/file").await.0), (200, 200));
}

#[test]
fn routes_in_code_are_judged_like_all_others() {
    let error = Gateway::builder()
        .route(Route::new("no-slash").id("bad").to(UpstreamSpec::of([NodeSpec::service("nowhere")])))
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.contains("route `bad`") && error.contains("nowhere"), "{error}");
    let twice = Gateway::builder()
        .route(Route::new("/a").id("same").to_service(saying("a")))
        .route(Route::new("/b").id("same").to_service(saying("b")))
        .build()
        .unwrap_err()
        .to_string();
    assert!(twice.contains("route `same`"), "{twice}");
}

#[tokio::test]
async fn an_endpoint_is_told_its_route_and_captures() {
    let told_route = tower::service_fn(|request: Request<Body>| async move {
        let matched = RouteMatch::of(&request).expect("no route is told");
        let name = matched.params.get("name").map(|value| String::from_utf8_lossy(&value).into_owned());
        Ok::<_, Infallible>(Response::new(format!("{} {} {name:?}", matched.route, matched.pattern)))
    });
    let gateway = builder()
        .endpoint("told", told_route)
        .route(
            Route::new("/layered/:name")
                .layer(tower::layer::util::Identity::new())
                .to_nodes([NodeSpec::service("told")]),
        )
        .build()
        .unwrap();
    gateway
        .apply(snapshot(&json!({"routes": [
            {"id": "plain", "uri": "/plain/:name", "upstream": {"nodes": [{"service": "told", "weight": 1}]}},
        ]})))
        .unwrap();
    assert_eq!(told(&gateway, "/plain/x%20y").await.1, "plain /plain/:name Some(\"x y\")");
    assert_eq!(told(&gateway, "/layered/z").await.1, "code-1 /layered/:name Some(\"z\")");
}

#[tokio::test]
async fn an_exchange_tells_a_layer_the_route_and_the_endpoints_that_were_tried() {
    let origin = Origin::saying("net").await;
    // A port where nobody listens: bound, and let go.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = builder().build().unwrap();
    gateway
        .apply(snapshot(&json!({
            "global_rules": [],
            "routes": [
                {"id": "net", "uri": "/net", "upstream": {"nodes": [
                    {"host": dead.ip().to_string(), "port": dead.port(), "weight": 1, "priority": 1},
                    {"host": origin.address().ip().to_string(), "port": origin.address().port(), "weight": 1, "priority": 0},
                ]}},
                {"id": "own", "uri": "/own", "upstream": {"nodes": [{"service": "a", "weight": 1}]}},
            ],
        })))
        .unwrap();
    for (path, route, upstream) in [
        ("/net", Some("net"), Some(format!("{dead}, {}", origin.address()))),
        ("/own", Some("own"), Some("service a".to_owned())),
        ("/none", None, None),
    ] {
        let exchange = Exchange::new();
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(exchange.clone());
        ask(&gateway, request).await;
        assert_eq!(exchange.route().map(|id| &**id), route);
        assert_eq!(exchange.upstream(), upstream);
    }
}

#[tokio::test]
async fn outermost_layers_are_told_who_the_client_is() {
    let layer = tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        let peer = request.extensions().get::<ConnectInfo>().map(|info| info.peer.to_string());
        request.headers_mut().insert("x-way", HeaderValue::from_str(&peer.unwrap_or_default()).unwrap());
        request
    });
    let gateway = builder().layer(layer).route(Route::new("/").to_nodes([NodeSpec::service("way")])).build().unwrap();
    let connection = gateway.connection(ConnectInfo::new(([192, 0, 2, 9], 4711).into()));
    let request = Request::builder().uri("/").header("host", "gw.test").body(Body::empty()).unwrap();
    let body = connection.oneshot(request).await.unwrap().into_body().buffer(100).await.unwrap();
    assert_eq!(body, "192.0.2.9:4711");
}

#[tokio::test]
async fn an_endpoint_that_panics_ends_its_request_only() {
    let panics = tower::service_fn(|_: Request<Body>| async move {
        if true {
            panic!("on purpose");
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let gateway = builder()
        .endpoint("panics", panics)
        .route(Route::new("/bad").to_nodes([NodeSpec::service("panics")]))
        .route(Route::new("/good").to_nodes([NodeSpec::service("a")]))
        .build()
        .unwrap();
    let answer = get(&gateway, "/bad").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.text.contains("on purpose"), "{}", answer.text);
    assert_eq!(told(&gateway, "/good").await, (200, "a".to_owned()));
}
