//! Which endpoints are used, and which are probed (upstream.md §7, security.md HC-01, HC-02).
use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpListener;
use tollgate::Body;
use tollgate::upstream::health::{
    ActiveConfig, EjectionConfig, HealthConfig, HealthState, HealthStatus, HttpProbe, OutlierConfig, PassiveConfig,
    ProbeKind, Statuses, Thresholds,
};
use tollgate::upstream::{Endpoints, PassHost, RetryConfig, Upstream, UpstreamConfig, UpstreamKey};

use crate::support::*;

/// One report decides.
const AT_ONCE: Thresholds = Thresholds { successes: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 };
const SOON: Duration = Duration::from_millis(20);

fn quick() -> ActiveConfig {
    ActiveConfig { healthy_interval: SOON, unhealthy_interval: SOON, thresholds: AT_ONCE, ..ActiveConfig::default() }
}

fn probing(path: &str) -> ActiveConfig {
    ActiveConfig { probe: ProbeKind::Http(HttpProbe { path: path.into(), ..HttpProbe::default() }), ..quick() }
}

fn passive() -> HealthConfig {
    HealthConfig::new()
        .with_passive(PassiveConfig { thresholds: AT_ONCE, ..PassiveConfig::default() })
        .with_ejection(EjectionConfig { time: 50 * SOON, ..EjectionConfig::default() })
}

fn with(mut config: UpstreamConfig, health: HealthConfig) -> UpstreamConfig {
    config.health = Some(health);
    config
}

fn health(client: &Client, index: usize) -> HealthStatus {
    client.upstream.endpoints().nth(index).unwrap().health.unwrap()
}

fn state(client: &Client, index: usize) -> HealthState {
    health(client, index).state
}

/// Sends so many requests and gives what they were answered.
async fn bodies(client: &Client, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(client.get("/").await.map_or_else(|error| error.reason().to_owned(), |(_, body)| body));
    }
    bodies
}

/// Answers every request with its name; probes, which have a path of their own, too.
async fn named(name: &'static str) -> Origin {
    Origin::start(move |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(ok(name)).await;
        }
    })
    .await
}

fn probes(origin: &Origin, path: &str) -> usize {
    let begin = format!("GET {path} HTTP/1.1\r\n");
    origin.seen().iter().filter(|request| request.starts_with(&begin)).count()
}

#[tokio::test]
async fn who_fails_probes_gets_no_requests_until_they_succeed() {
    let good = named("good").await;
    let address = refusing().await;
    let client = Client::new(with(config(&[address, good.address]), HealthConfig::new().with_active(quick())));
    client.upstreams.keep_up();
    until(|| state(&client, 0) == HealthState::Unhealthy).await;
    assert_eq!(health(&client, 0).counters.tcp_failure, 1);
    let back = Origin::on(TcpListener::bind(address).await.unwrap(), |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(ok("back")).await;
        }
    });
    until(|| state(&client, 0) == HealthState::Healthy).await;
    until(|| client.upstream.endpoints().all(|endpoint| endpoint.in_use)).await;
    let mut served = bodies(&client, 4).await;
    served.sort();
    assert_eq!(served, ["back", "back", "good", "good"]);
    assert!(probes(&back, "/") > 0);
}

