use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::plugin::Bench;
use crate::{Body, Next, PluginLayer, Request, Response};

fn built(block: Value) -> Result<RequestValidation, crate::plugin::ConfigError> {
    RequestValidation::new(serde_json::from_value(block).unwrap())
}

/// Sends a request through a block; what reaches the end is the answer's body, with its `content-length` before it.
async fn through(block: Value, request: http::request::Builder, body: impl Into<Body>) -> (u16, String) {
    let end = Next::from_fn(|request: Request| async move {
        let length = request.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
        let body = request.into_body().buffer(1 << 20).await.unwrap();
        Response::new(format!("{}|{}", length.unwrap_or_default(), String::from_utf8_lossy(&body)).into())
    });
    let chain = PluginLayer::from(RequestValidationLayer::of(built(block).unwrap())).wrap(end);
    let response = chain.run(request.body(body.into()).unwrap()).await;
    let status = response.status().as_u16();
    let body = response.into_body().buffer(1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn post() -> http::request::Builder {
    http::Request::post("/").header("content-length", "1")
}

#[test]
fn a_faulty_block_names_its_field() {
    for (block, field) in [
        (json!({}), ""),
        (json!({"header_schema": {"type": "strange"}}), "header_schema"),
        (json!({"body_schema": {"$ref": "http://elsewhere.test/"}}), "body_schema"),
        (json!({"body_schema": {}, "max_req_body_size": 0}), "max_req_body_size"),
        (json!({"body_schema": {}, "rejected_code": 199}), "rejected_code"),
        (json!({"body_schema": {}, "rejected_code": 600}), "rejected_code"),
        (json!({"body_schema": {}, "rejected_msg": ""}), "rejected_msg"),
        (json!({"body_schema": {}, "rejected_msg": "x".repeat(257)}), "rejected_msg"),
    ] {
        let error = built(block.clone()).unwrap_err();
        assert_eq!(error.field(), field, "{block}: {error}");
    }
    for block in [json!({"body_schema": true}), json!({"body": {}})] {
        assert!(serde_json::from_value::<RequestValidationConfig>(block.clone()).is_err(), "{block}");
    }
}

#[tokio::test]
async fn fields_are_judged_by_their_names_in_lower_case() {
    let block = json!({"header_schema": {"required": ["x-a"], "properties": {
        "x-a": {"type": "string", "pattern": "^[a-z]+$"}, "x-many": {"type": "array", "items": {"maxLength": 1}},
    }}});
    let get = || http::Request::get("/");
    for (request, expected) in [
        (get().header("X-A", "b"), (200, "|")),
        (get(), (400, "\"x-a\" is a required property")),
        (get().header("X-A", "1"), (400, "/x-a: value does not match \"^[a-z]+$\"")),
        (get().header("x-a", "b").header("x-a", "c"), (400, "/x-a: value is not of type \"string\"")),
        (get().header("x-a", "b").header("x-many", "1").header("x-many", "2"), (200, "|")),
    ] {
        assert_eq!(through(block.clone(), request, ()).await, (expected.0, expected.1.to_owned()));
    }
}

#[tokio::test]
async fn a_json_body_passes_as_it_was_sent_or_is_refused_with_the_reason() {
    let block = json!({"body_schema": {"type": "object", "properties": {"n": {"type": "integer"}}}});
    let exact = "{ \"n\": 123456789012345678901234567890, \"m\": 1.0, \"l\": [] }";
    assert_eq!(through(block.clone(), post(), exact).await, (200, format!("1|{exact}")));
    for (body, reason) in [
        ("", ""),
        ("{\"n\": \"1\"}", "/n: value is not of type \"integer\""),
        ("[]", "value is not of type \"object\""),
        ("{", "the body is no JSON to be taken: EOF while parsing an object at line 1 column 1"),
        ("{\"n\": 1, \"n\": \"x\"}", "the body is no JSON to be taken: `n` stands twice in one object"),
    ] {
        assert_eq!(through(block.clone(), post(), body).await, (400, reason.to_owned()), "{body}");
    }
    let deep = format!("{}{}", "[".repeat(70), "]".repeat(70));
    assert!(through(block, post(), deep).await.1.contains("more than 64 deep"));
}

#[tokio::test]
async fn the_answer_is_the_operators() {
    let block =
        json!({"body_schema": {"type": "object"}, "rejected_code": 422, "rejected_msg": "no", "max_req_body_size": 4});
    for body in ["", "[]", "{\"a\":1}"] {
        assert_eq!(through(block.clone(), post(), body).await, (422, "no".to_owned()), "{body}");
    }
    assert_eq!(through(block, post(), "{}").await.0, 200);
    let silent = json!({"body_schema": {"type": "object"}, "max_req_body_size": 4});
    assert_eq!(through(silent, post(), "{\"a\":1}").await, (400, String::new()));
}

#[tokio::test]
async fn missing_members_are_filled_in_and_the_body_is_written_anew() {
    let block = json!({"body_schema": {"required": ["plan"], "properties": {"plan": {"default": "free"}}}});
    let exact = "{ \"n\": 123456789012345678901234567890, \"a\": [1.0,  2] }";
    let filled = "|{\"n\":123456789012345678901234567890,\"a\":[1.0,  2],\"plan\":\"free\"}";
    assert_eq!(through(block.clone(), post(), exact).await, (200, filled.to_owned()));
    assert_eq!(through(block.clone(), post(), "{ \"plan\": 1 }").await, (200, "1|{ \"plan\": 1 }".to_owned()));

    let end = Next::from_fn(|request: Request| async move {
        assert!(!request.headers().contains_key("content-digest") && request.headers().contains_key("x-own"));
        Response::default()
    });
    let chain = PluginLayer::from(RequestValidationLayer::of(built(block).unwrap())).wrap(end);
    let request = post().header("content-digest", "sha-256=:x:").header("x-own", "1").body("{}".into()).unwrap();
    assert_eq!(chain.run(request).await.status(), 200);
}

#[tokio::test]
async fn a_form_is_an_object_of_texts() {
    let block = json!({"body_schema": {"required": ["a"], "properties": {
        "a": {"type": "string"}, "b": {"type": "array", "maxItems": 2},
    }}});
    let form = || post().header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    assert_eq!(through(block.clone(), form(), "a=1&b=x&b=y").await, (200, "1|a=1&b=x&b=y".to_owned()));
    for body in ["b=x&b=y", "a=1&a=2", "a=1&b=1&b=2&b=3"] {
        assert_eq!(through(block.clone(), form(), body).await.0, 400, "{body}");
    }
    assert_eq!(through(block.clone(), form(), "a=1&%ff=2").await, (400, "the form is not in UTF-8".to_owned()));
    let strange = || post().header("content-type", "application/x-www-form-urlencoded; charset=utf-16");
    let says = "`charset` of `Content-Type` is another than utf-8";
    assert_eq!(through(block.clone(), strange(), "a=1").await, (400, says.to_owned()));
    let twice = form().header("content-type", "application/json");
    assert_eq!(through(block, twice, "a=1").await, (400, "`Content-Type` stands there several times".to_owned()));
}

#[tokio::test]
async fn what_is_judged_as_a_text_stands_once() {
    let texts = json!({"properties": {"x-a": {"pattern": "^[a-z]+$"}}});
    let evil = || post().header("x-a", "../../x").header("X-A", "../../x");
    let says = "x-a: stands there several times";
    assert_eq!(through(json!({"header_schema": texts}), evil(), "").await, (400, says.to_owned()));
    let form = post().header("content-type", "application/x-www-form-urlencoded");
    let answer = through(json!({"body_schema": texts}), form, "x-a=1&x-a=2").await;
    assert_eq!(answer, (400, says.to_owned()));
}

#[tokio::test]
async fn json_does_not_pass_as_a_form() {
    let block = json!({"body_schema": {"properties": {"amount": {"maximum": 100}}}});
    for body in ["{\"amount\":100000}", " [1]"] {
        let form = post().header("content-type", "application/x-www-form-urlencoded");
        let says = "the body is no form but JSON";
        assert_eq!(through(block.clone(), form, body).await, (400, says.to_owned()));
    }
}

#[tokio::test]
async fn large_bodies_are_judged_and_faults_are_told_in_short() {
    let block = json!({"body_schema": {"properties": {"n": {"type": "integer"}}}});
    let long = "x".repeat(100_000);
    let body = |n: &str| format!("{{\"long\": \"{long}\", \"n\": {n}}}");
    assert_eq!(through(block.clone(), post(), body("1")).await, (200, format!("1|{}", body("1"))));
    assert_eq!(through(block.clone(), post(), body("true")).await.0, 400);
    let twice = through(block, post(), format!("{{\"{long}\": 1, \"{long}\": 1}}")).await;
    assert!(twice.0 == 400 && twice.1.chars().count() < 400, "{} characters", twice.1.len());
}

#[cfg(feature = "decode")]
#[tokio::test]
async fn sec_lim_14_a_packed_body_is_judged_by_what_it_hides() {
    use std::io::Write as _;
    let gzip = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(text.as_bytes()).unwrap();
        Bytes::from(packer.finish().unwrap())
    };
    let packed = || http::Request::post("/").header("content-encoding", "gzip");
    let block = json!({"body_schema": {"properties": {"n": {"type": "integer"}, "d": {"default": 1}}}});
    assert_eq!(through(block.clone(), packed(), gzip("{\"n\": \"x\"}")).await.0, 400);
    assert_eq!(through(block.clone(), packed(), gzip("{\"n\":1}")).await, (200, "|{\"n\":1,\"d\":1}".to_owned()));
    assert_eq!(through(block.clone(), packed(), gzip(&" ".repeat(1 << 20))).await.0, 413);
    let unknown = http::Request::post("/").header("content-encoding", "zstd");
    assert_eq!(through(block, unknown, "{}").await.0, 415);
}

#[tokio::test]
async fn large_bodies_wait_for_a_place_and_small_ones_need_none() {
    let (bench, place) = Bench::taken();
    let validation = built(json!({"body_schema": {"type": "array"}})).unwrap().at(&bench);
    let chain =
        PluginLayer::from(RequestValidationLayer::of(validation)).wrap(Next::from_fn(async |_| Response::default()));
    let answer = async |spaces: usize| {
        let body = Body::from(format!("[{}]", " ".repeat(spaces)));
        chain.run(post().body(body).unwrap()).await.status().as_u16()
    };
    assert_eq!(answer(1000).await, 200);
    let mut large = std::pin::pin!(answer(64 * 1024));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(&mut large).is_pending());
    }
    drop(place);
    assert_eq!(large.await, 200);
}
