//! Bodies in JSON, and bodies at all.
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::support::{ask, built, chain, post, said, with_content};
use crate::Body;

#[tokio::test]
async fn json_bodies_by_both_versions() {
    for version in ["3.0.3", "3.1.0"] {
        let nullable = match version {
            "3.0.3" => json!({"type": "string", "nullable": true}),
            _ => json!({"type": ["string", "null"]}),
        };
        let mut document =
            with_content(version, json!({"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}));
        document["components"] = json!({"schemas": {"Pet": {
            "type": "object", "required": ["id", "name"], "additionalProperties": false,
            "properties": {"id": {"type": "integer", "readOnly": true}, "name": {"type": "string"}, "tag": nullable,
                "born": {"type": "string", "format": "date"}, "young": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}},
        }}});
        for (body, says) in [
            (r#"{"name": "a", "tag": null, "born": "2020-02-29", "young": [{"name": "b"}]}"#, ""),
            (r#"{"tag": "x"}"#, "body: \"name\" is a required property"),
            (r#"{"name": "a", "young": [{"name": 1}]}"#, "body: /young/0/name: value is not of type \"string\""),
            (r#"{"name": "a", "born": "2021-02-29"}"#, "body: /born: value is not a \"date\""),
            (r#"{"name": "a", "more": 1}"#, "body: Additional properties are not allowed ('more' was unexpected)"),
            (r#"{"name": "a", "name": 1}"#, "body: is no JSON to be taken: `name` stands twice in one object"),
            ("", "the body is missing"),
        ] {
            assert_eq!(
                said(&document, post("/", "Application/JSON; charset=utf-8", body)).await,
                says,
                "{version} {body}"
            );
        }
    }
}

#[tokio::test]
async fn schemas_in_a_circle_or_a_long_row_are_borne() {
    let body = json!({"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}});
    let schema = |at: usize| format!("#/components/schemas/S{at}");
    let mut document = with_content("3.1.0", body.clone());
    let row = (0..500).map(|at| (format!("S{at}"), json!({"allOf": [{"$ref": schema(at + 1)}]})));
    let mut row: serde_json::Map<_, _> = row.collect();
    row.insert("S500".to_owned(), json!({"type": "object"}));
    document["components"] = json!({"schemas": row});
    assert_eq!(said(&document, post("/", "application/json", "{}")).await, "");
    assert_eq!(said(&document, post("/", "application/json", "1")).await, "body: value is not of type \"object\"");
    let mut document = with_content("3.1.0", body);
    document["components"] = json!({"schemas": {
        "S0": {"allOf": [{"$ref": schema(1)}], "type": "object"}, "S1": {"anyOf": [{"$ref": schema(0)}, {"type": "integer"}]},
    }});
    assert!(!said(&document, post("/", "application/json", "[]")).await.is_empty());
}

#[tokio::test]
async fn a_body_is_optional_unless_required_and_passes_as_it_was_sent() {
    let mut document = with_content("3.1.0", json!({"application/json": {"schema": {"type": "object"}}}));
    document["paths"]["/"]["post"]["requestBody"]["required"] = false.into();
    assert_eq!(said(&document, post("/", "application/json", "")).await, "");
    let chain = chain(json!({"spec": document.to_string()}));
    let exact = "{ \"a\" : 1.0 }";
    assert_eq!(ask(&chain, post("/", "application/json", exact)).await, (200, exact.to_owned()));
    let answer = (400, "{\"message\":\"failed to validate request.\"}\n".to_owned());
    assert_eq!(ask(&chain, post("/", "application/json", "[]")).await, answer);
}

#[tokio::test]
async fn bodies_that_nothing_is_said_of_are_not_read() {
    let content = json!({"application/octet-stream": {}, "application/json": {"schema": {"type": "object"}}});
    let chain = chain(json!({"spec": with_content("3.1.0", content).to_string(), "max_req_body_size": 4}));
    let stream = |pieces: &'static [&'static str]| {
        let pieces = pieces.iter().map(|piece| Ok::<_, crate::BodyError>(http_body::Frame::data((*piece).into())));
        Body::stream(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)))
    };
    let of = |content_type: &str, pieces| {
        http::Request::post("/").header(CONTENT_TYPE, content_type).body(stream(pieces)).unwrap()
    };
    let answer = ask(&chain, of("application/octet-stream", &["abc", "def"])).await;
    assert_eq!(answer, (200, "abcdef".to_owned()), "longer than what is held");
    assert_eq!(ask(&chain, of("application/octet-stream", &[])).await.0, 400, "is missing");
    assert_eq!(ask(&chain, of("application/json", &["abc", "def"])).await.0, 413);
    // one of another type is refused before it is read
    let endless = Body::stream(http_body_util::StreamBody::new(futures_util::stream::repeat_with(|| {
        Ok::<_, crate::BodyError>(http_body::Frame::data("x".into()))
    })));
    let request = http::Request::post("/").header(CONTENT_TYPE, "text/csv").body(endless).unwrap();
    assert_eq!(ask(&chain, request).await.0, 400);
}

#[tokio::test]
async fn schemas_are_found_by_their_anchors() {
    let mut document = with_content(
        "3.1.0",
        json!({
            "application/json": {"schema": {"$ref": "#pet"}}, "application/x-www-form-urlencoded": {"schema": {"$ref": "#pet"}},
        }),
    );
    document["components"] = json!({"schemas": {
        "Pet": {"$anchor": "pet", "type": "object", "properties": {"id": {"$ref": "#id"}}}, "Id": {"$anchor": "id", "type": "integer"},
    }});
    let wrong = "body: /id: value is not of type \"integer\"";
    for (content_type, body, says) in [
        ("application/json", r#"{"id": 1}"#, ""),
        ("application/json", r#"{"id": "1"}"#, wrong),
        ("application/x-www-form-urlencoded", "id=1", ""),
        ("application/x-www-form-urlencoded", "id=a", wrong),
    ] {
        assert_eq!(said(&document, post("/", content_type, body)).await, says, "{body}");
    }
    document["components"]["schemas"]["Pet"]["$anchor"] = json!("gone");
    assert!(built(json!({"spec": document.to_string()})).is_err());
}

#[tokio::test]
async fn a_list_of_values_has_null_only_where_it_says_so() {
    let document = with_content(
        "3.0.3",
        json!({"application/json": {"schema": {"type": "object", "properties": {
            "a": {"type": "string", "nullable": true, "enum": ["x"]}, "b": {"type": "string", "nullable": true, "enum": ["x", null]},
        }}}}),
    );
    assert_eq!(said(&document, post("/", "application/json", r#"{"b": null}"#)).await, "");
    let says = said(&document, post("/", "application/json", r#"{"a": null}"#)).await;
    assert!(says.starts_with("body: /a: "), "{says}");
}

#[test]
fn a_document_that_is_too_much_work_is_refused() {
    let of = |places: usize| {
        let path = |index: usize| {
            let content = json!({"application/json": {"schema": {"allOf": [{"$ref": "#/components/schemas/Any"}]}}});
            (format!("/{index}"), json!({"post": {"requestBody": {"content": content}}}))
        };
        let paths: serde_json::Map<_, _> = (0..places).map(path).collect();
        let any: Vec<_> = (0..100_000).collect();
        let document = json!({"openapi": "3.1.0", "paths": paths, "components": {"schemas": {"Any": {"enum": any}}}});
        built(json!({"spec": document.to_string()}))
    };
    assert!(of(2).is_ok());
    let error = of(60).unwrap_err();
    assert!(error.reason().contains("more than 5000000 steps to compile: split the document"), "{error}");
}