#[tokio::test]
async fn sec_hc_01_all_down_fails_open_unless_told_otherwise() {
    let (one, two) = (refusing().await, refusing().await);
    let mut closed = with(config(&[one, two]), HealthConfig::new().with_active(quick()));
    let open = Client::new(closed.clone());
    let down = |client: &Client| client.upstream.endpoints().all(|one| !one.health.unwrap().is_usable());
    open.upstreams.keep_up();
    until(|| down(&open) && open.upstream.endpoints().all(|endpoint| endpoint.in_use)).await;
    assert_eq!(open.get("/").await.unwrap_err().reason(), "connect_refused");
    closed.panic_threshold = 0;
    let closed = Client::new(closed);
    closed.upstreams.keep_up();
    until(|| down(&closed) && !closed.upstream.endpoints().any(|endpoint| endpoint.in_use)).await;
    let error = closed.get("/").await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("no_usable_endpoint", 503));
    let response = tollgate::IntoResponse::into_response(tollgate::Error::from(error));
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn sec_hc_01_below_the_panic_threshold_all_are_used() {
    let good = named("good").await;
    let mut heeding =
        with(config(&[good.address, refusing().await, refusing().await]), HealthConfig::new().with_active(quick()));
    // One of three is just enough.
    heeding.panic_threshold = 33;
    let client = Client::new(heeding.clone());
    client.upstreams.keep_up();
    let in_use = |upstream: &Upstream| upstream.endpoints().map(|endpoint| endpoint.in_use).collect::<Vec<_>>();
    until(|| in_use(&client.upstream) == [true, false, false]).await;
    let mut panicking = heeding.clone();
    panicking.panic_threshold = 34;
    let all = client.upstreams.compile(panicking, &Endpoints::new()).unwrap();
    assert_eq!(in_use(&all), [true; 3]);
    assert!(all.endpoints().skip(1).all(|endpoint| !endpoint.health.unwrap().is_usable()), "their verdicts stand");
    let again = client.upstreams.compile(heeding, &Endpoints::new()).unwrap();
    assert_eq!(in_use(&again), [true, false, false]);
}

#[tokio::test]
async fn one_node_is_never_left_out() {
    let origin = Origin::answering("HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n").await;
    let mut strict = with(config(&[origin.address]), passive().with_active(quick()));
    strict.panic_threshold = 0;
    let client = Client::new(strict);
    client.upstreams.keep_up();
    until(|| state(&client, 0) == HealthState::Unhealthy).await;
    assert_eq!(client.get("/").await.unwrap().0, 503);
}

#[tokio::test]
async fn sec_hc_01_what_traffic_alone_took_out_comes_back_by_time() {
    let good = named("good").await;
    let address = refusing().await;
    let client = Client::new(with(config(&[address, good.address]), passive()));
    assert_eq!(bodies(&client, 4).await, ["good"; 4]);
    until(|| state(&client, 0) == HealthState::Unhealthy).await;
    let _back = Origin::on(TcpListener::bind(address).await.unwrap(), |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(ok("back")).await;
        }
    });
    until(|| health(&client, 0).is_usable() && client.upstream.endpoints().all(|endpoint| endpoint.in_use)).await;
    let mut served = bodies(&client, 4).await;
    served.sort();
    assert_eq!(served, ["back", "back", "good", "good"]);
    assert_eq!(state(&client, 0), HealthState::Healthy);
}

#[tokio::test]
async fn statuses_of_an_endpoint_count_once_an_attempt() {
    let bad = Origin::answering("HTTP/1.1 503 \r\ncontent-length: 0\r\n\r\n").await;
    let good = named("good").await;
    let thresholds = Thresholds { http_failures: 3, ..AT_ONCE };
    let judged = HealthConfig::new().with_passive(PassiveConfig { thresholds, ..PassiveConfig::default() });
    let mut retried = with(config(&[bad.address, good.address]), judged);
    retried.retry = RetryConfig { statuses: vec![http::StatusCode::SERVICE_UNAVAILABLE], ..RetryConfig::default() };
    let client = Client::new(retried);
    let mut failures = Vec::new();
    while bad.seen().len() < 3 {
        assert_eq!(bodies(&client, 1).await, ["good"]);
        failures.push((bad.seen().len(), health(&client, 0).counters.http_failure));
    }
    assert!(failures.iter().all(|(seen, counted)| *seen == usize::from(*counted)), "{failures:?}");
    assert_eq!(state(&client, 0), HealthState::Unhealthy);
    until(|| !client.upstream.endpoints().next().unwrap().in_use).await;
    bodies(&client, 6).await;
    assert_eq!(bad.seen().len(), 3);
}

