//! Tests of the layer as a whole.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};

use super::mirror::{Surroundings, Target};
use super::*;
use crate::plugin::CopyOf;
use crate::plugin::bodies::{Bodies, PIECE};
use crate::plugins::testing::configured;
use crate::{Body, Exchange, Next, PluginLayer, Request, Response};

/// A mirror that passes on what it saw: target, field `x-a`, body.
fn watching() -> (Next, mpsc::UnboundedReceiver<String>) {
    let (seen, watch) = mpsc::unbounded_channel();
    let mirror = Next::from_fn(move |request: Request| {
        let seen = seen.clone();
        async move {
            assert!(request.extensions().get::<Exchange>().is_none() && !request.headers().contains_key("expect"));
            assert!(request.extensions().get::<CopyOf>().is_some(), "nobody knows that it is a copy");
            let (head, body) = request.into_parts();
            let body = body.buffer(1024).await.unwrap();
            let field = head.headers["x-a"].to_str().unwrap();
            let _ = seen.send(format!("{} {} {field} {}", head.method, head.uri, String::from_utf8_lossy(&body)));
            Response::new(Body::from("thrown away"))
        }
    });
    (mirror, watch)
}

/// An upstream that reads the body and answers with it.
fn end() -> Next {
    Next::from_fn(|request: Request| async move {
        let body = request.into_body().buffer(1 << 20).await.unwrap();
        Response::new(Body::from(body))
    })
}

fn request(body: impl Into<Body>) -> Request {
    let request = http::Request::builder().method("POST").uri("/a%20b?x=1").header("x-a", "1").header("expect", "x");
    request.extension(Exchange::new()).body(body.into()).unwrap()
}

fn options(block: serde_json::Value) -> MirrorOptions {
    configured::<ProxyMirrorConfig>(block).into()
}

