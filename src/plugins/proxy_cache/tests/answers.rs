//! What clients are told out of what is kept.
use http::Method;
use serde_json::json;

use super::rig::{Rig, in_pieces, reply, request, status};
use crate::plugins::testing::ask_over;

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
async fn who_asks_for_all_as_a_part_leaves_the_whole_to_everybody() {
    let rig = Rig::new(json!({}), &[reply(200, &[("etag", "\"1\""), ("content-length", "10")], "0123456789")]);
    let all = [("range", "bytes=0-")];
    let first = rig.get("/", &all).await;
    assert_eq!((first.status(), first.body(), status(&first).as_str()), (206, "0123456789", "MISS"));
    assert_eq!(first.header("content-range").as_deref(), Some("bytes 0-9/10"));
    assert_eq!((rig.origin.last("range"), rig.origin.count()), (None, 1));
    let hit = rig.get("/", &all).await;
    assert_eq!(
        (hit.status(), hit.header("content-range"), status(&hit).as_str()),
        (206, first.header("content-range"), "HIT")
    );
    assert_eq!(rig.get("/", &[]).await.body(), "0123456789");
    for (answer, fields, code) in [
        // the client's beginning is of another answer
        (reply(200, &[("etag", "\"1\"")], "0123456789"), [("range", "bytes=0-"), ("if-range", "\"2\"")], 200),
        (reply(200, &[("cache-control", "private")], "0123456789"), [("range", "bytes=0-"), ("accept", "*/*")], 206),
        (reply(404, &[], "0123456789"), [("range", "bytes=0-"), ("accept", "*/*")], 404),
        (reply(200, &[], ""), [("range", "bytes=0-"), ("accept", "*/*")], 200),
    ] {
        let rig = Rig::new(json!({}), &[answer]);
        assert_eq!(rig.get("/", &fields).await.status(), code, "{fields:?}");
    }
    // nobody knows how long it is
    let rig = Rig::new(json!({}), &[]);
    let whole = ask_over(&rig.layer, in_pieces(None), request("GET", "/", &all)).await;
    assert_eq!((whole.status(), whole.body(), whole.header("content-range")), (200, "abcdef", None));
    assert_eq!(ask_over(&rig.layer, in_pieces(None), request("GET", "/", &all)).await.status(), 206);
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
