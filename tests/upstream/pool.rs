//! Which connections are used again, and which must not be (security.md UP-05, UP-05b, RET-02; upstream.md §6).
use std::time::Duration;

use tollgate::upstream::{Endpoints, Keepalive, Scheme, UpstreamBuildError, UpstreamKey};
use tollgate::{Body, upstream::UpstreamConfig};

use crate::support::*;

/// An origin whose answer to `/stray` has bytes behind it; every answer names the request's `x-id`.
async fn straying(stray: &'static str, at_once: bool) -> (Origin, Gate) {
    let gate = Gate::default();
    let now = gate.clone();
    let origin = Origin::start(move |mut conn| {
        let gate = gate.clone();
        async move {
            while let Some(request) = conn.request().await {
                let id = field(&request, "x-id").unwrap_or_default().to_owned();
                if !request.contains("/stray") {
                    conn.send(ok(&id)).await;
                } else if at_once {
                    conn.send(ok(&id) + stray).await;
                } else {
                    conn.send(ok(&id)).await;
                    gate.pass().await;
                    conn.send(stray).await;
                }
            }
        }
    })
    .await;
    (origin, now)
}

async fn get_id(client: &Client, path: &str, id: &str) -> String {
    let mut get = request("GET", path, Body::empty());
    get.headers_mut().insert("x-id", id.parse().unwrap());
    text(client.send(get).await.unwrap()).await.unwrap()
}

fn quarantined(client: &Client) -> bool {
    client.upstream.endpoints().all(|endpoint| endpoint.quarantined)
}

#[tokio::test]
async fn sec_up_05_a_second_response_is_never_delivered() {
    for stray in ["HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison", "x"] {
        let (origin, _) = straying(stray, true).await;
        let client = Client::of(&origin);
        assert_eq!(get_id(&client, "/stray", "a").await, "a");
        assert!(quarantined(&client));
        assert_eq!(get_id(&client, "/", "b").await, "b");
        assert_eq!(get_id(&client, "/", "c").await, "c");
        assert_eq!(origin.connections(), 3, "no connection is kept");
    }
}

#[tokio::test]
async fn sec_up_05b_bytes_on_an_idle_connection_close_it_and_quarantine_its_origin() {
    let (origin, now) = straying("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", false).await;
    let client = Client::of(&origin);
    assert_eq!(get_id(&client, "/stray", "a").await, "a");
    client.idle(1).await;
    now.open();
    // Found by the sweep, or by the next request if that is first.
    until(|| quarantined(&client)).await;
    client.idle(0).await;
    assert_eq!(get_id(&client, "/", "b").await, "b");
    assert_eq!(get_id(&client, "/", "c").await, "c");
    assert_eq!(origin.connections(), 3);
}

#[tokio::test]
async fn sec_up_05_a_body_where_none_may_be_is_stray() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\nbody"),
        ("GET", "HTTP/1.1 304 Not Modified\r\n\r\nbody"),
    ] {
        let origin = Origin::answering(answer).await;
        let client = Client::of(&origin);
        let response = client.send(request(method, "/", Body::empty())).await.unwrap();
        assert!(response.body().is_empty());
        client.idle(0).await;
        assert!(quarantined(&client));
    }
}

#[tokio::test]
async fn sec_up_05_a_closed_idle_connection_is_dropped() {
    let origin = Origin::start(|mut conn| async move {
        conn.request().await.unwrap();
        conn.send(ok("a")).await;
    })
    .await;
    let client = Client::of(&origin);
    for served in 1..=3 {
        assert_eq!(client.get("/").await.unwrap().1, "a");
        assert_eq!(origin.connections(), served);
        client.idle(0).await;
    }
}

/// Closes each connection exactly when its second request has come.
async fn closing_on_reuse(reset: bool) -> Origin {
    Origin::start(move |mut conn| async move {
        if conn.request().await.is_some() {
            conn.send(ok("a")).await;
            if conn.request().await.is_some() && reset {
                conn.reset();
            }
        }
    })
    .await
}

#[tokio::test]
async fn sec_ret_02_a_connection_that_closes_on_reuse_is_invisible_to_a_get() {
    for reset in [false, true] {
        let origin = closing_on_reuse(reset).await;
        let client = Client::of(&origin);
        for _ in 0..500 {
            assert_eq!(client.get("/").await.unwrap(), (200, "a".into()));
        }
        assert!(origin.connections() > 200);
    }
}

