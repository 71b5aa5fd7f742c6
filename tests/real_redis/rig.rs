//! Gateways in this process before an endpoint that answers at once, all counting in one Redis.
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Request};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tollgate::gateway::Gateway;
use tollgate::model::{ReadOptions, read};
use tollgate::{Body, Next, Response};
use tower::ServiceExt as _;

use super::peers::redis::Redis;
use super::peers::within;

/// What came back, and after how long.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Told {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("-", |value| value.to_str().unwrap())
    }
}

/// A gateway with one route `/*` that has this plugin, and an endpoint `up` behind it.
pub(crate) fn gateway(plugin: &str, block: &Value) -> Gateway {
    gateway_before(plugin, block, Next::from_fn(|_| async { Response::new(Body::from("up")) }))
}

/// As [`gateway`], with another endpoint.
pub(crate) fn gateway_before(plugin: &str, block: &Value, endpoint: Next) -> Gateway {
    let document = json!({
        "routes": [{"id": "r", "uri": "/*", "plugins": {plugin: block}, "upstream": {"type": "roundrobin",
            "nodes": [{"service": "up", "weight": 1}]}}],
    });
    let read = read(&document, &ReadOptions::default());
    let faults: Vec<_> = read.errors().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let gateway = Gateway::builder().endpoint("up", endpoint).build().unwrap();
    gateway.apply(read.snapshot).unwrap();
    gateway
}

/// The block with these fields beside or in place of its own.
pub(crate) fn with(mut block: Value, more: Value) -> Value {
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    block
}

/// The block, counted in this Redis.
pub(crate) fn on(redis: &Redis, block: Value) -> Value {
    with(block, json!({"policy": "redis", "redis_host": "127.0.0.1", "redis_port": redis.port()}))
}

/// One request with `X-Key: key`.
pub(crate) async fn ask(gateway: &Gateway, key: &str) -> Told {
    let request =
        Request::builder().uri("/").header("host", "gw.test").header("x-key", key).body(Body::empty()).unwrap();
    let begin = Instant::now();
    let response = within(|| "an answer".to_owned(), gateway.clone().oneshot(request)).await.unwrap();
    let took = begin.elapsed();
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.buffer(1000).await.unwrap().to_vec()).unwrap();
    Told { status: head.status.as_u16(), headers: head.headers, body, took }
}

/// `tasks` tasks that send `each` requests with the same key, in turn to these gateways: how many of them got 200. Any other
/// status than 200 and 503 fails the test.
pub(crate) async fn hammer(gateways: &[Gateway], tasks: usize, each: usize) -> usize {
    let tasks = (0..tasks).map(|task| {
        let gateway = gateways[task % gateways.len()].clone();
        tokio::spawn(async move {
            let mut admitted = 0;
            for _ in 0..each {
                let told = ask(&gateway, "one").await;
                assert!([200, 503].contains(&told.status), "{told:?}");
                admitted += usize::from(told.status == 200);
            }
            admitted
        })
    });
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        admitted += task.await.unwrap();
    }
    admitted
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(|| what.to_owned(), async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// An endpoint that answers once it has got a permit.
pub(crate) fn held(permits: &Arc<Semaphore>) -> Next {
    let permits = Arc::clone(permits);
    Next::from_fn(move |_| {
        let permits = Arc::clone(&permits);
        async move {
            permits.acquire().await.unwrap().forget();
            Response::default()
        }
    })
}
