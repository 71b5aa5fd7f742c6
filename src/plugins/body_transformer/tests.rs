//! Tests of the layer as a whole.
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
        assert!(!request.headers().contains_key("accept-encoding"));
        make().header("etag", "\"1\"").header("content-length", body.len()).body(Body::from(body)).unwrap()
    });
    let request = HttpRequest::get("/p?q=1").header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    ask_over(&layer(block), end, request).await
}

#[tokio::test]
async fn bodies_of_answers_are_made_anew_or_left_as_they_are() {
    let json_answer = || http::Response::builder().status(201).header("content-type", "application/json");
    let block = json!({"response": {"template": "{{ a }} {{ _ctx.var.status }} {{ _ctx.var.arg_q }}"}});
    let answer = told(block.clone(), json_answer, r#"{"a": 7}"#).await;
    assert_eq!((answer.status(), answer.body(), answer.header("etag")), (201, "7 201 1", None));
    assert_eq!(answer.header("content-length"), None);
    for (block, make, body) in [
        (block.clone(), json_answer as fn() -> _, "no json"),
        (json!({"response": {"template": "{{ a.b.c }}"}}), json_answer, "{}"),
        (json!({"response": {"template": ""}, "max_resp_body_size": 3}), json_answer, "{\"a\": 1}"),
        (block, || http::Response::builder().header("content-encoding", "br"), "{}"),
    ] {
        let answer = told(block, make, body).await;
        assert_eq!((answer.body(), answer.header("etag").as_deref()), (body, Some("\"1\"")), "{body}");
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
async fn large_bodies_are_worked_on_as_well() {
    let body = format!("{{\"a\": \"{}\"}}", "x".repeat(300_000));
    let answer = sent(json!({"template": "{{ a }}"}), post("application/json", &body)).await;
    assert_eq!(answer.body().len(), 300_000);
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
    ] {
        let error = build_error(BodyTransformerPlugin, &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}