#[tokio::test]
async fn sec_ret_01_a_post_is_not_sent_again_on_a_stale_connection() {
    let origin = closing_on_reuse(false).await;
    let client = Client::of(&origin);
    client.get("/").await.unwrap();
    let error = client.send(request("POST", "/", "once")).await.unwrap_err();
    assert_eq!(error.reason(), "closed_before_response");
    assert_eq!(origin.seen().iter().filter(|request| request.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn a_connection_carries_so_many_requests_and_no_more() {
    let origin = Origin::naming().await;
    let mut config = config(&[origin.address]);
    config.keepalive = Keepalive { requests: 3, ..Keepalive::default() };
    let client = Client::new(config);
    for _ in 0..9 {
        client.get("/").await.unwrap();
    }
    assert_eq!(origin.connections(), 3);
}

#[tokio::test]
async fn so_many_connections_are_kept_and_no_more() {
    let origin = Origin::naming().await;
    let mut config = config(&[origin.address]);
    config.keepalive = Keepalive { size: 2, ..Keepalive::default() };
    let client = Client::new(config);
    let gets = (0..6).map(|_| client.get("/"));
    for ended in futures_util::future::join_all(gets).await {
        ended.unwrap();
    }
    assert_eq!(origin.connections(), 6);
    client.idle(2).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let closed = Gate::default();
    let seen = closed.clone();
    let origin = Origin::start(move |mut conn| {
        let closed = closed.clone();
        async move {
            conn.request().await.unwrap();
            conn.send(ok("a")).await;
            conn.closed().await;
            closed.open();
        }
    })
    .await;
    let mut config = config(&[origin.address]);
    config.keepalive = Keepalive { idle_timeout: Duration::from_millis(100), ..Keepalive::default() };
    let client = Client::new(config);
    client.get("/").await.unwrap();
    client.idle(1).await;
    seen.pass().await;
    client.idle(0).await;
}

#[tokio::test]
async fn connections_survive_a_reload_and_are_shared_by_address() {
    let origin = Origin::naming().await;
    let client = Client::of(&origin);
    client.get("/").await.unwrap();
    let mut changed = config(&[origin.address]);
    changed.timeouts.read = Duration::from_secs(7);
    let reloaded = client.upstreams.compile(changed, &Endpoints::new()).unwrap();
    let other = UpstreamConfig::new(UpstreamKey::new("route", "9"), vec![node(origin.address)]);
    let other = client.upstreams.compile(other, &Endpoints::new()).unwrap();
    for upstream in [reloaded, other] {
        let response = upstream.send(request("GET", "/", Body::empty()), Default::default()).await.unwrap();
        text(response).await.unwrap();
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_unchanged_upstream_is_the_same_and_a_changed_one_keeps_its_turn() {
    let first = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1").await;
    let second = Origin::answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2").await;
    let client = Client::new(config(&[first.address, second.address]));
    let compile = |config| client.upstreams.compile(config, &Endpoints::new()).unwrap();
    let same = compile(config(&[first.address, second.address]));
    assert!(std::sync::Arc::ptr_eq(&same, &client.upstream));
    let mut upstream = same;
    let mut answers = Vec::new();
    for round in 0..6 {
        let mut changed = config(&[first.address, second.address]);
        changed.timeouts.read = Duration::from_secs(10 + round);
        upstream = compile(changed);
        let response = upstream.send(request("GET", "/", Body::empty()), Default::default()).await.unwrap();
        answers.push(text(response).await.unwrap());
    }
    drop(upstream);
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
}

#[tokio::test]
async fn two_registries_share_nothing() {
    let origin = Origin::naming().await;
    let (one, two) = (Client::of(&origin), Client::of(&origin));
    one.get("/").await.unwrap();
    one.idle(1).await;
    two.get("/").await.unwrap();
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn what_cannot_be_built_says_why() {
    let upstreams = tollgate::upstream::Upstreams::new();
    let compile = |config| upstreams.compile(config, &Endpoints::new()).unwrap_err();
    let address = refusing().await;
    if !cfg!(feature = "tls") {
        let mut tls = config(&[address]);
        tls.scheme = Scheme::Https;
        assert!(matches!(compile(tls), UpstreamBuildError::SchemeUnsupported { .. }));
    }
    let mut unknown = config(&[address]);
    unknown.balancer = "best".into();
    assert_eq!(
        compile(unknown).to_string(),
        "upstream/test: unknown balancer `best`; register it, or use roundrobin, chash, least_conn or ewma"
    );
    let mut bad = config(&[]);
    bad.nodes = vec![tollgate::upstream::NodeConfig::new(tollgate::upstream::Target::host("a b", 80))];
    assert!(matches!(compile(bad), UpstreamBuildError::BadHost { .. }));
    let mut service = config(&[]);
    let target = tollgate::upstream::Target::Service("none".into());
    service.nodes = vec![tollgate::upstream::NodeConfig::new(target)];
    assert!(matches!(compile(service), UpstreamBuildError::UnknownService { .. }));
}
