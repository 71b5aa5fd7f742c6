//! Records that come, go and move while requests go on.
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use serde_json::json;

use super::peers::knot::Knot;
use super::peers::within;
use super::rig::{IN_FORCE, Load, Origins, ask, gateway, of_name, used};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_come_go_and_move_are_followed_without_a_failed_request() {
    let origins = Origins::start(3);
    let mut knot = Knot::start(&["shop 1 A 127.0.0.2"]);
    let gateway = gateway(&knot, &json!({}), &[("shop", of_name("shop.test", origins.port))]);
    let load = Load::on(&gateway, "/shop/x");
    load.until("the first answer", |hits| hits.iter().any(|hit| hit.by == "2")).await;

    knot.set(&["shop 1 A 127.0.0.2", "shop 1 A 127.0.0.3"]);
    let added = Instant::now();
    load.until("the new address is used", |hits| hits.iter().any(|hit| hit.by == "3")).await;
    load.goes_on(Instant::now(), Duration::from_millis(300)).await;

    knot.set(&["shop 1 A 127.0.0.3"]);
    let removed = Instant::now();
    load.goes_on(removed, IN_FORCE + Duration::from_millis(300)).await;

    knot.set(&["shop 1 A 127.0.0.4"]);
    let moved = Instant::now();
    load.goes_on(moved, IN_FORCE + Duration::from_millis(300)).await;
    let hits = load.end().await;

    let (first, _) = used(&hits, "3", added).unwrap();
    assert!(first <= IN_FORCE, "added: used after {first:?}");
    let (_, last) = used(&hits, "2", added).map(|(_, last)| ((), last - (removed - added).min(last))).unwrap();
    assert!(last <= IN_FORCE, "removed: used for {last:?} more");
    let (first, _) = used(&hits, "4", moved).unwrap();
    assert!(first <= IN_FORCE, "moved: used after {first:?}");
    let (_, last) = used(&hits, "3", moved).unwrap();
    assert!(last <= IN_FORCE, "moved: the old one used for {last:?} more");
    println!("figure: {} requests, none failed; the moved address was used after {first:?}", hits.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_addresses_get_their_share() {
    let origins = Origins::start(3);
    let knot = Knot::start(&["shop 60 A 127.0.0.2", "shop 60 A 127.0.0.3"]);
    // The name's weight is shared by its two addresses.
    let upstream = json!({"nodes": [
        {"host": "shop.test", "port": origins.port, "weight": 2},
        {"host": "127.0.0.4", "port": origins.port, "weight": 1},
    ]});
    let gateway = gateway(&knot, &json!({}), &[("shop", upstream)]);
    // The look-up ends with the first request at the latest.
    within(|| "the look-up".into(), async { while ask(&gateway, "/shop/x", 0).await.1 == "4" {} }).await;
    let mut shares = [0; 3];
    for id in 1..=300 {
        let (status, by) = ask(&gateway, "/shop/x", id).await;
        assert_eq!(status, 200);
        shares[by.parse::<usize>().unwrap() - 2] += 1;
    }
    assert_eq!(shares, [100, 100, 100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_end_at_an_address_that_is_gone() {
    let origins = Origins::start(2);
    let mut knot = Knot::start(&["shop 1 A 127.0.0.2"]);
    let gateway = gateway(&knot, &json!({}), &[("shop", of_name("shop.test", origins.port))]);
    let held = {
        let gateway = gateway.clone();
        tokio::spawn(async move { ask(&gateway, "/shop/held", 77).await })
    };
    within(|| "the request in flight".into(), async {
        while origins.held.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    knot.set(&["shop 1 A 127.0.0.3"]);
    within(|| "the move".into(), async { while ask(&gateway, "/shop/x", 1).await.1 != "3" {} }).await;
    origins.go.add_permits(1);
    assert_eq!(held.await.unwrap(), (200, String::from("2")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_kept_for_its_time() {
    let origins = Origins::start(2);
    let mut knot = Knot::start(&["fast 1 A 127.0.0.2", "slow 60 A 127.0.0.2", "alias 1 CNAME slow"]);
    let names = ["fast", "slow", "alias"];
    let upstreams: Vec<_> = names.iter().map(|name| (*name, of_name(&format!("{name}.test"), origins.port))).collect();
    let gateway = gateway(&knot, &json!({}), &upstreams);
    for name in names {
        assert_eq!(ask(&gateway, &format!("/{name}/x"), 1).await, (200, String::from("2")), "{name}");
    }
    knot.set(&["fast 1 A 127.0.0.3", "slow 60 A 127.0.0.3", "alias 1 CNAME slow"]);
    // An alias holds no longer than the record that makes it one.
    for name in ["fast", "alias"] {
        let path = format!("/{name}/x");
        within(|| name.into(), async { while ask(&gateway, &path, 2).await.1 != "3" {} }).await;
    }
    assert_eq!(ask(&gateway, "/slow/x", 3).await, (200, String::from("2")));
}
