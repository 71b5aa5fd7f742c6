//! What is kept, and what is not.
use std::sync::Mutex;

use http::HeaderMap;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::json;

use super::rig::{Rig, in_pieces, reply, request, status};
use crate::plugins::testing::ask_over;
use crate::{Body, BodyError, Next, Response};

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
async fn who_asks_no_more_at_the_length_that_was_told_has_had_it_all() {
    for (read, wanted) in [(1, "MISS"), (2, "HIT")] {
        let rig = Rig::new(json!({}), &[]);
        let mut body = rig.layer.wrap(in_pieces(Some(6))).run(request("GET", "/", &[])).await.into_body();
        for _ in 0..read {
            body.frame().await.unwrap().unwrap();
        }
        assert!(!http_body::Body::is_end_stream(&body));
        drop(body);
        let second = ask_over(&rig.layer, in_pieces(Some(6)), request("GET", "/", &[])).await;
        assert_eq!((status(&second).as_str(), second.body()), (wanted, "abcdef"), "{read} pieces");
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_that_fields_stand_behind_it_is_not_kept() {
    for field in
        [("trailer", "x-sum"), ("content-type", "application/grpc"), ("content-type", "Application/gRPC+proto")]
    {
        let rig = Rig::new(json!({}), &[reply(200, &[field], "x")]);
        for _ in 0..2 {
            assert_eq!(rig.status("/", &[]).await, "MISS", "{field:?}");
        }
    }
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
