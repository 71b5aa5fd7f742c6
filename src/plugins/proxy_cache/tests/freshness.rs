//! How long an answer is used, and what comes then.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use serde_json::json;
use tokio::sync::Notify;

use super::rig::{Rig, pass, reply, request, status};
use crate::plugins::testing::ask_over;
use crate::{Body, Next, Response};

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
async fn what_is_over_is_checked_and_brought_up_to_date() {
    let rig = Rig::new(
        json!({"cache_ttl": 10}),
        &[
            reply(200, &[("etag", "\"1\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("x-a", "1")], "one"),
            reply(304, &[("etag", "\"1\""), ("x-a", "2"), ("content-type", "text/html")], ""),
            reply(200, &[("etag", "\"2\"")], "two"),
        ],
    );
    rig.get("/", &[]).await;
    pass(10).await;
    let checked = rig.get("/", &[("if-none-match", "\"0\"")]).await;
    assert_eq!((status(&checked).as_str(), checked.body()), ("REVALIDATED", "one"));
    assert_eq!((checked.header("x-a").as_deref(), checked.header("content-type")), (Some("2"), None));
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
async fn an_origin_that_speaks_of_something_else_is_asked_for_it() {
    let old = [("etag", "\"1\""), ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")];
    for (told, method) in [
        ([("etag", "\"2\""), ("x-a", "2")], "GET"),
        ([("etag", "\"2\""), ("x-a", "2")], "HEAD"),
        ([("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT"), ("x-a", "2")], "GET"),
    ] {
        let rig = Rig::new(
            json!({"cache_ttl": 10}),
            &[reply(200, &old, "one"), reply(304, &told, ""), reply(200, &[("etag", "\"2\"")], "two")],
        );
        rig.get("/", &[]).await;
        pass(10).await;
        let new = rig.send(request(method, "/", &[("accept", "a"), ("if-none-match", "\"0\"")])).await;
        assert_eq!((status(&new).as_str(), new.header("etag").as_deref()), ("EXPIRED", Some("\"2\"")));
        let asked = rig.origin.asked.lock().unwrap()[2].clone();
        assert_eq!((asked.0.as_str(), asked.1["accept"].as_bytes()), (method, &b"a"[..]));
        if method == "GET" {
            assert_eq!((new.body(), rig.origin.last("if-none-match")), ("two", None));
            let hit = rig.get("/", &[]).await;
            assert_eq!((status(&hit).as_str(), hit.body()), ("HIT", "two"));
        } else {
            assert_eq!(rig.zone.stats().entries, 0, "what is kept is not the origin's any more");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fetching_anew_ends_with_the_layer() {
    let ended = Arc::new(Notify::new());
    let gone = Arc::clone(&ended);
    let calls = Arc::new(AtomicU32::new(0));
    let end = Next::from_fn(move |_| {
        let (ended, first) = (Arc::clone(&ended), calls.fetch_add(1, Relaxed) == 0);
        async move {
            if !first {
                let _told = Tells(ended);
                std::future::pending::<()>().await;
            }
            Response::new(Body::from("one"))
        }
    });
    let rig = Rig::new(json!({"cache_ttl": 10, "stale_while_revalidate": 20}), &[]);
    ask_over(&rig.layer, end.clone(), request("GET", "/", &[])).await;
    pass(15).await;
    assert_eq!(status(&ask_over(&rig.layer, end, request("GET", "/", &[])).await), "UPDATING");
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(futures_util::FutureExt::now_or_never(gone.notified()).is_none(), "it goes on while the layer is there");
    drop(rig.layer);
    gone.notified().await;
}

/// Tells that it is gone.
struct Tells(Arc<Notify>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.notify_one();
    }
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
    // what is not for him is not fetched either
    let authorized = [("authorization", "a"), ("cache-control", "only-if-cached")];
    let asked = rig.origin.count();
    assert_eq!((rig.get("/", &authorized).await.status(), rig.origin.count()), (504, asked));
    // without the switch nobody asks
    let rig = Rig::new(json!({}), &[reply(200, &[], "x")]);
    rig.get("/", &[]).await;
    assert_eq!(rig.status("/", &[("cache-control", "no-cache")]).await, "HIT");
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

#[tokio::test(start_paused = true)]
async fn what_is_fresh_stays_whatever_one_who_wants_it_fresher_is_told() {
    let kept = || reply(200, &[("etag", "\"1\""), ("cache-control", "max-age=60")], "one");
    for said in [
        reply(403, &[], "not you"),
        reply(401, &[], "who are you"),
        reply(200, &[("set-cookie", "session=")], "of one"),
        reply(200, &[("cache-control", "private")], "of one"),
        reply(304, &[("etag", "\"1\""), ("cache-control", "no-store")], ""),
        reply(404, &[("cache-control", "no-store")], "hidden"),
    ] {
        let rig = Rig::new(json!({"cache_control": true}), &[kept(), said.clone(), kept()]);
        rig.get("/", &[]).await;
        pass(1).await;
        for control in ["max-age=0", "min-fresh=100"] {
            rig.get("/", &[("cache-control", control), ("user-agent", "evil")]).await;
            let told = format!("{} {control}", said.0);
            assert_eq!((rig.status("/", &[]).await.as_str(), rig.zone.stats().entries), ("HIT", 1), "{told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_let_in_withdraws_nothing() {
    for status in [401, 403] {
        let kept = reply(200, &[("cache-control", "stale-if-error=900")], "one");
        let block = json!({"cache_ttl": 10, "cache_http_status": [200]});
        let rig = Rig::new(block, &[kept, reply(status, &[], "not you"), reply(503, &[], "away")]);
        rig.get("/", &[]).await;
        pass(10).await;
        assert_eq!(rig.get("/", &[]).await.status(), status);
        assert_eq!(rig.get("/", &[]).await.body(), "one", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_not_be_kept_is_not_fetched_in_the_background() {
    let block = json!({"cache_ttl": 10, "stale_while_revalidate": 20, "no_cache": ["$http_x_once"]});
    let rig = Rig::new(block, &[reply(200, &[], "one")]);
    rig.get("/", &[]).await;
    pass(15).await;
    assert_eq!(rig.status("/", &[("x-once", "1")]).await, "STALE");
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.origin.count(), 1);
    assert_eq!(rig.status("/", &[]).await, "UPDATING");
}
