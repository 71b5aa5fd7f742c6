//! `request-validation` and `oas-validator` as their examples have them.
use tollgate::Gateway;

use super::peers::origin::Origin;
use super::support::{Rig, refused, route_with, said};

const JSON: (&str, &[u8]) = ("Content-Type", b"application/json");

#[tokio::test]
async fn orders_are_judged_by_field_and_body() {
    let rig = Rig::example("request-validation").await;
    let tenant = ("X-Tenant", &b"acme"[..]);
    for (fields, body, status, says) in [
        (&[JSON][..], "{}", 422, "\"x-tenant\" is a required property"),
        (&[JSON, tenant], "", 422, ""),
        (&[JSON, tenant], r#"{"item": "tea"}"#, 422, "\"amount\" is a required property"),
        (
            &[JSON, tenant],
            r#"{"item": "tea", "amount": 101}"#,
            422,
            "/amount: value is greater than the maximum of 100",
        ),
        (
            &[JSON, tenant],
            r#"{"item": "tea", "amount": 1, "amount": 101}"#,
            422,
            "the body is no JSON to be taken: `amount` stands twice in one object",
        ),
    ] {
        let answer = rig.ask_bytes("POST /orders", fields.iter().copied(), body.as_bytes()).await;
        assert_eq!((answer.status(), answer.text().as_str()), (status, says), "{body}");
    }
    assert_eq!(rig.forwarded_count(), 0);
    let exact = br#"{"item": "tea", "amount": 1.0, "express": true}"#;
    assert_eq!(rig.ask_bytes("POST /orders", [JSON, tenant], exact).await.status(), 200);
    assert_eq!(rig.forwarded().body, exact);
    let filled = br#"{"item":"tea","amount":2,"express":false}"#;
    assert_eq!(rig.ask_bytes("POST /orders", [JSON, tenant], br#"{"item": "tea", "amount": 2}"#).await.status(), 200);
    assert_eq!(rig.forwarded().body, filled);
    assert_eq!(rig.forwarded().field("content-length"), Some(filled.len().to_string().as_str()));
    let long = [b"{\"item\": \"", &b"x".repeat(65_536)[..], b"\"}"].concat();
    assert_eq!(rig.ask_bytes("POST /orders", [JSON, tenant], &long).await.status(), 422);
}

#[tokio::test]
async fn limits_of_the_gateway_hold_for_what_is_parsed() {
    let route = route_with("{request-validation: {body_schema: {}}}");
    let rig = Rig::of(&format!("{route}tollgate: {{limits: {{max_parse_depth: 3}}}}\n")).await;
    assert_eq!(rig.ask_bytes("POST /", [JSON], b"[[[1]]]").await.status(), 200);
    assert_eq!(rig.ask_bytes("POST /", [JSON], b"[[[[1]]]]").await.status(), 400);
    rig.apply(&format!("{route}tollgate: {{limits: {{max_parse_depth: 4}}}}\n"));
    assert_eq!(rig.ask_bytes("POST /", [JSON], b"[[[[1]]]]").await.status(), 200);
}

#[tokio::test]
async fn requests_are_judged_by_a_document() {
    let rig = Rig::example("oas-validator").await;
    let told = |reason: &str| format!("failed to validate request. {reason}");
    for (line, body, reason) in [
        ("GET /v1/cats", "", "the document has no such path"),
        ("GET /v1/pets?limit=101", "", "query parameter `limit`: value is greater than the maximum of 100"),
        ("POST /v1/pets", "{}", "body: \"name\" is a required property"),
    ] {
        let answer = rig.ask_bytes(line, [JSON], body.as_bytes()).await;
        assert_eq!((answer.status(), said(&answer, "message")), (400, told(reason)), "{line}");
    }
    assert_eq!(rig.forwarded_count(), 0);
    assert_eq!(rig.get("/v1/pets?limit=100", &[]).await.status(), 200);
    let exact = br#"{ "name": "a", "age": null }"#;
    assert_eq!(rig.ask_bytes("POST /v1/pets", [JSON], exact).await.status(), 200);
    assert_eq!(rig.forwarded().body, exact);
}

#[tokio::test]
async fn a_document_elsewhere_is_fetched_and_a_path_is_judged_as_it_is_forwarded() {
    let document = r#"{"openapi": "3.0.3", "paths": {"/new": {"get": {}}}}"#;
    let elsewhere = Origin::saying(document).await;
    let url = format!("http://{}/openapi.json", elsewhere.address());
    let rig = Rig::with(
        Gateway::builder(),
        &route_with(&format!(
            "{{oas-validator: {{spec_url: \"{url}\"}}, proxy-rewrite: {{regex_uri: [\"^/old$\", \"/new\"]}}}}"
        )),
    )
    .await;
    assert_eq!(rig.get("/old", &[]).await.status(), 200);
    assert_eq!(rig.get("/new", &[]).await.status(), 200);
    let answer = rig.get("/other", &[]).await;
    assert_eq!((answer.status(), said(&answer, "message")), (400, "failed to validate request.".to_owned()));
    assert_eq!(elsewhere.requests().len(), 1);

    let away = rig.origin.address();
    let rig = Rig::of(&route_with(&format!("{{oas-validator: {{spec_url: \"http://{away}/none\"}}}}"))).await;
    let answer = rig.get("/", &[]).await;
    assert_eq!((answer.status(), said(&answer, "message")), (500, "failed to parse openapi spec".to_owned()));
}

#[test]
fn faults_are_named_by_their_place() {
    let text = refused(&route_with("{request-validation: {body_schema: {type: strange}}}"));
    assert!(text.contains("plugins.request-validation.body_schema: ") && text.contains("is no JSON Schema"), "{text}");
    let text = refused(&route_with("{oas-validator: {spec: \"{}\"}}"));
    assert!(text.contains("plugins.oas-validator.spec: ") && text.contains("neither 3.0 nor 3.1"), "{text}");
}
