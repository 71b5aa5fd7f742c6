//! Parameters in path, query, fields and cookies.
use serde_json::json;

use super::support::{get, post, said, with_parameters};
use crate::Body;

#[tokio::test]
async fn parameters_of_the_path_in_every_style() {
    let array = json!({"type": "array", "items": {"type": "integer"}});
    let object = json!({"type": "object", "properties": {"r": {"type": "integer"}}, "required": ["r"], "additionalProperties": false});
    for (style, explode, schema, good, bad) in [
        ("simple", false, &array, "/p/1,2", "/p/1,x"),
        ("simple", false, &object, "/p/r,1", "/p/r,1,g"),
        ("simple", true, &object, "/p/r=1", "/p/r=1,r=2"),
        ("label", false, &array, "/p/.1,2", "/p/1,2"),
        ("label", true, &array, "/p/.1.2", "/p/.1.x"),
        ("label", true, &object, "/p/.r=1", "/p/.r,1"),
        ("matrix", false, &array, "/p/;x=1,2", "/p/;y=1,2"),
        ("matrix", true, &array, "/p/;x=1;x=2", "/p/;x=1;y=2"),
        ("matrix", false, &object, "/p/;x=r,1", "/p/;x=g,1"),
        ("matrix", true, &object, "/p/;r=1", "/p/;r=x"),
    ] {
        let parameter = json!([{"name": "x", "in": "path", "required": true, "style": style, "explode": explode, "schema": schema}]);
        let document = with_parameters("/p/{x}", parameter);
        assert_eq!(said(&document, get(good)).await, "", "{style} {explode} {schema} {good}");
        assert_ne!(said(&document, get(bad)).await, "", "{style} {explode} {schema} {bad}");
    }
}

#[tokio::test]
async fn parameters_of_the_query_in_every_style() {
    let array = json!({"type": "array", "items": {"type": "integer"}, "maxItems": 2});
    let object = json!({"type": "object", "properties": {"r": {"type": "integer"}, "g": {"type": "array", "items": {"type": "boolean"}}}});
    let integer = json!({"type": "integer", "minimum": 1});
    for (style, explode, schema, good, bad) in [
        ("form", true, &integer, "/?x=1", "/?x=0"),
        ("form", true, &integer, "/?x=%31", "/?x=1&x=2"),
        ("form", true, &array, "/?x=1&x=2", "/?x=1&x=2&x=3"),
        ("form", false, &array, "/?x=1,2", "/?x=1,2,3"),
        ("form", false, &array, "/?x=1", "/?x=1%2C2"),
        ("spaceDelimited", false, &array, "/?x=1%202", "/?x=1,2"),
        ("spaceDelimited", false, &array, "/?x=1+2", "/?x=1+2+3"),
        ("pipeDelimited", false, &array, "/?x=1%7C2", "/?x=1|2|3"),
        ("form", true, &object, "/?r=1&g=true&other=x", "/?r=x"),
        ("form", false, &object, "/?x=r,1", "/?x=r"),
        ("deepObject", true, &object, "/?x[r]=1&x[g]=true&x[g]=false", "/?x[r]=1&x[r]=2"),
        ("deepObject", true, &object, "/?x%5Bg%5D=true", "/?x%5Bg%5D=1"),
    ] {
        let document = with_parameters(
            "/",
            json!([{"name": "x", "in": "query", "style": style, "explode": explode, "schema": schema}]),
        );
        assert_eq!(said(&document, get(good)).await, "", "{style} {explode} {schema} {good}");
        assert_ne!(said(&document, get(bad)).await, "", "{style} {explode} {schema} {bad}");
        assert_eq!(said(&document, get("/")).await, "");
    }
    let json = json!([{"name": "x", "in": "query", "required": true, "content": {"application/json": {"schema": {"type": "object"}}}}]);
    let document = with_parameters("/", json);
    assert_eq!(said(&document, get("/?x=%7B%7D")).await, "");
    assert_eq!(said(&document, get("/?x=1")).await, "query parameter `x`: value is not of type \"object\"");
    assert_eq!(said(&document, get("/")).await, "query parameter `x`: is missing");
    let empty = with_parameters(
        "/",
        json!([{"name": "x", "in": "query", "allowEmptyValue": true, "schema": {"type": "integer"}}]),
    );
    assert_eq!(said(&empty, get("/?x=")).await, "");
}