fn stream(pieces: &[&'static str]) -> Body {
    let frames: Vec<_> =
        pieces.iter().map(|piece| Ok::<_, crate::BodyError>(http_body::Frame::data((*piece).into()))).collect();
    Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
}

/// Waits until no copy is under way.
async fn all_sent() {
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_copy_has_method_target_fields_and_body() {
    for (block, target) in [
        (json!({}), "/a%20b?x=1"),
        (json!({"path": "/shadow"}), "/shadow?x=1"),
        (json!({"path": "/shadow", "path_concat_mode": "prefix"}), "/shadow/a%20b?x=1"),
    ] {
        for body in [Body::from("body"), stream(&["bo", "dy"])] {
            let (mirror, mut seen) = watching();
            let layer = MirrorLayer::of(Mirror::to(mirror, options(block.clone())).unwrap());
            let chain = PluginLayer::from(layer).wrap(end());
            let response = chain.run(request(body)).await;
            assert_eq!(response.into_body().buffer(99).await.unwrap(), "body");
            assert_eq!(seen.recv().await.unwrap(), format!("POST {target} 1 body"), "{block}");
        }
    }
}

#[tokio::test]
async fn the_original_neither_waits_for_a_mirror_nor_fails_with_it() {
    let silent = Next::from_fn(|_| std::future::pending());
    let mirror = Arc::new(Mirror::to(silent, options(json!({"max_copies": 2, "max_body_bytes": 3}))).unwrap());
    let chain = |body: Body| crate::plugin::Hop::run(&mirror, request(body), &end());
    for _ in 0..4 {
        assert_eq!(chain(Body::from("abc")).await.into_body().buffer(99).await.unwrap(), "abc");
    }
    assert_eq!(mirror.outcomes().dropped(), 2, "two are under way");
    let mirror = Arc::new(Mirror::to(Next::from_fn(|_| async { panic!("mirror") }), options(json!({}))).unwrap());
    let response = crate::plugin::Hop::run(&mirror, request("abc"), &end()).await;
    assert_eq!(response.into_body().buffer(99).await.unwrap(), "abc");
}

#[tokio::test]
async fn bodies_that_a_slow_mirror_leaves_are_bounded() {
    let (go, (told, mut heard)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
    let begun = Arc::clone(&go);
    let slow = Next::from_fn(move |request: Request| {
        let (begun, told) = (Arc::clone(&begun), told.clone());
        async move {
            begun.notified().await;
            let (mut body, mut read) = (request.into_body(), Vec::new());
            let is_whole = loop {
                match body.frame().await {
                    None => break true,
                    Some(Err(_)) => break false,
                    Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().unwrap()),
                }
            };
            let _ = told.send((read, is_whole));
            Response::default()
        }
    });
    // Room for one piece.
    let mirror = Arc::new(Mirror::to(slow, options(json!({"max_body_bytes": 4 + PIECE}))).unwrap());
    let long = stream(&["abcd", "efgh", "ijkl"]);
    let response = crate::plugin::Hop::run(&mirror, request(long), &end()).await;
    assert_eq!(response.into_body().buffer(99).await.unwrap(), "abcdefghijkl");
    go.notify_one();
    assert_eq!(heard.recv().await.unwrap(), (b"abcd".to_vec(), false), "what was beyond the limit");
    let long = vec![b'a'; 5 + PIECE];
    let response = crate::plugin::Hop::run(&mirror, request(long.clone()), &end()).await;
    assert_eq!(response.into_body().buffer(999).await.unwrap(), long);
    all_sent().await;
    assert_eq!((mirror.outcomes().dropped(), mirror.outcomes().sent()), (2, 0));
}

#[tokio::test]
async fn a_copy_is_not_copied_again() {
    let (end_of_copies, mut seen) = watching();
    let mirror = Arc::new(Mirror::to(end_of_copies, options(json!({}))).unwrap());
    let mut copy = request("");
    copy.extensions_mut().insert(CopyOf(None));
    crate::plugin::Hop::run(&mirror, copy, &end()).await;
    all_sent().await;
    assert!(seen.try_recv().is_err());
}

#[tokio::test]
async fn a_share_of_requests_is_copied_and_tunnels_are_not() {
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    let mirror = Next::from_fn(move |_| {
        *counted.lock().unwrap() += 1;
        async { Response::default() }
    });
    let half =
        Arc::new(Mirror::to(mirror.clone(), options(json!({"sample_ratio": 0.5, "max_copies": 100_000}))).unwrap());
    for _ in 0..2000 {
        crate::plugin::Hop::run(&half, request(""), &end()).await;
    }
    all_sent().await;
    let copied = *count.lock().unwrap();
    // Six standard deviations of 22 around 1,000.
    assert!((866..=1134).contains(&copied), "{copied}");
    let all = Arc::new(Mirror::to(mirror, options(json!({}))).unwrap());
    let mut connect = request("");
    *connect.method_mut() = http::Method::CONNECT;
    crate::plugin::Hop::run(&all, connect, &end()).await;
    all_sent().await;
    assert_eq!(*count.lock().unwrap(), copied);
}

#[tokio::test]
async fn copies_end_with_the_mirror() {
    let (held, mut dropped) = mpsc::channel::<()>(1);
    let silent = Next::from_fn(move |_| {
        let held = held.clone();
        async move {
            let _held = held;
            std::future::pending().await
        }
    });
    let mirror = Arc::new(Mirror::to(silent, options(json!({}))).unwrap());
    crate::plugin::Hop::run(&mirror, request(""), &end()).await;
    tokio::task::yield_now().await;
    drop(mirror);
    assert_eq!(dropped.recv().await, None);
}

#[tokio::test]
async fn copies_outlive_the_block_and_end_with_the_plugin() {
    let (held, mut dropped) = mpsc::channel::<()>(1);
    let silent = Next::from_fn(move |_| {
        let held = held.clone();
        async move {
            let _held = held;
            std::future::pending().await
        }
    });
    let (plugin, lives) = watch::channel(());
    let around = Surroundings { drain: Duration::ZERO, bodies: Bodies::default(), outcomes: Arc::default(), lives };
    let mirror = Arc::new(Mirror::new(Target::Service(silent), options(json!({})), around).unwrap());
    crate::plugin::Hop::run(&mirror, request(""), &end()).await;
    drop(mirror);
    for _ in 0..9 {
        tokio::task::yield_now().await;
    }
    assert_eq!(dropped.try_recv(), Err(mpsc::error::TryRecvError::Empty), "another block has come in its place");
    drop(plugin);
    assert_eq!(dropped.recv().await, None);
}

#[test]
fn a_mirror_that_is_not_verified_is_warned_of() {
    use crate::plugin::Plugin as _;
    let doubts = |tls: serde_json::Value| {
        let block = configured(json!({"host": "https://a", "tls": tls}));
        ProxyMirrorPlugin::default().caveats(&block).into_iter().map(|caveat| caveat.field).collect::<Vec<_>>()
    };
    assert_eq!((doubts(json!({"verify": false})), doubts(json!({}))), (vec!["tls.verify".to_owned()], vec![]));
}

#[test]
fn spans_have_units() {
    let span =
        |text: &str| serde_json::from_value::<Span>(serde_json::from_str(text).unwrap()).map(|span| span.0.as_millis());
    for (text, millis) in [("60", 60_000), ("0.5", 500), ("\"500ms\"", 500), ("\"60s\"", 60_000), ("\"1m\"", 60_000)] {
        assert_eq!(span(text).unwrap(), millis, "{text}");
    }
    for text in ["0", "-1", "\"\"", "\"s\"", "\"1d\"", "1e40", "\"nan\""] {
        assert!(span(text).is_err(), "{text}");
    }
}

#[test]
fn faults_name_their_field() {
    use crate::plugins::testing::build_error;
    let (mirror, _seen) = watching();
    for (block, field) in [
        (json!({"path": "shadow"}), "path"),
        (json!({"path": "/a?b"}), "path"),
        (json!({"path": "/a b"}), "path"),
        (json!({"sample_ratio": 0}), "sample_ratio"),
        (json!({"sample_ratio": 1.1}), "sample_ratio"),
        (json!({"max_copies": 0}), "max_copies"),
        (json!({"max_body_bytes": 0}), "max_body_bytes"),
    ] {
        assert_eq!(Mirror::to(mirror.clone(), options(block.clone())).unwrap_err().field(), field, "{block}");
    }
    for block in [json!({}), json!({"host": "http://a/path"})] {
        assert!(build_error(ProxyMirrorPlugin::default(), &block).contains("host: is required"), "{block}");
    }
}
