//! `request-validation` and `oas-validator`.
use serde_json::json;

use super::rig::{Rig, closed_port};

const JSON: [&str; 2] = ["-H", "Content-Type: application/json"];

async fn rig() -> Rig {
    let rig = Rig::with(include_str!("validation.yaml"), &[("127.0.0.1:7009", &closed_port())], &[]).await;
    let spec = json!({
        "openapi": "3.0.0", "info": {"title": "Pets", "version": "1"},
        "paths": {"/echo/elsewhere/{id}": {"get": {"parameters": [
            {"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}}]}}}
    });
    rig.serve("spec.json", spec.to_string());
    rig
}

#[tokio::test]
async fn orders_are_judged_by_their_fields_and_bodies() {
    let rig = rig().await;
    let post = async |tenant: &str, kind: &str, body: &str| {
        let (tenant, kind) = (format!("X-Tenant: {tenant}"), format!("Content-Type: {kind}"));
        rig.says("/orders/1", &["-H", &tenant, "-H", &kind, "-d", body]).await
    };
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let passed = async |tenant: &str, kind: &str, body: &str| {
        let (status, text) = post(tenant, kind, body).await;
        let sent = text.lines().find_map(|line| line.strip_prefix("body: ")).map(str::to_owned);
        (status, sent.unwrap_or(text))
    };
    let whole = r#"{"item": "pen", "amount": 2}"#;
    assert_eq!(passed("blue", json, whole).await, (200, whole.to_owned()));
    let filled = passed("blue", json, r#"{"item": "pen"}"#).await.1;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&filled).unwrap(), json!({"item": "pen", "amount": 1}));
    for (tenant, kind, body, says) in [
        ("BLUE", json, whole, "/x-tenant: value does not match \"^[a-z]+$\""),
        ("blue", json, "{}", "\"item\" is a required property"),
        ("blue", json, r#"{"item": 7}"#, "/item: value is not of type \"string\""),
        ("blue", json, "{", "the body is no JSON to be taken"),
        ("blue", json, r#"{"item": "a", "item": "b"}"#, "stands twice"),
        ("blue", form, "item=pen&amount=2", "/amount: value is not of type \"integer\""),
    ] {
        let (status, text) = post(tenant, kind, body).await;
        assert!(status == 400 && text.contains(says), "{body}: {status} {text}");
    }
    let reply = rig.curl("/orders/1", &["-d", "item=pen"]).await;
    assert_eq!((reply.status, reply.text()), (400, "\"x-tenant\" is a required property"));
    assert!(reply.field("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(rig.says("/orders/1", &["-H", "X-Tenant: a", "-X", "POST"]).await, (400, String::new()));
    // Here the block says what clients are told.
    assert_eq!(rig.curl("/told/1", &["-d", "item=pen"]).await.echoed("body"), "item=pen");
    let long = format!("item=pen&note={}", "x".repeat(100));
    let twice = ["-H", "Content-Type: application/json", "-H", "Content-Type: text/plain", "-d", r#"{"item": "pen"}"#];
    for arguments in [&["-d", "item=pencil"][..], &["-d", &long], &["-X", "POST"], &twice] {
        assert_eq!(rig.says("/told/1", arguments).await, (422, "send an order".to_owned()), "{arguments:?}");
    }
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    rig.serve("deep", deep);
    let deep = format!("@{}", rig.nginx.folder().join("deep").display());
    let (status, text) = rig.says("/orders/1", &[&JSON[..], &["-H", "X-Tenant: a", "-d", &deep]].concat()).await;
    assert!(status == 400 && text.contains("more than 64 deep"), "{status} {text}");
}

#[tokio::test]
async fn documents_of_both_versions_say_what_may_pass() {
    let rig = rig().await;
    let pet = |body| [&JSON[..], &["-d", body]].concat();
    for (path, arguments) in [
        ("/v1/pets?limit=100", vec![]),
        ("/v1/pets", vec!["-I"]),
        ("/v1/pets", pet(r#"{"name": "Rex", "age": null}"#)),
        ("/v1/pets/7", vec!["-H", "X-Tenant: blue"]),
        ("/echo/v0/pets", pet(r#"{"name": "Rex", "age": null}"#)),
        ("/echo/v0/pets", pet(r#"{"name": "Rex", "age": 1}"#)),
    ] {
        assert_eq!(rig.curl(path, &arguments).await.status, 200, "{path} {arguments:?}");
    }
    for (path, arguments, says) in [
        ("/v1/pets?limit=101", vec![], "query parameter `limit`: value is greater than the maximum of 100"),
        ("/v1/pets?limit=all", vec![], "query parameter `limit`: value is not of type \"integer\""),
        ("/v1/pets", pet("{}"), "body: \"name\" is a required property"),
        ("/v1/pets", pet(r#"{"name": "Rex", "age": 0}"#), "body: /age: "),
        ("/v1/pets", vec!["-d", "name=Rex"], "`Content-Type` is none of application/json"),
        ("/v1/pets", vec!["-X", "POST"], "the body is missing"),
        ("/v1/pets", vec!["-X", "DELETE"], "the document has no such method of this path"),
        ("/v1/cats", vec![], "the document has no such path"),
        ("/v1/pets/Rex", vec!["-H", "X-Tenant: blue"], "path parameter `id`: value is not of type \"integer\""),
        ("/v1/pets/7", vec![], "header parameter `X-Tenant`: is missing"),
    ] {
        let reply = rig.curl(path, &arguments).await;
        let message = reply.json()["message"].as_str().unwrap().to_owned();
        let begins = format!("failed to validate request. {says}");
        assert!(reply.status == 400 && message.starts_with(&begins), "{path} {arguments:?}: {reply:?}");
    }
    let quiet = rig.curl("/echo/v0/pets", &pet(r#"{"name": "Rex", "age": 0}"#)).await;
    assert_eq!((quiet.status, quiet.json()), (422, json!({"message": "failed to validate request."})));
}

#[tokio::test]
async fn a_document_elsewhere_is_fetched_and_one_that_is_nowhere_is_told_of() {
    let rig = rig().await;
    for (path, status) in [("/echo/elsewhere/7", 200), ("/echo/elsewhere/x", 400), ("/echo/warned/x", 200)] {
        assert_eq!(rig.curl(path, &[]).await.status, status, "{path}");
    }
    assert_eq!(rig.asked("/plain/spec.json"), 1);
    rig.gateway.hear("failed to validate request").await;
    let nowhere = rig.curl("/echo/nowhere/1", &[]).await;
    assert_eq!((nowhere.status, nowhere.json()), (500, json!({"message": "failed to parse openapi spec"})));
}
