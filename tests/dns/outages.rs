//! The name server dies, is silent, or knows nothing.
use std::time::{Duration, Instant};

use serde_json::json;

use super::peers::knot::Knot;
use super::peers::within;
use super::rig::{Load, Origins, ask, configure, gateway, of_name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_goes_on_while_the_name_server_is_gone_and_follows_it_when_it_is_back() {
    let origins = Origins::start(2);
    let mut knot = Knot::start(&["shop 1 A 127.0.0.2"]);
    let gateway = gateway(&knot, &json!({}), &[("shop", of_name("shop.test", origins.port))]);
    let load = Load::on(&gateway, "/shop/x");
    load.until("the first answer", |hits| !hits.is_empty()).await;
    knot.kill();
    load.goes_on(Instant::now(), Duration::from_secs(3)).await;
    knot.restart(&["shop 1 A 127.0.0.3"]);
    let back = Instant::now();
    load.until("the new record", |hits| hits.last().is_some_and(|hit| hit.by == "3")).await;
    println!(
        "figure: {} requests without a failure; new record used {:?} after the restart",
        load.hits().len(),
        back.elapsed()
    );
    // The wait between look-ups has grown to 4 s by then.
    assert!(back.elapsed() < Duration::from_secs(6), "{:?}", back.elapsed());
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_gone_stays_where_it_was_as_long_as_it_may() {
    let origins = Origins::start(1);
    let mut knot = Knot::start(&["shop 1 A 127.0.0.2"]);
    let upstreams = [("shop", of_name("shop.test", origins.port))];
    let (bounded, unbounded) =
        (gateway(&knot, &json!({"max_stale": 2}), &upstreams), gateway(&knot, &json!({}), &upstreams));
    let (a, b) = (Load::on(&bounded, "/shop/x"), Load::on(&unbounded, "/shop/x"));
    a.until("the first answer", |hits| !hits.is_empty()).await;
    b.until("the first answer", |hits| !hits.is_empty()).await;
    knot.set(&[]);
    let gone = Instant::now();
    a.until("the answer is too old", |hits| hits.last().is_some_and(|hit| hit.status == 503)).await;
    let stayed = gone.elapsed();
    assert!(stayed > Duration::from_millis(1900) && stayed < Duration::from_secs(4), "{stayed:?}");
    knot.set(&["shop 1 A 127.0.0.2"]);
    let back = Instant::now();
    a.until("the name is back", |hits| hits.last().is_some_and(|hit| hit.status == 200)).await;
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_fails_at_first_recovers() {
    let origins = Origins::start(1);
    let mut knot = Knot::start(&[]);
    let gateway = gateway(&knot, &json!({}), &[("shop", of_name("shop.test", origins.port))]);
    assert_eq!(ask(&gateway, "/shop/x", 1).await.0, 503);
    knot.set(&["shop 1 A 127.0.0.2"]);
    within(|| "the name".into(), async { while ask(&gateway, "/shop/x", 2).await.0 != 200 {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_server_of_the_configuration_is_asked_at_once() {
    let origins = Origins::start(2);
    let (old, new) = (Knot::start(&["shop 3600 A 127.0.0.2"]), Knot::start(&["shop 3600 A 127.0.0.3"]));
    let upstreams = [("shop", of_name("shop.test", origins.port))];
    let gateway = gateway(&old, &json!({}), &upstreams);
    let load = Load::on(&gateway, "/shop/x");
    load.until("the first answer", |hits| hits.iter().any(|hit| hit.by == "2")).await;
    configure(&gateway, new.address(), &json!({}), &upstreams);
    load.until("the other answer", |hits| hits.iter().any(|hit| hit.by == "3")).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_without_weight_is_not_looked_up() {
    let origins = Origins::start(1);
    // Nobody answers there.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let gateway = tollgate::gateway::Gateway::builder().build().unwrap();
    let upstream = json!({"nodes": [
        {"host": "gone.test", "port": origins.port, "weight": 0},
        {"host": "127.0.0.2", "port": origins.port, "weight": 1},
    ]});
    configure(&gateway, silent.local_addr().unwrap(), &json!({}), &[("shop", upstream)]);
    for id in 0..100 {
        assert_eq!(ask(&gateway, "/shop/x", id).await, (200, String::from("2")));
    }
    let mut question = [0; 512];
    let asked = silent.try_recv_from(&mut question).map(|(length, _)| length);
    assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
