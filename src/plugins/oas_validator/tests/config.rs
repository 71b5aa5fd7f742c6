//! What a block and its document may say, and what the options change.
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::support::{ask, built, chain, get, post, with_content, with_parameters};
use crate::Body;

#[test]
fn a_faulty_block_names_its_field() {
    let spec = json!({"openapi": "3.1.0", "paths": {}}).to_string();
    for (block, field) in [
        (json!({}), ""),
        (json!({"spec": spec, "spec_url": "http://a/"}), ""),
        (json!({"spec": "{"}), "spec"),
        (json!({"spec": "{\"swagger\": \"2.0\", \"paths\": {}}"}), "spec"),
        (json!({"spec": "{\"openapi\": \"3.1.0\"}"}), "spec"),
        (json!({"spec_url": "ftp://a/"}), "spec_url"),
        (json!({"spec_url": "http://a/", "spec_url_request_headers": {"a b": "c"}}), "spec_url_request_headers.a b"),
        (json!({"spec_url": "http://a/", "spec_url_request_headers": {"a": "\n"}}), "spec_url_request_headers.a"),
        (json!({"spec": spec, "timeout": 999}), "timeout"),
        (json!({"spec": spec, "rejection_status_code": 399}), "rejection_status_code"),
        (json!({"spec": spec, "max_req_body_size": 0}), "max_req_body_size"),
    ] {
        let error = built(block.clone()).unwrap_err();
        assert_eq!(error.field(), field, "{block}: {error}");
    }
}

#[test]
fn a_faulty_document_is_told_with_its_place() {
    for (document, says) in [
        (with_parameters("/a", json!([{"in": "query"}])), "`paths./a` get: parameters.0: `name` is missing"),
        (with_parameters("/a", json!([{"name": "a", "in": "body"}])), "`in: body` is not known"),
        (with_parameters("/a", json!([{"name": "a", "in": "path", "style": "form"}])), "cannot stand there"),
        (
            with_parameters("/pets/{petId}", json!([{"name": "petid", "in": "path", "schema": {}}])),
            "`paths./pets/{petId}` get: parameter `petid` is in the path, which has no `{petid}`",
        ),
        (with_parameters("/a{", json!([])), "braces"),
        (
            with_parameters("/a", json!([{"$ref": "#/components/parameters/Gone"}])),
            "`#/components/parameters/Gone` is not there",
        ),
        (
            with_parameters("/a", json!([{"name": "a", "in": "query", "schema": {"type": "what"}}])),
            "parameter `a`: schema:",
        ),
        (
            with_parameters("/a", json!([{"name": "a", "in": "query", "schema": {"$ref": "#/gone"}}])),
            "parameter `a`: schema:",
        ),
        (with_parameters("/a", json!([{"$ref": "http://elsewhere.test/p.json"}])), "leads out of the document"),
    ] {
        let error = built(json!({"spec": document.to_string()})).unwrap_err();
        assert!(error.reason().contains(says), "{document}: {error}");
    }
}

#[cfg(feature = "yaml")]
#[tokio::test]
async fn a_document_may_be_yaml() {
    let text = "openapi: 3.0.3\npaths:\n  /pets:\n    get:\n      parameters:\n      - {name: limit, in: query, schema: {type: integer}}\n      \
                responses:\n        200: {description: ok}\n";
    let chain = chain(json!({"spec": text, "verbose_errors": true}));
    assert_eq!(ask(&chain, get("/pets?limit=1")).await.0, 200);
    assert_eq!(ask(&chain, get("/pets?limit=x")).await.0, 400);
    let error = built(json!({"spec": "openapi: 3.0.3\npaths: {}\npaths: {}\n"})).unwrap_err();
    assert!(error.to_string().contains("the key `paths` stands twice"), "{error}");
}

#[tokio::test]
async fn what_is_skipped_is_not_looked_at() {
    let document = json!({"openapi": "3.1.0", "paths": {"/{id}": {"post": {
        "parameters": [
            {"name": "id", "in": "path", "schema": {"type": "integer"}}, {"name": "q", "in": "query", "required": true},
            {"name": "h", "in": "header", "required": true}, {"name": "c", "in": "cookie", "required": true},
        ],
        "requestBody": {"required": true, "content": {"application/json": {}}},
    }}}});
    let all = [
        "skip_path_params_validation",
        "skip_query_param_validation",
        "skip_request_header_validation",
        "skip_request_body_validation",
    ];
    for left in all.iter().map(Some).chain([None]) {
        let mut block = json!({"spec": document.to_string(), "rejection_status_code": 422});
        all.iter().filter(|skip| Some(*skip) != left).for_each(|skip| block[*skip] = true.into());
        let status = ask(&chain(block), post("/x", "text/plain", "x")).await.0;
        assert_eq!(status, if left.is_some() { 422 } else { 200 }, "{left:?}");
    }
}

#[tokio::test]
async fn without_rejecting_whatever_comes_passes() {
    let document = with_content("3.1.0", json!({"application/json": {"schema": {"type": "object"}}}));
    let chain = chain(json!({"spec": document.to_string(), "reject_if_not_match": false, "max_req_body_size": 4}));
    assert_eq!(ask(&chain, post("/", "application/json", "[]")).await, (200, "[]".to_owned()));
    assert_eq!(ask(&chain, get("/none")).await.0, 200);
    assert_eq!(ask(&chain, post("/", "application/json", "[1,2]")).await, (200, "[1,2]".to_owned()), "too long");
    let packed = |coding: &str, body: &'static str| {
        let mut request = post("/", "application/json", body);
        request.headers_mut().insert("content-encoding", coding.parse().unwrap());
        request
    };
    for coding in ["gzip", "zstd"] {
        assert_eq!(ask(&chain, packed(coding, "x")).await, (200, "x".to_owned()), "{coding}");
    }
    let pieces = ["[1", ",2", ",3]"].map(|piece| Ok(http_body::Frame::data(piece.into())));
    let stream = http_body_util::StreamBody::new(futures_util::stream::iter(
        pieces.map(|piece: Result<_, crate::BodyError>| piece),
    ));
    let request = http::Request::post("/").header(CONTENT_TYPE, "application/json").body(Body::stream(stream)).unwrap();
    assert_eq!(ask(&chain, request).await, (200, "[1,2,3]".to_owned()), "what was read goes before the rest");
}
