//! Balancers at work: what they know outlives changes, and keeps what belongs together together.
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use tollgate::upstream::balance::{AffinityConfig, AffinitySecret, HashKey, SlowStart, hash_bytes};
use tollgate::upstream::{
    Endpoints, ForwardContext, NodeConfig, RetryConfig, Target, Upstream, UpstreamConfig, UpstreamKey, Upstreams,
};
use tollgate::{Body, Request, Response};
use tower::service_fn;

use crate::support::*;

/// Answers with its name, `/stream` with a body that ends when the gate opens. One request a connection, so that none
/// outlives the origin.
async fn origin(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |mut conn| {
        let gate = gate.clone();
        async move {
            let Some(request) = conn.request().await else { return };
            if request.starts_with("GET /stream") {
                conn.send("HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n").await;
                gate.pass().await;
                conn.send("0\r\n\r\n").await;
            } else {
                conn.send(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\n{name}")).await;
            }
        }
    })
    .await
}

fn of_policy(policy: &str, nodes: Vec<NodeConfig>) -> UpstreamConfig {
    let mut config = UpstreamConfig::new(UpstreamKey::new("upstream", "test"), nodes);
    config.balancer = policy.to_owned();
    config
}

/// Who answers so many requests, one after the other.
async fn answers(client: &Client, count: usize) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..count {
        *counts.entry(client.get("/").await.unwrap().1).or_default() += 1;
    }
    counts
}

fn in_flight(upstream: &Upstream) -> Vec<u32> {
    upstream.endpoints().map(|endpoint| endpoint.in_flight).collect()
}

#[tokio::test]
async fn least_conn_knows_of_a_stream_through_every_change_of_the_nodes() {
    let gate = Gate::default();
    let origins = [origin("0", &gate).await, origin("1", &gate).await, origin("2", &gate).await];
    let nodes = |which: &[(usize, u32)]| -> Vec<NodeConfig> {
        which.iter().map(|(index, weight)| node(origins[*index].address).with_weight(*weight)).collect()
    };
    let mut client = Client::new(of_policy("least_conn", nodes(&[(0, 1), (1, 1)])));
    let stream = client.send(request("GET", "/stream", Body::empty())).await.unwrap();
    let busy = in_flight(&client.upstream).iter().position(|count| *count == 1).unwrap();
    let (name, other) = (busy.to_string(), 1 - busy);
    let changes: [&[(usize, u32)]; 4] = [
        &[(0, 1), (1, 1)],
        // Other weights, one more node, the node gone, and back again.
        &[(0, 3), (1, 3), (2, 3)],
        &[(other, 1), (2, 1)],
        &[(0, 1), (1, 1), (2, 1)],
    ];
    for nodes_now in changes {
        let config = of_policy("least_conn", nodes(nodes_now));
        client.upstream = client.upstreams.compile(config, &Endpoints::new()).unwrap();
        assert!(!answers(&client, 8).await.contains_key(&name), "{nodes_now:?}");
    }
    assert_eq!(in_flight(&client.upstream)[busy], 1);
    gate.open();
    assert_eq!(text(stream).await.unwrap(), "x");
    assert_eq!(answers(&client, 9).await, HashMap::from(["0", "1", "2"].map(|name| (name.to_owned(), 3))));
    assert_eq!(in_flight(&client.upstream), [0; 3]);
}

#[tokio::test]
async fn least_conn_lets_go_of_what_failed_and_of_what_a_client_gave_up() {
    let gate = Gate::default();
    let good = origin("0", &gate).await;
    let mut config = of_policy("least_conn", vec![node(good.address), node(refusing().await)]);
    config.retry = RetryConfig { backoff_base: Duration::ZERO, ..RetryConfig::default() };
    let client = Client::new(config);
    for _ in 0..3 {
        assert_eq!(client.get("/").await.unwrap().1, "0");
    }
    let streams = [
        client.send(request("GET", "/stream", Body::empty())).await.unwrap(),
        client.send(request("GET", "/stream", Body::empty())).await.unwrap(),
    ];
    assert_eq!(in_flight(&client.upstream), [2, 0]);
    drop(streams);
    assert_eq!(in_flight(&client.upstream), [0, 0]);
}

/// Hashes `x-key`.
fn by_key() -> HashKey {
    HashKey::new("x-key", |request, _| request.headers.get("x-key").map(|key| hash_bytes(key.as_bytes())))
}