#[tokio::test]
async fn parameters_of_fields_and_cookies() {
    let array = json!({"type": "array", "items": {"type": "integer"}});
    let document = with_parameters(
        "/",
        json!([
            {"name": "X-Ids", "in": "header", "required": true, "schema": array},
            {"name": "Authorization", "in": "header", "required": true, "schema": {"type": "integer"}},
            {"name": "session", "in": "cookie", "schema": {"type": "string", "minLength": 3}},
        ]),
    );
    let with = |fields: &[(&str, &str)]| {
        let request =
            fields.iter().fold(http::Request::get("/"), |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    };
    for (fields, says) in [
        (&[("x-ids", "1, 2"), ("x-ids", "3"), ("cookie", "a=1; session=abc")][..], ""),
        (&[("x-ids", "1"), ("cookie", "session=ab")], "cookie parameter `session`: value is shorter than 3 characters"),
        (&[("x-ids", "1, x")], "header parameter `X-Ids`: /1: value is not of type \"integer\""),
        (&[], "header parameter `X-Ids`: is missing"),
    ] {
        assert_eq!(said(&document, with(fields)).await, says, "{fields:?}");
    }
}

#[tokio::test]
async fn an_operations_parameter_replaces_the_paths() {
    let document = json!({"openapi": "3.0.0", "paths": {"/": {
        "parameters": [{"name": "x", "in": "query", "required": true, "schema": {"type": "integer"}}],
        "get": {"parameters": [{"name": "x", "in": "query", "schema": {"type": "boolean"}}]},
        "post": {},
    }}});
    assert_eq!(said(&document, get("/?x=true")).await, "");
    assert_eq!(said(&document, get("/")).await, "");
    assert_eq!(said(&document, post("/", "a/b", "")).await, "query parameter `x`: is missing");
}

#[tokio::test]
async fn what_readers_take_for_a_parameter_is_none_beside_it() {
    let document = with_parameters(
        "/",
        json!([
            {"name": "x", "in": "query", "style": "deepObject", "schema": {"type": "object", "nullable": true, "properties": {
                "role": {"enum": ["user"]}, "r": {"type": "integer"}}}},
            {"name": "q", "in": "query", "schema": {"type": "string"}},
            {"name": "f[own]", "in": "query", "schema": {"type": "string"}}, {"name": "f", "in": "query", "schema": {"type": "string"}},
            {"name": "role", "in": "cookie", "schema": {"enum": ["user"]}},
            {"name": "o", "in": "query", "schema": {"type": "object", "properties": {"p": {"pattern": "^a$"}, "any": {}}}},
        ]),
    );
    for (target, says) in [
        ("/?x[role]=user&x[r]=1&q=a&f=1&f[own]=2&p=a&any=1&any=2", ""),
        (
            "/?x[r]=evil",
            "query parameter `x`: value is not valid under any of the schemas listed in the 'anyOf' keyword",
        ),
        ("/?x[role][]=admin", "query parameter `x`: is not written in its style"),
        ("/?x[role][a]=1", "query parameter `x`: is not written in its style"),
        ("/?x[role=admin", "query parameter `x`: is not written in its style"),
        ("/?x=admin", "query parameter `x`: is not written in its style"),
        ("/?q=a&q[]=b", "query parameter `q`: stands there several times"),
        ("/?q%5Ba%5D=b", "query parameter `q`: stands there several times"),
        ("/?p=evil&p=evil", "query parameter `o`: stands there several times"),
    ] {
        let target = target.replace('[', "%5B").replace(']', "%5D");
        assert_eq!(said(&document, get(&target)).await, says, "{target}");
    }
    let request =
        http::Request::get("/").header("cookie", http::HeaderValue::from_bytes(b"role=admin; a=\xe9").unwrap());
    let says = said(&document, request.body(Body::empty()).unwrap()).await;
    assert!(says.starts_with("cookie parameter `role`: "), "{says}");
}

#[tokio::test]
async fn items_that_have_texts_of_their_own_stand_several_times_in_every_style() {
    let schema = json!({"type": "array", "items": {"type": "integer"}, "maxItems": 2});
    for style in ["form", "spaceDelimited", "pipeDelimited"] {
        let parameter = json!([{"name": "x", "in": "query", "style": style, "explode": true, "schema": schema}]);
        let document = with_parameters("/", parameter);
        for (target, fits) in [("/?x=1&x=2", true), ("/?x=1", true), ("/?x=1&x=2&x=3", false), ("/?x=1&x=a", false)] {
            assert_eq!(said(&document, get(target)).await.is_empty(), fits, "{style} {target}");
        }
    }
}
