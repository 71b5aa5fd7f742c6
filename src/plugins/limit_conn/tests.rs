use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::*;
use crate::plugin::shape;
use crate::{Body, Next, PluginLayer, Request as OurRequest, Response, UpgradedIo};

fn layer(plugin: &LimitConnPlugin, block: Value) -> PluginLayer {
    let config = shape("limit-conn", block.as_object().unwrap()).unwrap();
    plugin.layer(&config).unwrap().into()
}

fn refused(block: Value) -> String {
    let config = match shape("limit-conn", block.as_object().unwrap()) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    match LimitConnLayer::new(config) {
        Ok(_) => panic!("{block} is taken"),
        Err(error) => error.to_string(),
    }
}

fn empty() -> OurRequest {
    Request::new(Body::empty())
}

/// An upstream that answers once it has got a permit.
fn held(permits: &Arc<Semaphore>) -> Next {
    let permits = Arc::clone(permits);
    Next::from_fn(move |_| {
        let permits = Arc::clone(&permits);
        async move {
            permits.acquire().await.unwrap().forget();
            Response::default()
        }
    })
}

#[tokio::test(start_paused = true)]
async fn the_excess_waits_and_the_rest_is_refused() {
    let plugin = LimitConnPlugin::default();
    let block = json!({"conn": 2, "burst": 2, "default_conn_delay": 0.5, "key": "remote_addr", "rejected_code": 429,
        "rejected_msg": "crowded"});
    let slow = Next::from_fn(|_| async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Response::default()
    });
    let chain = layer(&plugin, block).wrap(slow);
    let begin = Instant::now();
    let ask = async || (chain.run(empty()).await.status().as_u16(), begin.elapsed().as_millis());
    let all = tokio::join!(ask(), ask(), ask(), ask(), ask());
    assert_eq!(all, ((200, 10_000), (200, 10_000), (200, 10_500), (200, 10_500), (429, 0)));
    assert_eq!(plugin.keys(), 0);
    assert_eq!(ask().await.0, 200);
}

#[tokio::test]
async fn a_request_that_is_dropped_gives_its_place_back() {
    let plugin = LimitConnPlugin::default();
    let permits = Arc::new(Semaphore::new(0));
    let block = json!({"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "remote_addr"});
    let chain = layer(&plugin, block).wrap(held(&permits));
    let first = chain.run(empty());
    assert_eq!(chain.run(empty()).await.status(), 503);
    drop(first);
    permits.add_permits(1);
    assert_eq!(chain.run(empty()).await.status(), 200);
    assert_eq!(plugin.keys(), 0);
}

#[tokio::test]
async fn a_place_is_held_until_the_body_ends_or_is_dropped() {
    let plugin = LimitConnPlugin::default();
    let block = json!({"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "remote_addr"});
    let streaming = Next::from_fn(|_| async {
        let frames = [Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from("a")))];
        Response::new(Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames))))
    });
    let chain = layer(&plugin, block).wrap(streaming);
    let mut response = chain.run(empty()).await;
    assert_eq!(chain.run(empty()).await.status(), 503);
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    assert!(response.body_mut().frame().await.is_none());
    // the body has ended, though it is still there
    let second = chain.run(empty()).await;
    assert_eq!(second.status(), 200);
    drop(second);
    assert_eq!(chain.run(empty()).await.status(), 200);
    drop(response);
    assert_eq!(plugin.keys(), 0);
}

#[tokio::test]
async fn a_tunnel_holds_its_place() {
    let plugin = LimitConnPlugin::default();
    let block = json!({"conn": 1, "burst": 0, "default_conn_delay": 0.1, "key": "remote_addr"});
    let (ours, theirs) = tokio::io::duplex(64);
    let io = Arc::new(std::sync::Mutex::new(Some(ours)));
    let switching = Next::from_fn(move |_| {
        let io = io.lock().unwrap().take();
        async move {
            let mut response = Response::default();
            let Some(io) = io else { return response };
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let upgraded = UpgradedIo::new(io, Bytes::from("early")).with_idle_timeout(Duration::from_secs(7));
            response.extensions_mut().insert(upgraded);
            response
        }
    });
    let chain = layer(&plugin, block).wrap(switching);
    let mut response = chain.run(empty()).await;
    let upgraded = response.extensions_mut().remove::<UpgradedIo>().unwrap();
    drop(response);
    assert_eq!(upgraded.idle_timeout(), Some(Duration::from_secs(7)));
    let (mut tunnel, early) = upgraded.take().unwrap();
    let mut theirs = theirs;
    tunnel.write_all(b"ping").await.unwrap();
    theirs.write_all(b"pong").await.unwrap();
    let (mut there, mut here) = ([0; 4], [0; 4]);
    theirs.read_exact(&mut there).await.unwrap();
    tunnel.read_exact(&mut here).await.unwrap();
    assert_eq!((&there, &here, &early[..]), (b"ping", b"pong", &b"early"[..]));
    assert_eq!(chain.run(empty()).await.status(), 503);
    drop(tunnel);
    assert_eq!(chain.run(empty()).await.status(), 200);
}