async fn keyed(client: &Client, key: &str) -> String {
    let mut request = request("GET", "/", Body::empty());
    request.headers_mut().insert("x-key", key.parse().unwrap());
    text(client.send(request).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn chash_moves_the_keys_of_a_node_that_fails_and_no_others() {
    let gate = Gate::default();
    let [a, b, c] = [origin("a", &gate).await, origin("b", &gate).await, origin("c", &gate).await];
    let mut config = of_policy("chash", [&a, &b, &c].map(|origin| node(origin.address)).to_vec());
    config.hash = Some(by_key());
    config.retry = RetryConfig { budget_ratio: 1.0, backoff_base: Duration::ZERO, ..RetryConfig::default() };
    config.retry.budget_min_per_second = 1000;
    let client = Client::new(config);
    let keys: Vec<String> = (0..60).map(|key| format!("key-{key}")).collect();
    let mut before = Vec::new();
    for key in &keys {
        before.push(keyed(&client, key).await);
        assert_eq!(&keyed(&client, key).await, before.last().unwrap());
    }
    assert!(["a", "b", "c"].iter().all(|name| before.iter().filter(|one| one == name).count() > 5), "{before:?}");
    drop(c);
    for (key, was) in keys.iter().zip(&before) {
        let is = keyed(&client, key).await;
        if was == "c" {
            assert_eq!((is != "c", &keyed(&client, key).await), (true, &is));
        } else {
            assert_eq!(is, *was);
        }
    }
}

#[tokio::test]
async fn chash_goes_by_the_client_where_a_request_has_no_key_and_counts_that() {
    let gate = Gate::default();
    let [a, b] = [origin("a", &gate).await, origin("b", &gate).await];
    let mut config = of_policy("chash", vec![node(a.address), node(b.address)]);
    config.hash = Some(by_key());
    let client = Client::new(config);
    let mut names = HashMap::<String, usize>::new();
    for last in 0..40 {
        let client_address = Some(IpAddr::from([192, 0, 2, last]));
        let ask = async || {
            let cx = ForwardContext { client: client_address, ..ForwardContext::default() };
            text(client.forward(request("GET", "/", Body::empty()), cx).await.unwrap()).await.unwrap()
        };
        let name = ask().await;
        assert_eq!(ask().await, name);
        *names.entry(name).or_default() += 1;
    }
    assert!(names.len() == 2 && names.values().all(|count| *count > 8), "{names:?}");
    assert_eq!(client.upstream.hash_misses(), 80);
    keyed(&client, "k").await;
    assert_eq!(client.upstream.hash_misses(), 80);
}

/// Services that answer with their names after so many milliseconds, or fail.
fn services(pauses: &[(&'static str, Option<u64>)]) -> Endpoints {
    pauses.iter().fold(Endpoints::new(), |endpoints, (name, pause)| {
        let (name, pause) = (*name, *pause);
        endpoints.with(
            name,
            service_fn(move |_: Request| async move {
                let pause = pause.unwrap_or_else(|| std::panic::panic_any("told to fail"));
                tokio::time::sleep(Duration::from_millis(pause)).await;
                Ok::<_, Infallible>(Response::new(Body::from(name)))
            }),
        )
    })
}

fn to_services(names: &[&str]) -> Vec<NodeConfig> {
    names.iter().map(|name| NodeConfig::new(Target::Service((*name).to_owned()))).collect()
}

async fn served(upstream: &Upstream, fields: &[(http::HeaderName, String)]) -> Option<Response> {
    let mut request = request("GET", "/", Body::empty());
    request.headers_mut().extend(fields.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())));
    upstream.send(request, ForwardContext::default()).await.ok()
}

async fn shares(upstream: &Upstream, count: usize) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for _ in 0..count {
        let name = match served(upstream, &[]).await {
            Some(response) => text(response).await.unwrap(),
            None => String::from("failed"),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn ewma_leaves_the_slow_and_the_failing_alone() {
    let endpoints = services(&[("fast", Some(5)), ("slow", Some(50)), ("failing", None)]);
    let config = of_policy("ewma", to_services(&["fast", "slow"]));
    let upstream = Upstreams::new().compile(config, &endpoints).unwrap();
    let counts = shares(&upstream, 100).await;
    assert!(counts["fast"] >= 98, "{counts:?}");
    let latencies: Vec<_> = upstream.endpoints().map(|endpoint| endpoint.latency.as_millis()).collect();
    assert!((4..=6).contains(&latencies[0]), "{latencies:?}");
    let config = of_policy("ewma", to_services(&["fast", "failing"]));
    let upstream = Upstreams::new().compile(config, &endpoints).unwrap();
    let counts = shares(&upstream, 100).await;
    assert!(counts["fast"] >= 98, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_gets_its_share_step_by_step() {
    for policy in ["roundrobin", "least_conn"] {
        let (upstreams, endpoints) = (Upstreams::new(), services(&[("old", Some(0)), ("new", Some(0))]));
        let config = |names: &[&str]| {
            let mut config = of_policy(policy, to_services(names));
            config.slow_start = Some(SlowStart::new(Duration::from_secs(100)));
            config
        };
        let weights = |upstream: &Upstream| upstream.endpoints().map(|one| one.weight).collect::<Vec<_>>();
        let before = upstreams.compile(config(&["old"]), &endpoints).unwrap();
        tokio::time::sleep(Duration::from_secs(200)).await;
        let upstream = upstreams.compile(config(&["old", "new"]), &endpoints).unwrap();
        upstreams.keep_up();
        assert_eq!(weights(&upstream), [100, 10]);
        if policy == "roundrobin" {
            let counts = shares(&upstream, 110).await;
            assert_eq!((counts["old"], counts["new"]), (100, 10));
        }
        tokio::time::sleep(Duration::from_millis(51_000)).await;
        let [old, new] = weights(&upstream)[..] else { panic!() };
        assert!(old == 100 && (45..=51).contains(&new), "{new}");
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(weights(&upstream), [1, 1]);
        let counts = shares(&upstream, 20).await;
        assert_eq!((counts["old"], counts["new"]), (10, 10));
        drop(before);
    }
}

#[tokio::test(start_paused = true)]
async fn no_key_moves_while_an_endpoint_starts_slowly() {
    let (upstreams, endpoints) = (Upstreams::new(), services(&[("old", Some(0)), ("new", Some(0))]));
    let config = |names: &[&str]| {
        let mut config = of_policy("chash", to_services(names));
        config.slow_start = Some(SlowStart::new(Duration::from_secs(100)));
        config
    };
    let _before = upstreams.compile(config(&["old"]), &endpoints).unwrap();
    tokio::time::sleep(Duration::from_secs(200)).await;
    let upstream = upstreams.compile(config(&["old", "new"]), &endpoints).unwrap();
    assert_eq!(upstream.endpoints().map(|one| one.weight).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_come_together_are_not_slow() {
    let endpoints = services(&[("a", Some(0)), ("b", Some(0))]);
    let mut config = of_policy("roundrobin", to_services(&["a", "b"]));
    config.slow_start = Some(SlowStart::new(Duration::from_secs(100)));
    let upstream = Upstreams::new().compile(config, &endpoints).unwrap();
    let counts = shares(&upstream, 10).await;
    assert_eq!((counts["a"], counts["b"]), (5, 5));
    // Its upkeep runs since the first request, and must not keep it.
    let gone = Arc::downgrade(&upstream);
    drop(upstream);
    until(|| gone.upgrade().is_none()).await;
}

/// The cookie that an answer sets, and who answered.
async fn session(upstream: &Upstream, cookie: Option<&str>) -> (String, Option<String>) {
    let fields: Vec<_> = cookie.map(|cookie| (COOKIE, cookie.to_owned())).into_iter().collect();
    let response = served(upstream, &fields).await.unwrap();
    let set = response.headers().get(SET_COOKIE).map(|set| set.to_str().unwrap().to_owned());
    let pair = set.and_then(|set| set.split(';').next().map(str::to_owned));
    (text(response).await.unwrap(), pair)
}

#[tokio::test(start_paused = true)]
async fn a_session_stays_with_its_endpoint_for_as_long_as_there_is_one() {
    let endpoints = services(&[("a", Some(0)), ("b", Some(0)), ("c", Some(0))]);
    let config = |names: &[&str], secret: Option<&str>| {
        let mut config = of_policy("roundrobin", to_services(names));
        let secret = secret.map(AffinitySecret::new);
        config.affinity = Some(AffinityConfig { secret, ..AffinityConfig::new("stay") });
        config
    };
    let upstreams = Upstreams::new();
    let upstream = upstreams.compile(config(&["a", "b", "c"], Some("one")), &endpoints).unwrap();
    let (name, cookie) = session(&upstream, None).await;
    let cookie = cookie.expect("a new session gets a cookie");
    for _ in 0..5 {
        assert_eq!(session(&upstream, Some(&cookie)).await, (name.clone(), None));
    }
    // Forged.
    assert!(session(&upstream, Some("stay=AAAAAAAAAAAAAAAA")).await.1.is_some());
    // Another gateway that knows the secret, and one that does not.
    let other = Upstreams::new().compile(config(&["c", "b", "a"], Some("one")), &endpoints).unwrap();
    assert_eq!(session(&other, Some(&cookie)).await, (name.clone(), None));
    for secret in [Some("two"), None] {
        let stranger = Upstreams::new().compile(config(&["a", "b", "c"], secret), &endpoints).unwrap();
        assert!(session(&stranger, Some(&cookie)).await.1.is_some(), "{secret:?}");
    }
    // Gone, and back.
    let rest: Vec<_> = ["a", "b", "c"].into_iter().filter(|one| *one != name).collect();
    let without = upstreams.compile(config(&rest, Some("one")), &endpoints).unwrap();
    let (next, moved) = session(&without, Some(&cookie)).await;
    assert_ne!(next, name);
    let upstream = upstreams.compile(config(&["a", "b", "c"], Some("one")), &endpoints).unwrap();
    assert_eq!(session(&upstream, moved.as_deref()).await, (next, None));
}

#[tokio::test]
async fn a_session_whose_endpoint_fails_goes_on_at_another_one() {
    let gate = Gate::default();
    let [a, b] = [origin("a", &gate).await, origin("b", &gate).await];
    let mut config = of_policy("roundrobin", vec![node(a.address), node(b.address)]);
    config.affinity = Some(AffinityConfig::new("stay"));
    let client = Client::new(config);
    let (name, cookie) = session(&client.upstream, None).await;
    drop(if name == "a" { a } else { b });
    let (other, moved) = session(&client.upstream, cookie.as_deref()).await;
    assert_ne!(other, name);
    assert!(moved.is_some() && moved != cookie);
    assert_eq!(session(&client.upstream, moved.as_deref()).await, (other, None));
}
