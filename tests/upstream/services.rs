//! Services of the process as endpoints, beside those on the network.
use std::convert::Infallible;
use std::net::IpAddr;

use http_body_util::Full;
use tollgate::upstream::{
    Endpoints, ForwardContext, Forwarded, NodeConfig, Target, Upstream, UpstreamConfig, UpstreamKey, Upstreams,
};
use tollgate::{Body, Request, Response};
use tower::service_fn;

use crate::support::*;

fn service(name: &str) -> NodeConfig {
    NodeConfig::new(Target::Service(name.into()))
}

fn compile(nodes: Vec<NodeConfig>, endpoints: &Endpoints) -> std::sync::Arc<Upstream> {
    Upstreams::new().compile(UpstreamConfig::new(UpstreamKey::new("upstream", "test"), nodes), endpoints).unwrap()
}

#[tokio::test]
async fn a_service_shares_the_requests_with_a_network_node() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnet").await;
    let endpoints = Endpoints::new().with(
        "here",
        service_fn(|_: Request| async {
            Ok::<_, Infallible>(http::Response::new(Full::new("own".into()) as Full<bytes::Bytes>))
        }),
    );
    let upstream = compile(vec![node(origin.address).with_weight(2), service("here")], &endpoints);
    let mut counts = [0, 0];
    for _ in 0..30 {
        let response = upstream.send(request("GET", "/", Body::empty()), ForwardContext::default()).await.unwrap();
        counts[usize::from(text(response).await.unwrap() == "own")] += 1;
    }
    assert_eq!(counts, [20, 10]);
    assert_eq!(upstream.active_requests(), 0);
}

#[tokio::test]
async fn a_service_sees_what_an_origin_would_see() {
    let endpoints = Endpoints::new().with(
        "here",
        service_fn(|request: Request| async move {
            let mut lines = vec![request.uri().to_string()];
            lines.extend(request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
            Ok::<_, Infallible>(Response::new(Body::from(lines.join("\n"))))
        }),
    );
    let upstream = compile(vec![service("here")], &endpoints);
    let cx = ForwardContext {
        target: Some("/canonical?x"),
        forwarded: Some(Forwarded {
            client: IpAddr::from([192, 0, 2, 1]),
            peer: IpAddr::from([192, 0, 2, 1]),
            prior: None,
            proto: b"http",
            host: b"client.test",
            port: b"80",
        }),
        via: Some("1.1 tollgate"),
        ..ForwardContext::default()
    };
    let response = upstream.send(request("GET", "/a/../canonical?x", Body::empty()), cx).await.unwrap();
    assert_eq!(
        text(response).await.unwrap(),
        "/canonical?x\nhost: client.test\nx-real-ip: 192.0.2.1\nx-forwarded-for: 192.0.2.1\nx-forwarded-proto: \
         http\nx-forwarded-host: client.test\nx-forwarded-port: 80\nvia: 1.1 tollgate"
    );
}

#[tokio::test]
async fn sec_pan_01_a_service_that_panics_ends_one_request() {
    let endpoints = Endpoints::new().with(
        "here",
        service_fn(|request: Request| async move {
            assert!(request.uri().path() != "/panic", "told to");
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Body::from("fine")))
        }),
    );
    let upstream = compile(vec![service("here")], &endpoints);
    let send = |path| upstream.send(request("GET", path, Body::empty()), ForwardContext::default());
    let error = send("/panic").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("endpoint_panicked", 500));
    assert_eq!(tollgate::Error::from(error).code(), "internal");
    assert_eq!(text(send("/").await.unwrap()).await.unwrap(), "fine");
    assert_eq!(upstream.active_requests(), 0);
}

#[tokio::test]
async fn sec_upg_04_a_service_cannot_switch_unasked_either() {
    let endpoints = Endpoints::new().with(
        "here",
        service_fn(|_: Request| async {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            Ok::<_, Infallible>(response)
        }),
    );
    let upstream = compile(vec![service("here")], &endpoints);
    let error = upstream.send(request("GET", "/", Body::empty()), ForwardContext::default()).await.unwrap_err();
    assert_eq!(error.reason(), "malformed_response");
}

#[tokio::test]
async fn a_service_takes_over_from_a_dead_node() {
    let endpoints = Endpoints::new()
        .with("spare", service_fn(|_: Request| async { Ok::<_, Infallible>(Response::new(Body::from("spare"))) }));
    let nodes = vec![node(refusing().await).with_priority(1), service("spare")];
    let upstream = compile(nodes, &endpoints);
    let response = upstream.send(request("POST", "/", "x"), ForwardContext::default()).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "spare");
}