#[tokio::test]
async fn an_endpoint_that_does_worse_than_others_is_out_for_a_time() {
    let bad = Origin::answering("HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n").await;
    let good = named("good").await;
    let outlier = OutlierConfig { consecutive_failures: 3, ..OutlierConfig::default() };
    let judged = HealthConfig::new().with_outlier(outlier).with_ejection(passive().ejection);
    let client = Client::new(with(config(&[bad.address, good.address]), judged));
    while !health(&client, 0).is_outlier {
        client.get("/").await.unwrap();
    }
    assert_eq!(bad.seen().len(), 3);
    until(|| !health(&client, 0).is_outlier).await;
}

#[tokio::test]
async fn verdicts_outlive_changes_of_the_configuration() {
    let (good, bad) = (named("good").await, Origin::answering("HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n").await);
    let slow = ActiveConfig { unhealthy_interval: Duration::from_secs(60), ..probing("/up") };
    let mut edited = with(config(&[good.address, bad.address]), HealthConfig::new().with_active(slow));
    let mut client = Client::new(edited.clone());
    client.upstreams.keep_up();
    until(|| state(&client, 1) == HealthState::Unhealthy && !client.upstream.endpoints().nth(1).unwrap().in_use).await;
    edited.nodes[1].weight = 7;
    edited.nodes.push(node(refusing().await).with_priority(-1));
    client.upstream = client.upstreams.compile(edited, &Endpoints::new()).unwrap();
    // Before its upkeep has begun, too.
    assert_eq!(bodies(&client, 20).await, ["good"; 20]);
    client.upstreams.keep_up();
    assert_eq!(bodies(&client, 20).await, ["good"; 20]);
    assert_eq!(probes(&bad, "/up"), 1);
}

#[tokio::test]
async fn a_node_that_was_removed_is_never_probed_again() {
    let (stays, goes) = (named("stays").await, named("goes").await);
    let mut edited = with(config(&[stays.address, goes.address]), HealthConfig::new().with_active(probing("/up")));
    let client = Client::new(edited.clone());
    client.upstreams.keep_up();
    until(|| probes(&goes, "/up") > 2).await;
    edited.nodes.pop();
    // The old version is still in use by somebody.
    let now = client.upstreams.compile(edited.clone(), &Endpoints::new()).unwrap();
    client.upstreams.keep_up();
    let (seen, before) = (probes(&goes, "/up"), probes(&stays, "/up"));
    until(|| probes(&stays, "/up") > before + 5).await;
    // One may have been under way.
    assert!(probes(&goes, "/up") <= seen + 1);
    let (seen, before) = (probes(&goes, "/up"), probes(&stays, "/up"));
    until(|| probes(&stays, "/up") > before + 5).await;
    assert_eq!(probes(&goes, "/up"), seen);
    // Other checks take over.
    edited.health = Some(HealthConfig::new().with_active(probing("/other")));
    let other = client.upstreams.compile(edited.clone(), &Endpoints::new()).unwrap();
    client.upstreams.keep_up();
    until(|| probes(&stays, "/other") > 1).await;
    let seen = probes(&stays, "/up");
    until(|| probes(&stays, "/other") > 6).await;
    assert!(probes(&stays, "/up") <= seen);
    // And none at all end them.
    edited.health = None;
    let none = client.upstreams.compile(edited, &Endpoints::new()).unwrap();
    client.upstreams.keep_up();
    assert_eq!(none.endpoints().next().unwrap().health, None);
    let connections = stays.connections();
    // Probes of another upstream at the same pace tell how much time has passed.
    let clock = named("clock").await;
    let key = UpstreamKey::new("upstream", "clock");
    let ticking = UpstreamConfig::new(key, vec![node(clock.address)]);
    let ticking = with(ticking, HealthConfig::new().with_active(probing("/tick")));
    let ticking = client.upstreams.compile(ticking, &Endpoints::new()).unwrap();
    client.upstreams.keep_up();
    until(|| probes(&clock, "/tick") > 10).await;
    assert!(stays.connections() <= connections + 1);
    drop((now, other, ticking));
}

