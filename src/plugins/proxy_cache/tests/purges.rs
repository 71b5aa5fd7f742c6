//! What takes answers out.
use std::sync::Arc;

use http::Method;
use serde_json::json;
use tokio::sync::Notify;

use super::rig::{Rig, from, pass, reply, request, status};
use crate::model::ConsumerSpec;
use crate::plugins::testing::ask_over;
use crate::{Body, Consumer, Next, Request};

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
async fn purging_takes_all_variants_out_and_asks_who_it_is() {
    let rig = Rig::new(json!({}), &[reply(200, &[("vary", "accept")], "x")]);
    for accept in ["a", "b"] {
        rig.get("/", &[("accept", accept)]).await;
    }
    let purge = |address: &str| from(request("PURGE", "/", &[]), address);
    assert_eq!(rig.send(purge("203.0.113.9:1")).await.status(), 403);
    assert_eq!(rig.send(request("PURGE", "/", &[])).await.status(), 403, "nobody knows from where");
    for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let mut purge = purge("127.0.0.1:1");
        purge.headers_mut().insert(name, "203.0.113.9".parse().unwrap());
        assert_eq!(rig.send(purge).await.status(), 403, "{name}: a proxy on this machine brings anybody");
    }
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
async fn what_goes_goes_for_all_callers() {
    let by = |name: &str, method| {
        let mut request = request(method, "/", &[]);
        Consumer::new(&ConsumerSpec { username: name.into(), ..ConsumerSpec::default() }).attach(&mut request);
        request
    };
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    let change = || by("admin", "PUT");
    let purge = || from(request("PURGE", "/", &[]), "127.0.0.1:1");
    for (what, taken_out) in [("change", change()), ("purge", purge())] {
        for wanted in ["MISS", "HIT"] {
            for name in ["ann", "bob"] {
                assert_eq!(status(&rig.send(by(name, "GET")).await), wanted, "{name}, {what}");
            }
            assert_eq!(rig.status("/", &[]).await, wanted, "{what}");
        }
        assert_eq!(rig.send(taken_out).await.status(), 200);
        assert_eq!(rig.zone.stats().entries, 0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_posts_go_with_their_url() {
    let rig = Rig::new(json!({"cache_method": ["GET", "POST"]}), &[reply(200, &[], "x")]);
    let post =
        |fields: &[(&'static str, &str)], body: &'static str| request("POST", "/", fields).map(|_| Body::from(body));
    let conditional = || post(&[("if-match", "\"1\"")], "a");
    for (taken_out_by, told) in [(from(request("PURGE", "/", &[]), "127.0.0.1:1"), ""), (conditional(), "BYPASS")] {
        for wanted in ["MISS", "HIT"] {
            for body in ["a", "b"] {
                assert_eq!(status(&rig.send(post(&[], body)).await), wanted, "{told} {body}");
            }
            assert_eq!(rig.status("/", &[]).await, wanted);
        }
        assert_eq!(status(&rig.send(taken_out_by).await), told);
        assert_eq!(rig.zone.stats().entries, 0, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_goes_whatever_else_the_key_holds() {
    let rig = Rig::new(json!({"cache_key": ["$uri", "$cookie_lang"]}), &[reply(200, &[], "x")]);
    for lang in ["lang=de", "lang=en"] {
        rig.get("/?a", &[("cookie", lang)]).await;
    }
    rig.get("/other", &[]).await;
    assert_eq!(rig.send(from(request("PURGE", "/?b", &[]), "127.0.0.1:1")).await.status(), 200);
    assert_eq!(rig.zone.stats().entries, 1);
    assert_eq!(rig.status("/other", &[]).await, "HIT");
}
