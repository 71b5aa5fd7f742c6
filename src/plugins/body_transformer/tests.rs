//! Tests of the layer as a whole.
use futures_util::FutureExt as _;
use http::Request as HttpRequest;
use serde_json::{Value, json};

use super::*;
use crate::plugin::AroundLayer;
use crate::plugins::testing::{Answer, ask_over, build_error, configured};
use crate::{Body, Next, PluginLayer, Request, Response};

fn layer(block: Value) -> PluginLayer {
    AroundLayer::of(BodyTransformer::new(configured(block)).unwrap()).into()
}

/// An end that answers with the body that it got.
fn echo() -> Next {
    Next::from_fn(|request: Request| async move {
        assert!(!request.headers().contains_key("content-length"), "the length was that of another body");
        Response::new(Body::from(request.into_body().buffer(1 << 22).await.unwrap()))
    })
}

fn post(content_type: &str, body: &str) -> Request {
    let request = HttpRequest::post("/p?q=1").header("content-type", content_type).header("content-length", body.len());
    request.body(body.to_owned().into()).unwrap()
}

async fn sent(half: Value, request: Request) -> Answer {
    ask_over(&layer(json!({"request": half})), echo(), request).await
}

#[tokio::test]
async fn bodies_of_requests_are_made_anew() {
    for (content_type, body, template, wanted) in [
        ("application/json", r#"{"a": {"b": [1, "<"]}}"#, "<x>{{ a.b[0] }}{{ a.b[1] }}</x>", "<x>1&lt;</x>"),
        ("text/xml", "<r><n>Ada</n></r>", r#"{"name": {* _escape_json(r.n) *}}"#, r#"{"name": "Ada"}"#),
        ("application/x-www-form-urlencoded", "a=1&b=2", "{{ b }}{{ a }}", "21"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\nv\r\n--x--",
            "{{ a }} {{ _multipart.a.filename }}",
            "v f",
        ),
        (
            "text/plain",
            "x",
            "[{* _body *}] {* _ctx.var.uri *} {{ _ctx.var.arg_q }} {{ _ctx.var.arg_none }}",
            "[x] /p 1 ",
        ),
        ("application/json", "[1, 2]", "{{ _data[1] }}", "2"),
        (
            "application/json",
            r#"{"range": 1, "debug": 2}"#,
            "{% for i in range(2) %}{{ i }}{% endfor %} {{ debug }}",
            "01 2",
        ),
        (
            "application/json",
            r#"{"_ctx": 1, "_body": 2, "_escape_json": 3}"#,
            "{{ _escape_json(_ctx.var.uri) }}",
            "\"/p\"",
        ),
    ] {
        let answer = sent(json!({"template": template}), post(content_type, body)).await;
        assert_eq!((answer.status(), answer.body()), (200, wanted), "{template}");
    }
    let told = sent(json!({"template": "{{ q }}", "input_format": "args"}), post("application/json", "{")).await;
    assert_eq!(told.body(), "1");
    let get = HttpRequest::get("/?a=1&a=2").body(Body::empty()).unwrap();
    let half = json!({"template": "e3thWzBdfX0re3thWzFdfX0=", "template_is_base64": true, "input_format": "json"});
    assert_eq!(sent(half, get).await.body(), "1+2");
}

#[tokio::test]
async fn a_request_without_a_body_has_nothing_to_decode() {
    let half = json!({"template": "[{{ a }}{* _body *}] {* _ctx.var.uri *}", "input_format": "json"});
    for method in ["DELETE", "HEAD", "POST"] {
        let request = HttpRequest::builder().method(method).uri("/p").body(Body::empty()).unwrap();
        let answer = sent(half.clone(), request).await;
        assert_eq!((answer.status(), answer.body()), (200, "[] /p"), "{method}");
    }
    let get = HttpRequest::get("/p?a=1").body(Body::from("body")).unwrap();
    assert_eq!(sent(half, get).await.body(), "[1body] /p", "the query is decoded, and the body is the body");
}

#[cfg(feature = "decode")]
#[tokio::test]
async fn packed_requests_are_unpacked() {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(br#"{"a": "b"}"#).unwrap();
    let packed = packer.finish().unwrap();
    for (format, coding, wanted) in [
        ("json", "gzip", (200, "b{\"a\": \"b\"}")),
        ("plain", "gzip", (200, "{\"a\": \"b\"}")),
        ("plain", "zip", (415, "")),
    ] {
        let request = HttpRequest::post("/").header("content-encoding", coding).header("digest", "of the old one");
        let half = json!({"template": "{{ a }}{* _body *}", "input_format": format});
        let end = Next::from_fn(|request: Request| async move {
            assert!(!request.headers().contains_key("digest") && !request.headers().contains_key("content-encoding"));
            Response::new(request.into_body())
        });
        let layer = layer(json!({"request": half, "max_req_body_size": 100}));
        let answer = ask_over(&layer, end, request.body(Body::from(packed.clone())).unwrap()).await;
        assert_eq!((answer.status(), answer.body()), wanted, "{format} {coding}");
    }
}

#[tokio::test]
async fn what_goes_wrong_with_a_request_is_answered() {
    let message = |answer: &Answer| serde_json::from_str::<Value>(answer.body()).unwrap()["message"].to_string();
    let answer = sent(json!({"template": ""}), post("application/json", "{\"a\": 1, \"a\": 2}")).await;
    assert_eq!(answer.status(), 400);
    assert!(message(&answer).starts_with("\"request body decode: `a` stands twice"), "{}", answer.body());
    for template in [
        "{{ a.b.c }}",
        "{{ 1 + 'x' }}",
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
    ] {
        let answer = sent(json!({"template": template}), post("application/json", "{}")).await;
        assert_eq!(answer.status(), 503, "{template}");
        assert!(message(&answer).starts_with("\"request template rendering: line 1: "), "{}", answer.body());
    }
    let small = layer(json!({"request": {"template": "{* _body *}"}, "max_req_body_size": 3}));
    assert_eq!(ask_over(&small, echo(), post("text/plain", "abc")).await.body(), "abc");
    assert_eq!(ask_over(&small, echo(), post("text/plain", "abcd")).await.status(), 413);
}

/// What becomes of an answer.
async fn told(block: Value, make: fn() -> http::response::Builder, body: &'static str) -> Answer {
    let end = Next::from_fn(move |request: Request| async move {
        for name in ["accept-encoding", "range", "if-range"] {
            assert!(!request.headers().contains_key(name), "{name}");
        }
        make().header("etag", "\"1\"").header("content-length", body.len()).body(Body::from(body)).unwrap()
    });
    let request = HttpRequest::get("/p?q=1").header("accept-encoding", "gzip").header("range", "bytes=0-");
    ask_over(&layer(block), end, request.header("if-range", "\"1\"").body(Body::empty()).unwrap()).await
}

fn json_answer() -> http::response::Builder {
    http::Response::builder().status(201).header("content-type", "application/json").header("x-a", "field")
}

#[tokio::test]
async fn bodies_of_answers_are_made_anew() {
    let template = "{{ a }} {{ _ctx.var.status }} {{ _ctx.var.arg_q }} {{ _ctx.var.sent_http_x_a }}";
    let block = json!({"response": {"template": template}});
    let make = || json_answer().header("accept-ranges", "bytes").header("content-digest", "sha-256=:x:");
    let answer = told(block, make, r#"{"a": 7}"#).await;
    assert_eq!((answer.status(), answer.body()), (201, "7 201 1 field"));
    for name in ["etag", "content-length", "accept-ranges", "content-digest"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_worked_on_passes_or_is_refused() {
    let json = json!({"template": "{{ a }}"});
    let encoded = || http::Response::builder().header("content-encoding", "br");
    let part = || json_answer().status(206).header("content-range", "bytes 0-7/8");
    for (half, make, body, most) in [
        (json.clone(), json_answer as fn() -> _, "no json", 99),
        (json!({"template": "{{ a.b.c }}"}), json_answer, "{}", 99),
        (json!({"template": ""}), json_answer, "{\"a\": 1}", 3),
        (json.clone(), encoded, "{}", 99),
        (json, part, r#"{"a": 7}"#, 99),
    ] {
        let mut block = json!({"response": half, "max_resp_body_size": most});
        let answer = told(block.clone(), make, body).await;
        assert_eq!((answer.body(), answer.header("etag").as_deref()), (body, Some("\"1\"")), "{block}");
        block["on_error"] = "refuse".into();
        let answer = told(block, make, body).await;
        assert_eq!((answer.status(), answer.body()), (502, "{\"message\":\"the answer cannot be transformed\"}\n"));
    }
}

#[tokio::test]
async fn a_head_tells_no_length_of_a_body_that_is_never_sent() {
    let layer = layer(json!({"response": {"template": "x"}}));
    for (coding, length) in [("identity", None), ("gzip", Some("5"))] {
        let end = Next::from_fn(move |_| async move {
            let response = http::Response::builder().header("content-length", 5).header("content-encoding", coding);
            response.body(Body::empty()).unwrap()
        });
        let answer = ask_over(&layer, end, HttpRequest::head("/").body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("content-length").as_deref(), length, "{coding}");
    }
}

#[tokio::test]
async fn the_answer_to_head_tells_nothing_of_the_old_body() {
    for (method, status, told) in [("HEAD", 200, None), ("HEAD", 304, Some("\"1\"")), ("GET", 200, Some("\"1\""))] {
        let end = Next::from_fn(move |_| async move {
            http::Response::builder().status(status).header("etag", "\"1\"").body(Body::empty()).unwrap()
        });
        let request = HttpRequest::builder().method(method).body(Body::empty()).unwrap();
        let answer = ask_over(&layer(json!({"response": {"template": "x"}})), end, request).await;
        assert_eq!(answer.header("etag").as_deref(), told, "{method} {status}");
    }
}

/// An end that answers piece by piece.
fn streaming(text: &'static str) -> Next {
    Next::from_fn(move |_| async move {
        let frame = Ok::<_, crate::BodyError>(http_body::Frame::data(text.as_bytes().into()));
        Response::new(Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter([frame]))))
    })
}

#[tokio::test]
async fn sec_lim_04_an_answer_that_there_is_no_room_for_does_not_pass() {
    let room = std::sync::Arc::new(crate::plugin::bodies::Room::new(10));
    let bodies = crate::plugin::bodies::Bodies::new(room, &crate::model::Limits::default());
    let config = || configured(json!({"response": {"template": "{* _body *}{* _body *}", "input_format": "plain"}}));
    let layer: PluginLayer = AroundLayer::of(BodyTransformer::within(config(), bodies).unwrap()).into();
    for (text, status, told) in [("secret", 503, ""), ("a secret that is longer", 503, ""), ("abc", 200, "abcabc")] {
        let answer = ask_over(&layer, streaming(text), Request::default()).await;
        assert_eq!((answer.status(), answer.body()), (status, told), "{text}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
}

#[test]
fn what_takes_long_is_done_apart_and_holds_up_nobody() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        // The only thread for long work is busy.
        let (release, busy) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || busy.recv());
        let small = r#"{"a": 1}"#;
        let asked =
            |template: &str, body: &str| Box::pin(sent(json!({"template": template}), post("application/json", body)));
        let at_once = asked("{{ a }}", small).now_or_never();
        assert_eq!(at_once.expect("a small body and few steps").body(), "1");
        let many = "{% for a in range(200) %}{% for b in range(200) %}{% endfor %}{% endfor %}{{ a }}";
        let (mut steps, mut large) =
            (asked(many, small), asked("{{ a }}", &format!("{{\"a\": \"{}\"}}", "x".repeat(300_000))));
        assert!(futures_util::poll!(steps.as_mut()).is_pending(), "a small body and many steps");
        assert!(futures_util::poll!(large.as_mut()).is_pending(), "a large body");
        drop(release);
        assert_eq!((steps.await.body(), large.await.body().len()), ("1", 300_000));
        assert!(holding.await.unwrap().is_err());
    });
}

#[test]
fn faults_name_their_field() {
    for (block, says) in [
        (json!({}), "at least one of `request` and `response`"),
        (json!({"request": {}}), "missing field `template`"),
        (json!({"request": {"template": "\n{% if %}"}}), "request.template: line 2: "),
        (json!({"response": {"template": "?", "template_is_base64": true}}), "response.template: invalid base64"),
        (json!({"response": {"template": "", "input_format": "yaml"}}), "response.input_format"),
        (json!({"request": {"template": ""}, "max_req_body_size": 0}), "max_req_body_size"),
        (json!({"request": {"template": "{{ _ctx.var }}"}}), "request.template: `_ctx.var` does not say which"),
        (json!({"request": {"template": ""}, "on_error": "drop"}), "on_error"),
    ] {
        let error = build_error(BodyTransformerPlugin, &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}
