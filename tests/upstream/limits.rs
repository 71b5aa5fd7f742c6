//! How many requests at once (security.md LIM-12), and upstreams with nowhere to go.
use std::time::Duration;

use tollgate::upstream::{AdmissionConfig, NodeConfig, Resolve, Resolved, Target, Upstreams};
use tollgate::{Body, IntoResponse as _};

use crate::support::*;

fn narrow(origin: &Origin, max_pending: usize, queue_timeout: Duration) -> Client {
    let mut config = config(&[origin.address]);
    config.admission = AdmissionConfig { max_requests: 1, max_pending, queue_timeout, adaptive: None };
    Client::new(config)
}

/// Sends a head, and the body once the gate is open.
async fn gated(gate: Gate) -> Origin {
    Origin::start(move |mut conn| {
        let gate = gate.clone();
        async move {
            while conn.request().await.is_some() {
                conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
                gate.pass().await;
                conn.send("ok").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn sec_lim_12_a_place_is_held_until_the_body_has_ended() {
    let gate = Gate::default();
    let origin = gated(gate.clone()).await;
    let client = narrow(&origin, 0, Duration::from_secs(1));
    let first = client.send(request("GET", "/", Body::empty())).await.unwrap();
    let refused = client.send(request("GET", "/", Body::empty())).await.unwrap_err();
    assert_eq!(refused.reason(), "upstream_overloaded");
    let response = tollgate::Error::from(refused).into_response();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    gate.open();
    assert_eq!(text(first).await.unwrap(), "ok");
    gate.open();
    assert_eq!(client.get("/").await.unwrap().0, 200);
}

#[tokio::test]
async fn sec_lim_12_whoever_waits_is_served_in_turn_or_told_to_come_back() {
    let gate = Gate::default();
    let origin = gated(gate.clone()).await;
    let client = narrow(&origin, 1, Duration::from_millis(200));
    let first = client.send(request("GET", "/", Body::empty())).await.unwrap();
    let late = client.send(request("GET", "/", Body::empty())).await.unwrap_err();
    assert_eq!((late.reason(), late.status().as_u16()), ("upstream_queue_timeout", 503));
    let waiting = client.send(request("GET", "/", Body::empty()));
    let freeing = async {
        gate.open();
        text(first).await.unwrap();
    };
    let (served, ()) = tokio::join!(waiting, freeing);
    assert_eq!(served.unwrap().status(), 200);
}

#[tokio::test]
async fn a_place_is_free_again_when_a_body_is_dropped() {
    let origin = gated(Gate::default()).await;
    let client = narrow(&origin, 0, Duration::ZERO);
    for _ in 0..3 {
        drop(client.send(request("GET", "/", Body::empty())).await.unwrap());
    }
    assert_eq!(client.upstream.active_requests(), 0);
}

#[tokio::test]
async fn an_upstream_without_nodes_is_a_503() {
    let error = Client::new(config(&[])).get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("no_endpoint", 503));
}

/// Says what it is told to.
#[derive(Clone)]
struct Told(std::sync::Arc<std::sync::Mutex<std::net::IpAddr>>);

impl Resolve for Told {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Resolved>> + Send + 'a>> {
        let addresses = vec![*self.0.lock().unwrap()];
        Box::pin(async { Ok(Resolved::addresses(addresses, Duration::ZERO)) })
    }
}

#[tokio::test]
async fn a_name_that_moves_takes_its_requests_with_it() {
    let here = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = here.local_addr().unwrap().port();
    let there = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let answer = |name: &'static str| {
        move |mut conn: Conn| async move {
            while conn.request().await.is_some() {
                conn.send(ok(name)).await;
            }
        }
    };
    let _origins = (Origin::on(here, answer("here")), Origin::on(there, answer("there")));
    let told = Told(std::sync::Arc::new(std::sync::Mutex::new([127, 0, 0, 1].into())));
    let mut config = config(&[]);
    config.nodes = vec![NodeConfig::new(Target::host("moving.test", port))];
    let upstreams = Upstreams::builder().resolver(told.clone()).build();
    let upstream = upstreams.compile(config, &tollgate::upstream::Endpoints::new()).unwrap();
    let client = Client { upstreams, upstream };
    assert_eq!(client.get("/").await.unwrap().1, "here");
    *told.0.lock().unwrap() = [127, 0, 0, 2].into();
    // The connection that waits to the old address does not keep the requests there.
    let moved = async { while client.get("/").await.unwrap().1 == "here" {} };
    tokio::time::timeout(PATIENCE, moved).await.unwrap();
    client.idle(1).await;
}

/// Knows one name.
struct OneName(std::net::IpAddr);

impl Resolve for OneName {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<Resolved>> + Send + 'a>> {
        let addresses = if host == "known.test" { vec![self.0] } else { Vec::new() };
        Box::pin(async { Ok(Resolved::addresses(addresses, Duration::from_secs(1))) })
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_left_out() {
    let origin = Origin::naming().await;
    let client = |nodes: &[&str]| {
        let mut config = config(&[]);
        let port = origin.address.port();
        config.nodes = nodes.iter().map(|host| NodeConfig::new(Target::host(*host, port))).collect();
        let upstreams = Upstreams::builder().resolver(OneName(origin.address.ip())).build();
        let upstream = upstreams.compile(config, &tollgate::upstream::Endpoints::new()).unwrap();
        Client { upstreams, upstream }
    };
    let both = client(&["unknown.test", "known.test"]);
    for _ in 0..4 {
        assert_eq!(both.send(request("POST", "/", "x")).await.unwrap().status(), 200);
    }
    let error = client(&["unknown.test"]).get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("resolve_failed", 503));
}
