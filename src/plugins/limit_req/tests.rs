use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use super::*;
use crate::plugin::shape;
use crate::{Body, Next, PluginLayer, Response};

fn refused(block: Value) -> String {
    let config = match shape("limit-req", block.as_object().unwrap()) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    match LimitReqLayer::new(config) {
        Ok(_) => panic!("{block} is taken"),
        Err(error) => error.to_string(),
    }
}

fn chain(block: Value) -> Next {
    let config = shape("limit-req", block.as_object().unwrap()).unwrap();
    PluginLayer::from(LimitReqLayer::new(config).unwrap()).wrap(Next::from_fn(|_| async { Response::default() }))
}

/// Status, and the milliseconds that the answer took.
async fn ask(chain: &Next) -> (u16, u128) {
    let begin = Instant::now();
    let status = chain.run(Request::new(Body::empty())).await.status();
    (status.as_u16(), begin.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_fast_waits_and_what_is_too_much_is_refused() {
    let chain =
        chain(json!({"rate": 10, "burst": 1, "key": "remote_addr", "rejected_code": 429, "rejected_msg": "slow"}));
    let (first, second, third) = tokio::join!(ask(&chain), ask(&chain), ask(&chain));
    assert_eq!((first, second, third), ((200, 0), (200, 100), (429, 0)));
    // 100 ms later one place of the burst is still taken, and leaks out meanwhile
    assert_eq!(ask(&chain).await, (200, 100));
    advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&chain).await, (200, 0));
}

#[tokio::test(start_paused = true)]
async fn nodelay_lets_the_burst_pass_at_once() {
    let chain = chain(json!({"rate": 10, "burst": 1, "key": "remote_addr", "nodelay": true}));
    assert_eq!([ask(&chain).await, ask(&chain).await, ask(&chain).await], [(200, 0), (200, 0), (503, 0)]);
}

#[tokio::test(start_paused = true)]
async fn answers_say_nothing_of_the_limit() {
    let chain = chain(json!({"rate": 1, "burst": 0, "key": "remote_addr"}));
    assert_eq!(ask(&chain).await, (200, 0));
    let (head, body) = chain.run(Request::new(Body::empty())).await.into_parts();
    assert_eq!((head.status.as_u16(), body.as_bytes()), (503, Some(&b""[..])));
    assert!(head.headers.keys().all(|name| name == "server"), "{head:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_on_one_key_get_rate_and_burst_and_no_more() {
    let chain = chain(json!({"rate": 0.001, "burst": 99, "key": "remote_addr", "nodelay": true}));
    let tasks = (0..64).map(|_| {
        let chain = chain.clone();
        tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..10 {
                admitted += u32::from(ask(&chain).await.0 == 200);
            }
            admitted
        })
    });
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        admitted += task.await.unwrap();
    }
    assert_eq!(admitted, 100);
}

#[test]
fn wrong_blocks_are_refused_with_the_place() {
    for (block, says) in [
        (json!({"burst": 1, "key": "remote_addr"}), "rate: is required"),
        (json!({"rate": 0, "burst": 1, "key": "remote_addr"}), "rate: is required: requests per second, above 0"),
        (json!({"rate": 1, "key": "remote_addr"}), "burst: is required"),
        (json!({"rate": 1, "burst": -1, "key": "remote_addr"}), "burst"),
        (json!({"rate": "${http_x}", "burst": 1, "key": "remote_addr"}), "rate"),
        (json!({"rate": 1, "burst": 1}), "key: is required"),
        (json!({"rate": 1, "burst": 1, "key": "a", "key_type": "constant"}), "key_type: needs"),
        (json!({"rate": 1, "burst": 1, "key": "a", "policy": "redis-sentinel"}), "policy: is not a policy"),
        (json!({"rate": 1, "burst": 1, "key": "a", "count": 1}), "unknown field `count`"),
        (json!({"rate": 1, "burst": 1, "key": "a", "rejected_code": 100}), "rejected_code"),
    ] {
        let error = refused(block.clone());
        assert!(error.contains(says), "{block}: {error}");
    }
}
