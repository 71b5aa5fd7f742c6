//! Many who ask for the same at once.
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::rig::{Origin, Rig, in_pieces, pass, reply, request, status};
use crate::plugins::testing::ask_over;

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_what_is_longer_than_the_zone_keeps() {
    let rig = Rig::new(json!({"max_resp_body_size": 64 << 20}), &[]);
    let end = in_pieces(Some(20 << 20));
    let began = tokio::time::Instant::now();
    let unread = rig.layer.wrap(end.clone()).run(request("GET", "/", &[])).await;
    let second = rig.layer.wrap(end).run(request("GET", "/", &[])).await;
    assert_eq!(second.headers()["apisix-cache-status"], "MISS");
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop((unread, second));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_reads_slowly_holds_up_others_once() {
    let rig = Rig::new(json!({}), &[]);
    let began = tokio::time::Instant::now();
    let unread = rig.layer.wrap(in_pieces(None)).run(request("GET", "/", &[])).await;
    // one waits, and finds its answer himself, which is for all
    let waited = ask_over(&rig.layer, in_pieces(None), request("GET", "/", &[])).await;
    assert_eq!((status(&waited).as_str(), began.elapsed().as_secs()), ("MISS", 5));
    pass(300).await;
    let began = tokio::time::Instant::now();
    let leads = rig.layer.wrap(in_pieces(None)).run(request("GET", "/", &[])).await;
    assert_eq!(
        (began.elapsed(), &leads.headers()["apisix-cache-status"]),
        (Duration::ZERO, &"EXPIRED".parse().unwrap())
    );
    drop(unread);
}

#[tokio::test(start_paused = true)]
async fn sec_cache_04_a_thousand_clients_of_one_missing_key_are_one_request() {
    let gate = Arc::new(Notify::new());
    let mut origin = Origin::answering(&[reply(200, &[], "x")]);
    origin.gate = Some(Arc::clone(&gate));
    let rig = Arc::new(Rig::over(json!({}), origin));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let rig = Arc::clone(&rig);
        clients.spawn(async move { rig.status("/", &[]).await });
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let said = clients.join_all().await;
    assert_eq!(said.iter().filter(|status| *status == "HIT").count(), 999);
    assert_eq!(rig.origin.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn sec_cache_04_who_waits_gets_no_error_and_nothing_private() {
    for first in [
        reply(500, &[], "of the first"),
        reply(599, &[], ""),
        reply(200, &[("cache-control", "private")], "of the first"),
        reply(200, &[("set-cookie", "session=first")], "of the first"),
        reply(200, &[("vary", "*")], "of the first"),
    ] {
        let gate = Arc::new(Notify::new());
        let mut origin = Origin::answering(&[first.clone(), reply(200, &[], "of all")]);
        origin.gate = Some(Arc::clone(&gate));
        let rig = Arc::new(Rig::over(json!({}), origin));
        let ask = || {
            let rig = Arc::clone(&rig);
            tokio::spawn(async move { rig.get("/", &[]).await })
        };
        let leader = ask();
        tokio::task::yield_now().await;
        let followers = [ask(), ask()];
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.origin.count(), 1);
        gate.notify_one();
        leader.await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        gate.notify_waiters();
        for follower in followers {
            let answer = tokio::time::timeout(Duration::from_secs(60), async {
                gate.notify_one();
                follower.await.unwrap()
            });
            assert_eq!(answer.await.unwrap().body(), "of all", "after {}", first.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sec_cache_04_when_the_first_goes_away_another_fetches() {
    let gate = Arc::new(Notify::new());
    let mut origin = Origin::answering(&[reply(200, &[], "x")]);
    origin.gate = Some(Arc::clone(&gate));
    let rig = Arc::new(Rig::over(json!({}), origin));
    let ask = || {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.status("/", &[]).await })
    };
    let leader = ask();
    tokio::task::yield_now().await;
    let followers = [ask(), ask()];
    tokio::task::yield_now().await;
    leader.abort();
    let _ = leader.await;
    while rig.origin.count() < 2 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    gate.notify_one();
    let mut said = Vec::new();
    for follower in followers {
        said.push(follower.await.unwrap());
    }
    said.sort();
    assert_eq!((said, rig.origin.count()), (vec!["HIT".to_owned(), "MISS".to_owned()], 2));
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_long_enough_goes_himself() {
    let mut origin = Origin::answering(&[reply(200, &[], "x")]);
    origin.gate = Some(Arc::new(Notify::new()));
    let rig = Arc::new(Rig::over(json!({"collapse_timeout_ms": 3000}), origin));
    for _ in 0..2 {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.get("/", &[]).await });
    }
    let began = tokio::time::Instant::now();
    while rig.origin.count() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn while_the_upstream_is_away_nobody_waits_longer_than_the_first() {
    let gate = Arc::new(Notify::new());
    let kept = reply(200, &[("cache-control", "stale-if-error=900")], "old");
    let mut origin = Origin::answering(&[kept, reply(503, &[], "away")]);
    origin.gate = Some(Arc::clone(&gate));
    let rig = Arc::new(Rig::over(json!({"cache_ttl": 10}), origin));
    gate.notify_one();
    rig.get("/", &[]).await;
    pass(10).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let rig = Arc::clone(&rig);
        clients.spawn(async move { rig.status("/", &[]).await });
    }
    while rig.origin.count() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    gate.notify_one();
    let said = clients.join_all().await;
    assert_eq!(said.iter().filter(|status| *status == "STALE").count(), 100);
    assert_eq!(rig.origin.count(), 2, "the others had no need to ask");
    // for a moment who comes anew is answered at once, and then one asks again
    assert_eq!((rig.status("/", &[]).await.as_str(), rig.origin.count()), ("STALE", 2));
    pass(1).await;
    gate.notify_one();
    assert_eq!((rig.status("/", &[]).await.as_str(), rig.origin.count()), ("STALE", 3));
}

#[tokio::test(start_paused = true)]
async fn a_cache_inside_of_one_of_the_same_zone_does_not_wait_for_it() {
    let origin = Origin::answering(&[reply(200, &[], "x")]);
    let rig = Rig::over(json!({"cache_ttl": 10}), origin);
    let (outer, inner, end) = (rig.layer.clone(), rig.layer.clone(), rig.origin.end());
    let both = outer.wrap(inner.wrap(end));
    let began = tokio::time::Instant::now();
    for wanted in ["MISS", "HIT"] {
        let answer = both.run(request("GET", "/", &[])).await;
        assert_eq!(answer.headers()["apisix-cache-status"], wanted);
        assert_eq!(answer.into_body().buffer(100).await.unwrap(), "x");
    }
    pass(10).await;
    let answer = both.run(request("GET", "/", &[])).await;
    assert_eq!((answer.status().as_u16(), began.elapsed().as_secs(), rig.origin.count()), (200, 10, 2));
}