#[tokio::test]
async fn a_rule_that_rejects_gives_the_earlier_ones_back() {
    let plugin = LimitConnPlugin::default();
    let block = json!({"default_conn_delay": 0.1, "rules": [
        {"conn": "${http_x_most ?? 5}", "burst": 0, "key": "$http_x_user"},
        {"conn": 1, "burst": 0, "key": "$http_x_org"},
    ]});
    let permits = Arc::new(Semaphore::new(0));
    let chain = layer(&plugin, block).wrap(held(&permits));
    let ask = |fields: &[(&str, &str)]| {
        let mut request = Request::builder();
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        chain.run(request.body(Body::empty()).unwrap())
    };
    let both = [("x-user", "u"), ("x-org", "o")];
    let running = ask(&both);
    assert_eq!(plugin.keys(), 2);
    for _ in 0..9 {
        assert_eq!(ask(&both).await.status(), 503);
    }
    // of the user's five places one is taken
    let more: Vec<_> = (0..4).map(|_| ask(&[("x-user", "u")])).collect();
    assert_eq!(ask(&[("x-user", "u")]).await.status(), 503);
    drop((running, more));
    assert_eq!(plugin.keys(), 0);
    // a rule without a number is left out, and without any rule nothing is counted
    permits.add_permits(1);
    assert_eq!(ask(&[("x-user", "u"), ("x-org", "o"), ("x-most", "none")]).await.status(), 200);
    assert_eq!(ask(&[("x-user", "u"), ("x-most", "0")]).await.status(), 500);
    assert_eq!(ask(&[]).await.status(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_never_run_more_than_allowed() {
    let plugin = LimitConnPlugin::default();
    let block = json!({"conn": 3, "burst": 0, "default_conn_delay": 0.1, "key": "remote_addr"});
    let running = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&running);
    let chain = layer(&plugin, block).wrap(Next::from_fn(move |_| {
        let running = Arc::clone(&counted);
        async move {
            use std::sync::atomic::Ordering::SeqCst;
            assert!(running.fetch_add(1, SeqCst) < 3);
            tokio::task::yield_now().await;
            running.fetch_sub(1, SeqCst);
            Response::default()
        }
    }));
    let start = Arc::new(Notify::new());
    let tasks = (0..64).map(|_| {
        let (chain, start) = (chain.clone(), Arc::clone(&start));
        tokio::spawn(async move {
            start.notify_one();
            for _ in 0..50 {
                drop(chain.run(empty()).await);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(plugin.keys(), 0);
}

#[test]
fn wrong_blocks_are_refused_with_the_place() {
    for (block, says) in [
        (json!({"conn": 1, "burst": 0, "key": "remote_addr"}), "default_conn_delay: is required"),
        (json!({"conn": 1, "burst": 0, "default_conn_delay": 0, "key": "a"}), "default_conn_delay: is required"),
        (json!({"burst": 0, "default_conn_delay": 1, "key": "a"}), "conn: is required"),
        (json!({"conn": 0, "burst": 0, "default_conn_delay": 1, "key": "a"}), "conn: needs a whole number from 1"),
        (json!({"conn": 1, "default_conn_delay": 1, "key": "a"}), "burst: is required"),
        (json!({"conn": 1, "burst": 0, "default_conn_delay": 1}), "key: is required"),
        (json!({"conn": 1, "burst": 0, "default_conn_delay": 1, "key": "a", "key_type": "constant"}), "key_type"),
        (json!({"conn": 1, "burst": 0, "default_conn_delay": 1, "key": "a", "key_ttl": 0}), "key_ttl: needs"),
        (
            json!({"conn": 1, "burst": 0, "default_conn_delay": 1, "key": "a", "nodelay": true}),
            "unknown field `nodelay`",
        ),
        (
            json!({"conn": 1, "default_conn_delay": 1, "rules": [{"conn": 1, "burst": 0, "key": "$a"}]}),
            "rules: conn/burst/key and rules cannot be",
        ),
        (json!({"default_conn_delay": 1, "rules": [{"conn": 1, "burst": 0}]}), "missing field `key`"),
        (json!({"default_conn_delay": 1, "rules": [{"conn": 1, "burst": -1, "key": "$a"}]}), "below 0"),
    ] {
        let error = refused(block.clone());
        assert!(error.contains(says), "{block}: {error}");
    }
}
