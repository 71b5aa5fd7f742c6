//! Windows that are counted here and told to Redis at intervals.
use serde_json::{Value, json};

use super::peers::redis::Redis;
use super::rig::{ask, gateway, hammer, on, until, with};

fn block(redis: &Redis, more: Value) -> Value {
    let block = json!({"count": 100, "time_window": 600, "key": "http_x_key", "sync_interval": 0.2});
    with(on(redis, block), more)
}

fn told(redis: &Redis) -> u64 {
    redis.keys("plugin-limit-count:v1:*").first().map_or(0, |key| redis.cli(&["get", key]).parse().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_gateway_is_exact_and_tells_all_that_it_admitted() {
    let redis = Redis::start(&[]);
    let gateway = gateway("limit-count", &block(&redis, json!({})));
    let before: u64 = commands(&redis);
    assert_eq!(hammer(std::slice::from_ref(&gateway), 16, 20).await, 100);
    until("redis to be told", || told(&redis) >= 100).await;
    // far fewer than one command for each of 320 requests: the tasks that began the window, and some intervals
    assert!(commands(&redis) - before < 100, "{}", commands(&redis) - before);
}

fn commands(redis: &Redis) -> u64 {
    let stats = redis.cli(&["info", "commandstats"]);
    let calls = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")))?;
        line.split("calls=").nth(1)?.split(',').next()?.parse::<u64>().ok()
    };
    calls("evalsha").unwrap_or(0) + calls("eval").unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_gateways_stay_within_the_bound_and_learn_of_each_other() {
    let redis = Redis::start(&[]);
    let gateways: Vec<_> = (0..3).map(|_| gateway("limit-count", &block(&redis, json!({})))).collect();
    // one begins the window alone and uses it up; the others learn so from their first request
    for _ in 0..60 {
        assert_eq!(ask(&gateways[0], "k").await.status, 200);
    }
    until("redis to be told", || told(&redis) >= 60).await;
    let second = ask(&gateways[1], "k").await;
    assert_eq!((second.status, second.field("x-ratelimit-remaining")), (200, "39"));
    // each may go on for one interval on what it knows: (3 - 1) times what a node admits in it, here at most what is left
    let mut admitted = 61;
    for gateway in &gateways {
        for _ in 0..100 {
            admitted += u32::from(ask(gateway, "k").await.status == 200);
        }
    }
    assert!((100..=100 + 2 * 40).contains(&admitted), "{admitted}");
    // after an interval everybody knows
    until("redis to be told", || told(&redis) >= u64::from(admitted)).await;
    for gateway in &gateways {
        assert_eq!(ask(gateway, "k").await.status, 503);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_redis_fails_each_gateway_goes_on_by_itself() {
    let mut redis = Redis::start(&[]);
    let block = block(&redis, json!({"redis_timeout": 300}));
    let (one, two) = (gateway("limit-count", &block), gateway("limit-count", &block));
    assert_eq!(ask(&one, "k").await.status, 200);
    redis.kill();
    // one knows the window, two has to begin its own
    let mut admitted = [1, 0];
    for _ in 0..120 {
        admitted[0] += u32::from(ask(&one, "k").await.status == 200);
        admitted[1] += u32::from(ask(&two, "k").await.status == 200);
    }
    assert_eq!(admitted, [100, 100]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_told_when_the_block_goes() {
    let redis = Redis::start(&[]);
    let gateway = gateway("limit-count", &block(&redis, json!({"sync_interval": 0.1})));
    for _ in 0..10 {
        assert_eq!(ask(&gateway, "k").await.status, 200);
    }
    drop(gateway);
    until("redis to be told the rest", || told(&redis) == 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_ends_and_begins_with_what_others_used() {
    let redis = Redis::start(&[]);
    let short = block(&redis, json!({"count": 5, "time_window": 1}));
    let (one, two) = (gateway("limit-count", &short), gateway("limit-count", &short));
    for _ in 0..5 {
        assert_eq!(ask(&one, "k").await.status, 200);
    }
    assert_eq!(ask(&one, "k").await.status, 503);
    until("the window's end", || redis.keys("*").is_empty()).await;
    super::peers::within(|| "the next window".to_owned(), async { while ask(&one, "k").await.status != 200 {} }).await;
    assert_eq!(ask(&two, "k").await.status, 200);
}
