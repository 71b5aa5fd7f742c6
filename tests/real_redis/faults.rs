//! Redis that is away, silent, or back again: decided per request, within the time-out.
use std::time::Duration;

use serde_json::{Value, json};

use super::peers::redis::Redis;
use super::rig::{ask, gateway, gateway_before, held, on, until, with};

/// One of each limiter that lets `most` requests of a key pass; all of them run at once in none of the tests.
fn limiters(redis: &Redis, more: Value) -> [(&'static str, Value); 4] {
    let block = |block| with(on(redis, with(block, json!({"key": "http_x_key", "redis_timeout": 400}))), more.clone());
    [
        ("limit-count", block(json!({"count": 2, "time_window": 600}))),
        ("limit-count", block(json!({"count": 2, "time_window": 600, "window_type": "sliding"}))),
        ("limit-req", block(json!({"rate": 0.001, "burst": 1, "nodelay": true}))),
        ("limit-conn", block(json!({"conn": 2, "burst": 0, "default_conn_delay": 0.1}))),
    ]
}

/// Longer than the time-out by what a busy machine may take.
const SOON: Duration = Duration::from_millis(400 + 1600);

/// What a limiter answers where Redis cannot count.
fn refusal(plugin: &str) -> &'static str {
    if plugin == "limit-count" { "{\"error_msg\":\"failed to limit count\"}\n" } else { "" }
}

#[tokio::test]
async fn redis_that_is_away_fails_closed_open_or_local() {
    let mut redis = Redis::start(&[]);
    let away =
        |redis: &Redis, more: Value| limiters(redis, more).map(|(plugin, block)| (plugin, gateway(plugin, &block)));
    let closed = away(&redis, json!({}));
    let open = away(&redis, json!({"allow_degradation": true}));
    let local = away(&redis, json!({"degradation": "local"}));
    for (plugin, gateway) in closed.iter().chain(&open).chain(&local) {
        assert_eq!(ask(gateway, "before").await.status, 200, "{plugin}");
    }
    redis.kill();
    for (plugin, gateway) in &closed {
        for _ in 0..3 {
            let told = ask(gateway, "k").await;
            assert_eq!((told.status, &*told.body), (500, refusal(plugin)), "{plugin}");
            assert!(told.took < SOON && told.field("x-ratelimit-limit") == "-", "{told:?}");
        }
    }
    for (plugin, gateway) in &open {
        for _ in 0..5 {
            let told = ask(gateway, "k").await;
            assert_eq!((told.status, told.field("x-ratelimit-limit")), (200, "-"), "{plugin}");
            assert!(told.took < SOON, "{told:?}");
        }
    }
    for (plugin, gateway) in &local {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let told = ask(gateway, "k").await;
            assert!(told.took < SOON, "{told:?}");
            statuses.push(told.status);
        }
        // one after the other, no crowd is ever full
        let last = if *plugin == "limit-conn" { 200 } else { 503 };
        assert_eq!(statuses, [200, 200, last], "{plugin}");
    }
    redis.restart();
    for (plugin, gateway) in closed.iter().chain(&open).chain(&local) {
        until_counted(gateway).await;
        assert_eq!(ask(gateway, "after").await.status, 200, "{plugin}");
    }
    assert!(!redis.keys("*:after").is_empty());
}

/// Asks until Redis counts again: the next connection is tried a moment after the last one failed.
async fn until_counted(gateway: &tollgate::Gateway) {
    super::peers::within(|| "redis to count again".to_owned(), async {
        let mut number = 0;
        loop {
            number += 1;
            let told = ask(gateway, &format!("probe{number}")).await;
            if told.status == 200 {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn redis_that_is_silent_costs_the_time_out_and_no_more() {
    let redis = Redis::start(&[]);
    for (plugin, block) in limiters(&redis, json!({})) {
        let gateway = gateway(plugin, &block);
        assert_eq!(ask(&gateway, "before").await.status, 200);
        redis.freeze();
        // on the connection that there is, and on one that cannot be made
        for _ in 0..2 {
            let told = ask(&gateway, "k").await;
            assert_eq!((told.status, &*told.body), (500, refusal(plugin)), "{plugin}");
            assert!(told.took < SOON, "{plugin}: {told:?}");
        }
        redis.thaw();
        until_counted(&gateway).await;
    }
}

#[tokio::test]
async fn many_requests_at_once_do_not_queue_behind_a_silent_redis() {
    let redis = Redis::start(&[]);
    let block = json!({"count": 1000, "time_window": 600, "key": "http_x_key", "redis_timeout": 400,
        "allow_degradation": true});
    let gateway = gateway("limit-count", &on(&redis, block));
    assert_eq!(ask(&gateway, "before").await.status, 200);
    redis.freeze();
    let tasks = (0..200).map(|_| {
        let gateway = gateway.clone();
        tokio::spawn(async move { ask(&gateway, "k").await })
    });
    for task in tasks.collect::<Vec<_>>() {
        let told = task.await.unwrap();
        assert!(told.status == 200 && told.took < SOON, "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_hangs_nothing_and_is_over_soon() {
    let mut redis = Redis::start(&[]);
    let block = json!({"count": 1_000_000, "time_window": 600, "key": "http_x_key", "redis_timeout": 400});
    let gateway = gateway("limit-count", &on(&redis, block));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks = (0..16).map(|_| {
        let (gateway, stopped) = (gateway.clone(), stopped.clone());
        tokio::spawn(async move {
            let mut last = 0;
            while !*stopped.borrow() {
                let told = ask(&gateway, "k").await;
                assert!([200, 500].contains(&told.status) && told.took < SOON, "{told:?}");
                last = told.status;
            }
            last
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for _ in 0..3 {
        redis.restart();
        until_counted(&gateway).await;
    }
    // a client of Redis has learnt of it long before
    for _ in 0..200 {
        ask(&gateway, "k").await;
    }
    stop.send(true).unwrap();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_place_is_given_back_when_redis_is_heard_again() {
    let redis = Redis::start(&[]);
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let block = json!({"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "http_x_key", "redis_timeout": 300});
    let gateway = gateway_before("limit-conn", &on(&redis, block), held(&permits));
    let running = tokio::spawn({
        let gateway = gateway.clone();
        async move { ask(&gateway, "k").await.status }
    });
    until("the place to be taken", || !redis.keys("limit_conn:*").is_empty()).await;
    redis.freeze();
    permits.add_permits(1);
    assert_eq!(running.await.unwrap(), 200);
    // the first try finds a silent Redis, as does this request behind it
    assert_eq!(ask(&gateway, "other").await.status, 500);
    redis.thaw();
    until("the place to be given back", || redis.keys("limit_conn:*").is_empty()).await;
}
