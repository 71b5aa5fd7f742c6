//! The layer over an end, with time of its own.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::cache::Zone;
use crate::model::{ByteSize, CacheZoneSpec, ConsumerSpec};
use crate::plugin::Plugin as _;
use crate::plugins::testing::{Answer, ask_over, build_error, configured};
use crate::{Body, BodyError, ConnectInfo, Consumer, Next, PluginLayer, Request, Response, reject};

/// An origin that notes what it is asked and answers by a script; behind its end the last answer again.
#[derive(Clone, Default)]
struct Origin {
    asked: Arc<Mutex<Vec<(Method, HeaderMap)>>>,
    script: Arc<Mutex<VecDeque<Reply>>>,
    /// Answers wait for it, if it is there.
    gate: Option<Arc<Notify>>,
}

#[derive(Clone)]
struct Reply(u16, Vec<(&'static str, String)>, &'static str);

fn reply(status: u16, fields: &[(&'static str, &str)], body: &'static str) -> Reply {
    Reply(status, fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), body)
}

impl Origin {
    fn answering(replies: &[Reply]) -> Self {
        let script = Arc::new(Mutex::new(replies.iter().cloned().collect()));
        Self { script, ..Self::default() }
    }

    fn end(&self) -> Next {
        let origin = self.clone();
        Next::from_fn(move |request: Request| {
            let origin = origin.clone();
            async move {
                origin.asked.lock().unwrap().push((request.method().clone(), request.headers().clone()));
                if let Some(gate) = &origin.gate {
                    gate.notified().await;
                }
                let mut script = origin.script.lock().unwrap();
                let Reply(status, fields, body) =
                    if script.len() > 1 { script.pop_front() } else { script.front().cloned() }.unwrap();
                if status >= 599 {
                    return reject(http::StatusCode::BAD_GATEWAY, "proxy-cache", "down");
                }
                let mut response = http::Response::builder().status(status);
                for (name, value) in fields {
                    response = response.header(name, value);
                }
                response.body(Body::from(body)).unwrap()
            }
        })
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn last(&self, name: &str) -> Option<String> {
        let asked = self.asked.lock().unwrap();
        asked.last().and_then(|(_, headers)| Some(headers.get(name)?.to_str().unwrap().to_owned()))
    }
}

/// A cache over an origin.
struct Rig {
    layer: PluginLayer,
    zone: Arc<Zone>,
    origin: Origin,
}

impl Rig {
    fn new(block: Value, replies: &[Reply]) -> Self {
        Self::over(block, Origin::answering(replies))
    }

    fn over(mut block: Value, origin: Origin) -> Self {
        block["cache_strategy"] = json!("memory");
        let zone = Zone::new(CacheZoneSpec::memory("test", ByteSize(64 << 20)));
        let cache = ProxyCache::new(configured(block), zone.clone()).unwrap();
        Self { layer: ProxyCacheLayer::of(cache).into(), zone, origin }
    }

    async fn send(&self, request: Request) -> Answer {
        ask_over(&self.layer, self.origin.end(), request).await
    }

    async fn get(&self, target: &str, fields: &[(&'static str, &str)]) -> Answer {
        self.send(request("GET", target, fields)).await
    }

    /// What the cache says that it did.
    async fn status(&self, target: &str, fields: &[(&'static str, &str)]) -> String {
        status(&self.get(target, fields).await)
    }
}

fn request(method: &str, target: &str, fields: &[(&'static str, &str)]) -> Request {
    let mut request = http::Request::builder().method(method).uri(target);
    if !fields.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "shop.test");
    }
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

fn from(mut request: Request, address: &str) -> Request {
    request.extensions_mut().insert(ConnectInfo::new(address.parse().unwrap()));
    request
}

fn status(answer: &Answer) -> String {
    answer.header("apisix-cache-status").unwrap_or_default()
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_fetched_is_the_answer_until_it_is_over() {
    let rig = Rig::new(json!({"cache_ttl": 60}), &[reply(200, &[("x-from", "1"), ("content-length", "3")], "one")]);
    assert_eq!(rig.status("/a", &[]).await, "MISS");
    pass(59).await;
    let hit = rig.get("/a", &[]).await;
    assert_eq!((status(&hit).as_str(), hit.body(), hit.header("age").as_deref()), ("HIT", "one", Some("59")));
    assert_eq!((hit.header("x-from").as_deref(), hit.header("content-length").as_deref()), (Some("1"), Some("3")));
    pass(1).await;
    assert_eq!(rig.status("/a", &[]).await, "EXPIRED");
    assert_eq!((rig.status("/a", &[]).await.as_str(), rig.origin.count()), ("HIT", 2));
    assert_eq!(rig.status("/b", &[]).await, "MISS");
    assert_eq!((rig.zone.stats().hits, rig.zone.stats().entries), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn sec_cache_01_scheme_host_port_and_query_tell_answers_apart() {
    let rig = Rig::new(json!({"cache_key": ["$request_uri"]}), &[reply(200, &[], "x")]);
    for (target, host, wanted) in [
        ("/a", "one.test", "MISS"),
        ("/a", "two.test", "MISS"),
        ("/a", "one.test:8080", "MISS"),
        ("/a?x", "one.test", "MISS"),
        ("/a", "ONE.test.", "HIT"),
        ("/a", "one.test:80", "HIT"),
        ("/a", "One.Test.:8080", "HIT"),
    ] {
        assert_eq!(rig.status(target, &[("host", host)]).await, wanted, "{host}{target}");
    }
    let tls = |mut request: Request| {
        let mut info = ConnectInfo::new("127.0.0.1:9".parse().unwrap());
        info.tls = true;
        request.extensions_mut().insert(info);
        request
    };
    let https = || tls(request("GET", "/a", &[("host", "one.test")]));
    assert_eq!(status(&rig.send(https()).await), "MISS");
    assert_eq!(status(&rig.send(https()).await), "HIT");
}

#[tokio::test(start_paused = true)]
async fn sec_cache_02_credentials_and_callers_are_kept_apart() {
    for (fields, second) in [(&[][..], "MISS"), (&[("cache-control", "public")], "HIT")] {
        let rig = Rig::new(json!({}), &[reply(200, fields, "x")]);
        assert_eq!(rig.status("/", &[("authorization", "Bearer a")]).await, "MISS");
        assert_eq!(rig.status("/", &[("authorization", "Bearer b")]).await, second);
        assert_eq!(rig.status("/", &[]).await, second, "{fields:?}");
        // what was kept of somebody without credentials is not for those with some
        assert_eq!(rig.status("/", &[("authorization", "Bearer a")]).await, second);
    }
    let named = |name: &str| {
        let mut request = request("GET", "/", &[]);
        Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() }).attach(&mut request);
        request
    };
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    for (name, wanted) in [("ann", "MISS"), ("bob", "MISS"), ("ann", "HIT"), ("bob", "HIT")] {
        assert_eq!(status(&rig.send(named(name)).await), wanted, "{name}");
    }
    assert_eq!(rig.status("/", &[]).await, "MISS");
    let shared = Rig::new(json!({"consumer_isolation": false}), &[reply(200, &[], "x")]);
    assert_eq!(status(&shared.send(named("ann")).await), "MISS");
    assert_eq!(status(&shared.send(named("ann")).await), "MISS", "nobody said that it is public");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_holds_one_sign_of_the_caller_tells_the_others_apart_too() {
    let by = |name: &str, credentials: &'static str| {
        let fields = [("authorization", credentials)];
        let mut request = request("GET", "/", if credentials.is_empty() { &[] } else { &fields });
        Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() }).attach(&mut request);
        request
    };
    for (part, asks) in [
        ("$remote_user", [("ann", "", "MISS"), ("bob", "", "MISS"), ("ann", "", "HIT")]),
        ("$http_authorization", [("ann", "k", "MISS"), ("bob", "k", "MISS"), ("ann", "k", "HIT")]),
        ("$consumer_name", [("ann", "k", "MISS"), ("ann", "other", "MISS"), ("ann", "k", "HIT")]),
    ] {
        let rig = Rig::new(json!({"cache_key": ["$uri", part]}), &[reply(200, &[], "x")]);
        for (name, credentials, wanted) in asks {
            assert_eq!(status(&rig.send(by(name, credentials)).await), wanted, "{part}: {name} {credentials}");
        }
        let shared = json!({"cache_key": ["$uri", part], "consumer_isolation": false});
        let rig = Rig::new(shared, &[reply(200, &[], "x")]);
        for _ in 0..2 {
            assert_eq!(status(&rig.send(by("ann", "k")).await), "MISS", "{part}: one of two signs is not held");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_user_is_not_given_what_another_was_told_to_check_each_time() {
    for control in ["max-age=0, must-revalidate", "s-maxage=0", "public, max-age=0", "proxy-revalidate, max-age=60"] {
        let rig = Rig::new(json!({}), &[reply(200, &[("cache-control", control)], "account")]);
        for user in ["a", "b"] {
            assert_eq!(rig.status("/", &[("authorization", user)]).await, "MISS", "{control}");
        }
        assert_eq!(rig.status("/", &[]).await, "MISS", "{control}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_out_while_it_is_fetched_is_not_kept() {
    // with something kept that is over, and without
    for fields in [&[("etag", "\"1\"")][..], &[]] {
        let (gate, gated) = (Arc::new(Notify::new()), Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let end = {
            let (gate, gated) = (Arc::clone(&gate), Arc::clone(&gated));
            Next::from_fn(move |request: Request| {
                let (gate, gated) = (Arc::clone(&gate), Arc::clone(&gated));
                async move {
                    let knows = request.headers().contains_key("if-none-match");
                    if request.method() == Method::GET && gated.load(std::sync::atomic::Ordering::Relaxed) {
                        gate.notified().await;
                    }
                    let mut response = http::Response::builder().status(if knows { 304 } else { 200 });
                    for (name, value) in fields {
                        response = response.header(*name, *value);
                    }
                    response.body(Body::from("old")).unwrap()
                }
            })
        };
        let rig = Rig::new(json!({"cache_ttl": 10}), &[]);
        ask_over(&rig.layer, end.clone(), request("GET", "/", &[])).await;
        pass(10).await;
        gated.store(true, std::sync::atomic::Ordering::Relaxed);
        let (layer, next) = (rig.layer.clone(), end.clone());
        let slow = tokio::spawn(async move { ask_over(&layer, next, request("GET", "/", &[])).await });
        tokio::task::yield_now().await;
        ask_over(&rig.layer, end.clone(), request("PUT", "/", &[])).await;
        gate.notify_one();
        assert_eq!(slow.await.unwrap().body(), "old");
        gated.store(false, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(status(&ask_over(&rig.layer, end, request("GET", "/", &[])).await), "MISS", "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_keyed_with_what_it_is_read_as() {
    let rig = Rig::new(json!({"cache_method": ["POST"]}), &[reply(200, &[], "x")]);
    let post = |name, value| request("POST", "/", &[(name, value)]).map(|_| Body::from("{}"));
    for (name, value, wanted) in [
        ("content-type", "application/json", "MISS"),
        ("content-type", "text/plain", "MISS"),
        ("content-encoding", "gzip", "MISS"),
        ("content-type", "application/json", "HIT"),
    ] {
        assert_eq!(status(&rig.send(post(name, value)).await), wanted, "{name}: {value}");
    }
}

/// Answers that come in two pieces, with a length of their own.
fn in_pieces(length: Option<u64>) -> Next {
    Next::from_fn(move |_| async move {
        let frames = ["abc", "def"].map(|part| Ok::<_, BodyError>(Frame::data(bytes::Bytes::from(part))));
        let mut response = Response::new(Body::stream(StreamBody::new(futures_util::stream::iter(frames))));
        if let Some(length) = length {
            response.headers_mut().insert("content-length", length.into());
        }
        response
    })
}

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
async fn credentials_do_not_send_everybody_else_to_the_origin() {
    let gate = Arc::new(Notify::new());
    let mut origin = Origin::answering(&[reply(200, &[], "x")]);
    origin.gate = Some(Arc::clone(&gate));
    let rig = Arc::new(Rig::over(json!({}), origin));
    let ask = |fields: &'static [(&'static str, &'static str)]| {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.status("/", fields).await })
    };
    let alone = ask(&[("authorization", "a")]);
    tokio::task::yield_now().await;
    let first = ask(&[]);
    tokio::task::yield_now().await;
    assert_eq!(rig.origin.count(), 2, "who brings none does not wait for who does");
    gate.notify_one();
    assert_eq!(alone.await.unwrap(), "MISS");
    let others = [ask(&[]), ask(&[]), ask(&[])];
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.origin.count(), 2);
    gate.notify_one();
    assert_eq!(first.await.unwrap(), "MISS");
    for other in others {
        assert_eq!(other.await.unwrap(), "HIT");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_origin_has_withdrawn_stands_in_for_nothing() {
    let kept = || reply(200, &[("etag", "\"1\""), ("cache-control", "stale-if-error=900")], "one");
    for (said, is_withdrawn) in [
        (reply(410, &[], "gone"), true),
        (reply(200, &[("cache-control", "private")], "of one"), true),
        (reply(304, &[("cache-control", "no-store")], ""), true),
        (reply(429, &[], "not so fast"), false),
    ] {
        let block = json!({"cache_ttl": 10, "cache_http_status": [200]});
        let rig = Rig::new(block, &[kept(), said.clone(), reply(503, &[], "away")]);
        rig.get("/", &[]).await;
        pass(10).await;
        rig.get("/", &[]).await;
        let answer = rig.get("/", &[]).await;
        assert_eq!(answer.status() == 503, is_withdrawn, "{}: {}", said.0, status(&answer));
    }
}

#[tokio::test(start_paused = true)]
async fn sec_cache_02_fields_that_no_key_holds_do_not_reach_the_origin() {
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    rig.get("/", &[("x-forwarded-host", "evil.test"), ("x-original-url", "/admin"), ("x-kept", "1")]).await;
    assert_eq!((rig.origin.last("x-forwarded-host"), rig.origin.last("x-original-url")), (None, None));
    assert_eq!(rig.origin.last("x-kept").as_deref(), Some("1"));
    let rig = Rig::new(json!({"cache_key": ["$uri", "$http_x_forwarded_host"]}), &[reply(200, &[], "x")]);
    assert_eq!(rig.status("/", &[("x-forwarded-host", "a")]).await, "MISS");
    assert_eq!(rig.origin.last("x-forwarded-host").as_deref(), Some("a"));
    assert_eq!(rig.status("/", &[("x-forwarded-host", "b")]).await, "MISS");
}

#[tokio::test(start_paused = true)]
async fn sec_cache_02_pages_under_names_of_files_are_not_kept() {
    let page = reply(200, &[("content-type", "text/html")], "account of ann");
    let rig = Rig::new(json!({}), &[page]);
    for target in ["/account/x.css", "/account/x.JS", "/account/x.css?y"] {
        assert_eq!(rig.status(target, &[("cookie", "session=ann")]).await, "MISS");
        assert_eq!(rig.status(target, &[]).await, "MISS", "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn sec_cache_02_gets_with_a_body_are_beside_the_cache() {
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    let fat = || request("GET", "/", &[]).map(|_| Body::from("name=evil"));
    for _ in 0..2 {
        assert_eq!(status(&rig.send(fat()).await), "BYPASS");
    }
    assert_eq!(rig.status("/", &[]).await, "MISS");
    assert_eq!(status(&rig.send(fat()).await), "BYPASS");
}

#[tokio::test(start_paused = true)]
async fn sec_cache_02_errors_of_heads_are_not_kept() {
    // what an origin says of a head that it finds too long is about that request alone
    for error in [400, 413, 414, 431, 500, 501] {
        let rig = Rig::new(json!({"cache_ttl": 60}), &[reply(error, &[], "no"), reply(200, &[], "x")]);
        assert_eq!(rig.get("/", &[("x-long", &"a".repeat(9000))]).await.status(), error);
        assert_eq!(rig.get("/", &[]).await.body(), "x");
    }
}

#[tokio::test(start_paused = true)]
async fn sec_cache_03_what_breaks_off_is_not_kept() {
    let cut: Vec<Result<Frame<bytes::Bytes>, BodyError>> =
        vec![Ok(Frame::data("abc".into())), Err(BodyError::Incomplete)];
    let short = vec![Ok(Frame::data(bytes::Bytes::from("abc")))];
    for (frames, length) in [(cut, None), (short, Some("9"))] {
        let frames = Mutex::new(Some(frames));
        let end = Next::from_fn(move |_| {
            let frames = frames.lock().unwrap().take().unwrap_or_else(|| vec![Ok(Frame::data("whole".into()))]);
            let length =
                length.filter(|_| frames.len() < 3 && !matches!(&frames[0], Ok(f) if f.data_ref().unwrap() == "whole"));
            async move {
                let body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
                let mut response = Response::new(body);
                if let Some(length) = length {
                    response.headers_mut().insert("content-length", length.parse().unwrap());
                }
                response
            }
        });
        let rig = Rig::new(json!({}), &[]);
        let mut body = rig.layer.wrap(end.clone()).run(request("GET", "/", &[])).await.into_body();
        while let Some(Ok(_)) = body.frame().await {}
        drop(body);
        let whole = ask_over(&rig.layer, end.clone(), request("GET", "/", &[])).await;
        assert_eq!((status(&whole).as_str(), whole.body()), ("MISS", "whole"));
        assert_eq!(status(&ask_over(&rig.layer, end, request("GET", "/", &[])).await), "HIT");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_flows_while_it_is_kept_and_is_given_up_when_it_is_too_long() {
    for (most, second) in [(6, "HIT"), (5, "MISS")] {
        let end = Next::from_fn(|_| async {
            let frames = ["abc", "def"].map(|part| Ok::<_, BodyError>(Frame::data(bytes::Bytes::from(part))));
            Response::new(Body::stream(StreamBody::new(futures_util::stream::iter(frames))))
        });
        let rig = Rig::new(json!({"max_resp_body_size": most}), &[]);
        assert_eq!(ask_over(&rig.layer, end.clone(), request("GET", "/", &[])).await.body(), "abcdef");
        let answer = ask_over(&rig.layer, end, request("GET", "/", &[])).await;
        assert_eq!((status(&answer).as_str(), answer.body()), (second, "abcdef"));
    }
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
async fn what_stands_behind_a_body_is_not_lost() {
    let end = Next::from_fn(|_| async {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
        let frames = [Frame::data(bytes::Bytes::from("abc")), Frame::trailers(trailers)].map(Ok::<_, BodyError>);
        Response::new(Body::stream(StreamBody::new(futures_util::stream::iter(frames))))
    });
    let rig = Rig::new(json!({}), &[]);
    for _ in 0..2 {
        let response = rig.layer.wrap(end.clone()).run(request("GET", "/", &[])).await;
        assert_eq!(response.headers()["apisix-cache-status"], "MISS");
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-sum"], "1");
    }
}

#[tokio::test(start_paused = true)]
async fn variants_are_told_apart_by_what_vary_names() {
    let rig = Rig::new(json!({}), &[reply(200, &[("vary", "Accept-Language")], "x")]);
    for (language, wanted) in [("de", "MISS"), ("en", "MISS"), ("de", "HIT"), ("en", "HIT"), ("fr", "MISS")] {
        assert_eq!(rig.status("/", &[("accept-language", language)]).await, wanted, "{language}");
    }
    // a coding that nobody asked for is not given to those who cannot read it
    let rig = Rig::new(json!({}), &[reply(200, &[("content-encoding", "gzip")], "x")]);
    for (coding, wanted) in [("gzip", "MISS"), ("identity", "MISS"), ("gzip", "HIT")] {
        assert_eq!(rig.status("/", &[("accept-encoding", coding)]).await, wanted, "{coding}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_checked_and_brought_up_to_date() {
    let rig = Rig::new(
        json!({"cache_ttl": 10}),
        &[
            reply(200, &[("etag", "\"1\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("x-a", "1")], "one"),
            reply(304, &[("etag", "\"1\""), ("x-a", "2")], ""),
            reply(200, &[("etag", "\"2\"")], "two"),
        ],
    );
    rig.get("/", &[]).await;
    pass(10).await;
    let checked = rig.get("/", &[("if-none-match", "\"0\"")]).await;
    assert_eq!((status(&checked).as_str(), checked.body()), ("REVALIDATED", "one"));
    assert_eq!(checked.header("x-a").as_deref(), Some("2"));
    assert_eq!(rig.origin.last("if-none-match").as_deref(), Some("\"1\""));
    assert_eq!(rig.origin.last("if-modified-since").as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    pass(9).await;
    let hit = rig.get("/", &[]).await;
    assert_eq!((status(&hit).as_str(), hit.header("x-a").as_deref()), ("HIT", Some("2")));
    pass(1).await;
    let new = rig.get("/", &[("if-none-match", "\"1\"")]).await;
    assert_eq!((status(&new).as_str(), new.body()), ("EXPIRED", "two"));
}

#[tokio::test(start_paused = true)]
async fn clients_are_told_that_they_have_it() {
    let rig = Rig::new(json!({}), &[reply(200, &[("etag", "\"1\""), ("content-type", "text/css")], "one")]);
    let first = rig.get("/", &[("if-none-match", "\"1\"")]).await;
    assert_eq!((first.status(), rig.origin.last("if-none-match")), (200, None));
    let second = rig.get("/", &[("if-none-match", "W/\"1\"")]).await;
    assert_eq!((second.status(), second.body(), status(&second).as_str()), (304, "", "HIT"));
    assert_eq!((second.header("etag").as_deref(), second.header("content-type")), (Some("\"1\""), None));
    assert_eq!(rig.get("/", &[("if-none-match", "\"2\"")]).await.status(), 200);
    assert_eq!(rig.status("/", &[("if-match", "\"1\"")]).await, "BYPASS");
}

#[tokio::test(start_paused = true)]
async fn parts_are_given_out_of_a_whole_and_never_kept() {
    let rig = Rig::new(
        json!({}),
        &[
            reply(206, &[("content-range", "bytes 0-0/9")], "0"),
            reply(200, &[("etag", "\"1\""), ("content-type", "text/css")], "0123456789"),
        ],
    );
    let part = rig.get("/", &[("range", "bytes=0-0")]).await;
    assert_eq!((part.status(), status(&part).as_str()), (206, "MISS"));
    assert_eq!(rig.origin.last("range").as_deref(), Some("bytes=0-0"));
    assert_eq!(rig.status("/", &[]).await, "MISS");
    for (fields, code, body, told) in [
        (&[("range", "bytes=2-4")][..], 206, "234", Some("bytes 2-4/10")),
        (&[("range", "bytes=-3")], 206, "789", Some("bytes 7-9/10")),
        (&[("range", "bytes=10-")], 416, "", Some("bytes */10")),
        (&[("range", "bytes=0-1,3-4")], 200, "0123456789", None),
        (&[("range", "bytes=2-4"), ("if-range", "\"1\"")], 206, "234", Some("bytes 2-4/10")),
        (&[("range", "bytes=2-4"), ("if-range", "\"2\"")], 200, "0123456789", None),
    ] {
        let answer = rig.get("/", fields).await;
        assert_eq!((answer.status(), answer.body(), status(&answer).as_str()), (code, body, "HIT"), "{fields:?}");
        assert_eq!(answer.header("content-range").as_deref(), told, "{fields:?}");
        assert_eq!(answer.header("content-length").unwrap(), body.len().to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_is_answered_by_a_get_and_never_the_other_way_round() {
    let rig = Rig::new(json!({}), &[reply(200, &[("content-length", "3")], "one")]);
    let head = || request("HEAD", "/", &[]);
    assert_eq!(status(&rig.send(head()).await), "MISS");
    let get = rig.get("/", &[]).await;
    assert_eq!((status(&get).as_str(), get.body()), ("MISS", "one"));
    let answer = rig.send(head()).await;
    assert_eq!((status(&answer).as_str(), answer.body()), ("HIT", ""));
    assert_eq!(answer.header("content-length").as_deref(), Some("3"));
    assert_eq!(rig.origin.asked.lock().unwrap()[0].0, Method::HEAD);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_used_while_it_is_fetched_anew() {
    let rig = Rig::new(
        json!({"cache_ttl": 10, "stale_while_revalidate": 20}),
        &[reply(200, &[("etag", "\"1\"")], "one"), reply(200, &[("etag", "\"2\"")], "two")],
    );
    rig.get("/", &[]).await;
    pass(15).await;
    let old = rig.get("/", &[]).await;
    assert_eq!((status(&old).as_str(), old.body()), ("UPDATING", "one"));
    while rig.zone.stats().stored < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.origin.last("if-none-match").as_deref(), Some("\"1\""));
    let new = rig.get("/", &[]).await;
    assert_eq!((status(&new).as_str(), new.body(), rig.origin.count()), ("HIT", "two", 2));
    pass(30).await;
    assert_eq!(rig.status("/", &[]).await, "EXPIRED", "longer than that it is not");
}

#[tokio::test(start_paused = true)]
async fn what_is_over_stands_in_while_the_upstream_is_away() {
    for (control, down, wanted) in [
        ("stale-if-error=20", 503, "STALE"),
        ("stale-if-error=20", 599, "STALE"),
        ("stale-if-error=20", 404, "EXPIRED"),
        ("stale-if-error=2", 503, "EXPIRED"),
        ("stale-if-error=20, must-revalidate", 503, "EXPIRED"),
    ] {
        let rig = Rig::new(
            json!({"cache_ttl": 10}),
            &[reply(200, &[("cache-control", control)], "one"), reply(down, &[], "away")],
        );
        rig.get("/", &[]).await;
        pass(15).await;
        let answer = rig.get("/", &[]).await;
        assert_eq!(status(&answer), wanted, "{control} {down}");
        assert_eq!(answer.body() == "one", wanted == "STALE");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_say_how_fresh_they_want_it() {
    let rig = Rig::new(json!({"cache_control": true}), &[reply(200, &[("cache-control", "max-age=60")], "x")]);
    assert_eq!(rig.get("/", &[("cache-control", "only-if-cached")]).await.status(), 504);
    assert_eq!((rig.status("/", &[]).await.as_str(), rig.origin.count()), ("MISS", 1));
    pass(20).await;
    for (control, wanted) in [
        ("only-if-cached", "HIT"),
        ("max-age=20", "HIT"),
        ("min-fresh=40", "HIT"),
        ("no-cache", "BYPASS"),
        ("no-store", "BYPASS"),
        ("max-age=19", "HIT"),
    ] {
        assert_eq!(rig.status("/", &[("cache-control", control)]).await, wanted, "{control}");
    }
    pass(20).await;
    assert_eq!(rig.status("/", &[("cache-control", "max-age=19")]).await, "STALE");
    pass(65).await;
    assert_eq!(rig.status("/", &[("cache-control", "max-stale=5")]).await, "STALE");
    assert_eq!(rig.origin.count(), 4, "five seconds were allowed");
    pass(1).await;
    assert_eq!(rig.status("/", &[("cache-control", "max-stale=5")]).await, "EXPIRED");
    // without the switch nobody asks
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    rig.get("/", &[]).await;
    assert_eq!(rig.status("/", &[("cache-control", "no-cache")]).await, "HIT");
}

#[tokio::test(start_paused = true)]
async fn conditions_say_what_is_read_and_what_is_kept() {
    let rig = Rig::new(
        json!({"cache_bypass": ["$arg_fresh", "$cookie_fresh"], "no_cache": ["$http_x_secret"]}),
        &[reply(200, &[], "one"), reply(200, &[], "two")],
    );
    let cookie = |value: &str| format!("fresh={value}");
    assert_eq!(rig.status("/", &[("x-secret", "1")]).await, "MISS");
    assert_eq!(rig.status("/", &[("x-secret", "0")]).await, "MISS");
    assert_eq!(rig.status("/", &[("cookie", &cookie("0"))]).await, "HIT");
    assert_eq!(rig.status("/", &[("cookie", &cookie("1"))]).await, "BYPASS");
    assert_eq!(rig.get("/", &[]).await.body(), "two", "what was fetched past it is kept");
}

#[tokio::test(start_paused = true)]
async fn purging_takes_all_variants_out_and_asks_who_it_is() {
    let rig = Rig::new(json!({}), &[reply(200, &[("vary", "accept")], "x")]);
    for accept in ["a", "b"] {
        rig.get("/", &[("accept", accept)]).await;
    }
    let purge = |address: &str| from(request("PURGE", "/", &[]), address);
    assert_eq!(rig.send(purge("203.0.113.9:1")).await.status(), 403);
    assert_eq!(rig.send(request("PURGE", "/", &[])).await.status(), 403, "nobody knows from where");
    assert_eq!(rig.send(purge("127.0.0.1:1")).await.status(), 200);
    assert_eq!(rig.send(purge("[::1]:1")).await.status(), 404);
    for accept in ["a", "b"] {
        assert_eq!(rig.status("/", &[("accept", accept)]).await, "MISS");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_out_what_was_kept() {
    for (method, answer, wanted) in
        [("POST", 201, "MISS"), ("DELETE", 204, "MISS"), ("PUT", 403, "HIT"), ("OPTIONS", 200, "HIT")]
    {
        let rig = Rig::new(json!({}), &[reply(200, &[], "one"), reply(answer, &[], ""), reply(200, &[], "two")]);
        rig.get("/", &[]).await;
        assert_eq!(status(&rig.send(request(method, "/", &[])).await), "MISS");
        assert_eq!(rig.status("/", &[]).await, wanted, "{method} {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_of_posts_are_part_of_the_key() {
    let rig = Rig::new(json!({"cache_method": ["POST"]}), &[reply(200, &[], "x")]);
    let post = |body: &'static str| request("POST", "/", &[]).map(|_| Body::from(body));
    for (body, wanted) in [("a", "MISS"), ("b", "MISS"), ("a", "HIT"), ("", "MISS"), ("", "HIT")] {
        assert_eq!(status(&rig.send(post(body)).await), wanted, "{body}");
    }
    let long = request("POST", "/", &[]).map(|_| Body::from(vec![b'x'; 65_537]));
    assert_eq!(status(&rig.send(long).await), "BYPASS");
    assert_eq!(rig.status("/", &[]).await, "MISS", "a GET is not cached there");
}

#[tokio::test(start_paused = true)]
async fn lifetimes_are_hidden_where_that_is_wanted() {
    let fields = [("cache-control", "max-age=9"), ("expires", "0")];
    let rig = Rig::new(json!({"hide_cache_headers": true, "status_header": "X-Cache"}), &[reply(200, &fields, "x")]);
    for wanted in ["MISS", "HIT"] {
        let answer = rig.get("/", &[]).await;
        assert_eq!(answer.header("x-cache").as_deref(), Some(wanted));
        assert_eq!((answer.header("cache-control"), answer.header("expires")), (None, None));
    }
}

#[test]
fn faults_name_their_field() {
    for (block, says) in [
        (json!({"cache_zone": "none"}), "cache_zone: cache_zone none not found"),
        (json!({"cache_zone": "memory_cache"}), "invalid or empty cache_zone for cache_strategy: disk"),
        (json!({"cache_strategy": "memory", "cache_zone": "disk_cache_one"}), "for cache_strategy: memory"),
        (json!({"cache_zone": ""}), "cache_zone: is empty"),
        (json!({"cache_key": []}), "cache_key: is empty"),
        (
            json!({"cache_key": ["$uri", "$request_method"]}),
            "cache_key.1: cache_key variable $request_method unsupported",
        ),
        (json!({"cache_key": ["${"]}), "cache_key.0: "),
        (json!({"cache_method": []}), "cache_method: is empty"),
        (json!({"cache_method": ["GET", "GET"]}), "cache_method: has a method twice"),
        (json!({"cache_method": ["PUT"]}), "unknown variant"),
        (json!({"cache_http_status": [100]}), "cache_http_status: has a status that is none"),
        (json!({"cache_http_status": [200, 301, 200]}), "cache_http_status: has a status twice"),
        (json!({"cache_ttl": 0}), "cache_ttl: is at least 1"),
        (json!({"max_resp_body_size": 0}), "max_resp_body_size: is at least 1"),
        (json!({"collapse_timeout_ms": 600_001}), "collapse_timeout_ms: is at most"),
        (json!({"purge_from": ["all"]}), "purge_from.0: "),
        (json!({"status_header": "Content-Length"}), "status_header: "),
        (json!({"ttl": 1}), "unknown field"),
    ] {
        let error = build_error(ProxyCachePlugin::default(), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}

#[test]
fn doubts_are_told() {
    let doubts = |block: Value| {
        let doubts = ProxyCachePlugin::default().caveats(&configured(block));
        doubts.into_iter().map(|doubt| doubt.field).collect::<Vec<_>>()
    };
    assert_eq!(doubts(json!({})), [""; 0]);
    assert_eq!(doubts(json!({"cache_key": ["$host"]})), ["cache_key"]);
    assert_eq!(
        doubts(json!({"purge_from": ["0.0.0.0/0"], "cache_set_cookie": true})),
        ["purge_from", "cache_set_cookie"]
    );
}