#[tokio::test]
async fn probes_name_the_host_that_requests_would() {
    let origin = named("any").await;
    let seen = |host: &str| {
        let line = format!("\r\nHost: {host}\r\n");
        origin.seen().iter().any(|request| request.contains(&line))
    };
    let mut told = with(config(&[origin.address]), HealthConfig::new().with_active(probing("/a")));
    let client = Client::new(told.clone());
    client.upstreams.keep_up();
    until(|| seen(&origin.address.to_string())).await;
    told.pass_host = PassHost::Rewrite(HeaderValue::from_static("rewritten.test"));
    let _second = client.upstreams.compile(told.clone(), &Endpoints::new()).unwrap();
    client.upstreams.keep_up();
    until(|| seen("rewritten.test")).await;
    told.health = Some(
        HealthConfig::new()
            .with_active(ActiveConfig { host: Some(HeaderValue::from_static("told.test")), ..probing("/a") }),
    );
    let _third = client.upstreams.compile(told, &Endpoints::new()).unwrap();
    client.upstreams.keep_up();
    until(|| seen("told.test")).await;
}

/// Waits until the only endpoint of an origin that answers probes with `answer` has been judged.
async fn judged(answer: impl Into<String>, active: ActiveConfig) -> HealthStatus {
    let answer = answer.into();
    let origin = Origin::start(move |mut conn| {
        let answer = answer.clone();
        async move {
            conn.request().await;
            conn.send(answer).await;
            conn.closed().await;
        }
    })
    .await;
    let client = Client::new(with(config(&[origin.address]), HealthConfig::new().with_active(active)));
    client.upstreams.keep_up();
    until(|| health(&client, 0) != HealthStatus::default()).await;
    health(&client, 0)
}

#[tokio::test]
async fn sec_hc_02_answers_that_are_none_are_failures() {
    for answer in [
        "HTTP/1.1 500 \r\n\r\n".to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
        "HTTP/1.1 200 ".to_owned() + &*"k".repeat(100_000),
    ] {
        let health = judged(answer.clone(), quick()).await;
        assert_eq!((health.state, health.counters.http_failure), (HealthState::Unhealthy, 1), "{answer:.30}");
    }
    let late = judged("HTTP/1.1 20", ActiveConfig { timeout: SOON, ..quick() }).await;
    assert_eq!((late.state, late.counters.timeout_failure), (HealthState::Unhealthy, 1));
}

#[tokio::test]
async fn sec_hc_02_a_redirect_is_not_followed() {
    let elsewhere = named("elsewhere").await;
    let target = elsewhere.address;
    let origin = Origin::start(move |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(format!("HTTP/1.1 302 Found\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n")).await;
        }
    })
    .await;
    let active = ActiveConfig { unhealthy_statuses: Statuses::from_iter([302]), ..probing("/up") };
    let active = ActiveConfig { healthy_statuses: Statuses::from_iter([200]), ..active };
    let client = Client::new(with(config(&[origin.address]), HealthConfig::new().with_active(active)));
    client.upstreams.keep_up();
    until(|| probes(&origin, "/up") > 3).await;
    assert_eq!(state(&client, 0), HealthState::Unhealthy);
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn tcp_probes_want_a_connection_and_nothing_else() {
    let mute = Origin::start(|mut conn| async move { conn.closed().await }).await;
    let tcp = ActiveConfig { probe: ProbeKind::Tcp, ..quick() };
    let client = Client::new(with(config(&[mute.address, refusing().await]), HealthConfig::new().with_active(tcp)));
    client.upstreams.keep_up();
    until(|| state(&client, 1) == HealthState::Unhealthy).await;
    until(|| mute.connections() > 2).await;
    assert_eq!(state(&client, 0), HealthState::Healthy);
}

#[tokio::test]
async fn another_port_can_be_asked() {
    let (serves, tells) = (named("serves").await, Origin::answering("HTTP/1.1 500 \r\n\r\n").await);
    let active = ActiveConfig { port: Some(tells.address.port()), ..quick() };
    let client = Client::new(with(config(&[serves.address]), HealthConfig::new().with_active(active)));
    client.upstreams.keep_up();
    until(|| state(&client, 0) == HealthState::Unhealthy).await;
    assert_eq!(serves.connections(), 0);
    assert_eq!(client.send(request("GET", "/", Body::empty())).await.unwrap().status(), 200);
}
