//! Media types, and bodies that are no JSON.
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::support::{post, said, with_content};

#[tokio::test]
async fn media_types_are_chosen_by_the_most_exact_range() {
    let document = with_content(
        "3.1.0",
        json!({
            "*/*": {}, "text/*": {"schema": {"type": "string", "maxLength": 2}}, "text/csv": {"schema": {"type": "string", "maxLength": 4}},
            "application/problem+json": {"schema": {"type": "array"}},
        }),
    );
    for (content_type, body, says) in [
        ("text/csv", "a,bc", ""),
        ("text/plain", "abc", "body: value is longer than 2 characters"),
        ("image/png", "any", ""),
        ("application/problem+json", "{}", "body: value is not of type \"array\""),
    ] {
        assert_eq!(said(&document, post("/", content_type, body)).await, says, "{content_type} {body}");
    }
    let closed = with_content("3.1.0", json!({"application/json": {}, "image/*": {}}));
    let says = "`Content-Type` is none of application/json, image/*";
    assert_eq!(said(&closed, post("/", "text/plain", "x")).await, says);
    assert_eq!(said(&closed, http::Request::post("/").body("x".into()).unwrap()).await, says);
}

#[tokio::test]
async fn forms_are_objects_of_what_their_schema_says() {
    let schema = json!({"type": "object", "required": ["n"], "additionalProperties": false, "properties": {
        "n": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}},
        "ids": {"type": "array", "items": {"type": "integer"}}, "who": {"type": "object", "required": ["name"]},
        "file": {"type": "string", "format": "binary"},
    }});
    let encoding = json!({"ids": {"explode": false}});
    let document = with_content(
        "3.0.0",
        json!({
            "application/x-www-form-urlencoded": {"schema": schema, "encoding": encoding},
            "multipart/form-data": {"schema": schema},
        }),
    );
    for (body, says) in [
        ("n=1&tags=a&tags=b&ids=1,2&who=%7B%22name%22%3A1%7D", ""),
        ("n=x", "body: /n: value is not of type \"integer\""),
        ("n=1&n=2", "body: /n: stands there several times"),
        ("ids=1&ids=2&n=1", "body: /ids: stands there several times"),
        ("n=1&tags=abc", "body: /tags/0: value is longer than 2 characters"),
        ("n=1&who=%7B%7D", "body: /who: \"name\" is a required property"),
        ("n=1&who=x", "body: /who: is no JSON to be taken: expected value at line 1 column 1"),
        ("n=1&more=2", "body: Additional properties are not allowed ('more' was unexpected)"),
    ] {
        assert_eq!(said(&document, post("/", "application/x-www-form-urlencoded", body)).await, says, "{body}");
    }
    let part =
        |name: &str, data: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{data}\r\n");
    for (parts, says) in [
        (vec![("n", "1"), ("file", "\u{1}\u{2}"), ("who", "{\"name\": 1}"), ("tags", "a")], ""),
        (vec![("n", "1"), ("who", "{}")], "body: /who: \"name\" is a required property"),
        (vec![("file", "x")], "body: \"n\" is a required property"),
    ] {
        let body = format!("{}--b--\r\n", parts.iter().map(|(name, data)| part(name, data)).collect::<String>());
        let request = http::Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=b");
        assert_eq!(said(&document, request.body(body.into()).unwrap()).await, says, "{parts:?}");
    }
}

#[tokio::test]
async fn ranges_and_parameters_of_media_types() {
    let object = json!({"schema": {"type": "object"}});
    let document = with_content(
        "3.1.0",
        json!({
            "application/json; version=1": {"schema": {"type": "array"}}, "application/json; version=2": object,
            "application/*+json": object, "text/json": object, "image/*": {"schema": {"type": "string"}}, "application/*": object,
        }),
    );
    let object = "body: value is not of type \"object\"";
    for (content_type, body, says) in [
        ("application/json;version=1", "[]", ""),
        ("application/json;version=2", "{}", ""),
        ("application/json;version=2;charset=utf-8", "[]", object),
        ("application/json", "[]", ""),
        ("application/vnd.api+json", "[]", object),
        ("application/vnd.api+json", "{}", ""),
        ("text/json", "{}", ""),
        ("image/png", "any", ""),
        ("application/x", "[]", object),
        ("application/x", "any", "body: is no JSON to be taken: expected value at line 1 column 1"),
    ] {
        assert_eq!(said(&document, post("/", content_type, body)).await, says, "{content_type} {body}");
    }
    let any = with_content("3.1.0", json!({"*/*": {"schema": {"required": ["a"]}}}));
    let says = said(&any, http::Request::post("/").body("{}".into()).unwrap()).await;
    assert_eq!(says, "body: \"a\" is a required property");
    assert_eq!(said(&any, post("/", "application/x", "no JSON")).await, "");
}

#[tokio::test]
async fn only_utf_8_is_judged() {
    let schema = json!({"schema": {"type": "object", "properties": {"role": {"enum": ["user"]}}}});
    let document = with_content(
        "3.1.0",
        json!({
            "application/json": schema, "application/x-www-form-urlencoded": schema, "multipart/form-data": schema,
        }),
    );
    let charset = "body: `charset` of `Content-Type` is another than utf-8";
    for (content_type, body, says) in [
        ("application/json; charset=UTF-8", r#"{"role": "user"}"#, ""),
        ("application/json; charset=utf-7", r#"{"+AHIAbwBsAGU-": "admin"}"#, charset),
        ("application/x-www-form-urlencoded; charset=ibm037", "%99%96%93%85=x", charset),
        ("application/x-www-form-urlencoded", "role=user&b=%C3%A9", ""),
        ("application/x-www-form-urlencoded", "rol%FFe=admin", "body: the form is not in UTF-8"),
        (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=x\r\nContent-Type: application/json; charset=utf-16\r\n\r\n{}\r\n--b--",
            "body: /x: `charset` of `Content-Type` is another than utf-8",
        ),
    ] {
        assert_eq!(said(&document, post("/", content_type, body)).await, says, "{content_type} {body}");
    }
}

#[tokio::test]
async fn a_part_is_of_a_type_that_its_encoding_lists() {
    let schema = json!({"type": "object", "properties": {"picture": {"type": "string"}, "who": {"type": "object", "required": ["name"]}}});
    let encoding =
        json!({"picture": {"contentType": "image/png, image/*"}, "who": {"contentType": "application/json"}});
    let document = with_content("3.0.3", json!({"multipart/form-data": {"schema": schema, "encoding": encoding}}));
    let form = |name: &str, kind: &str, data: &str| {
        let body = format!("--b\r\nContent-Disposition: form-data; name={name}{kind}\r\n\r\n{data}\r\n--b--\r\n");
        http::Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=b").body(body.into()).unwrap()
    };
    for (name, kind, data, says) in [
        ("picture", "\r\nContent-Type: image/gif", "x", ""),
        ("picture", "", "x", ""),
        (
            "picture",
            "\r\nContent-Type: text/html; a=b",
            "x",
            "body: /picture: its `Content-Type` is none of image/png, image/*",
        ),
        ("who", "", r#"{"name": 1}"#, ""),
        (
            "who",
            "\r\nContent-Type: text/plain",
            r#"{"name": 1}"#,
            "body: /who: its `Content-Type` is none of application/json",
        ),
        ("other", "\r\nContent-Type: text/html", "x", ""),
    ] {
        assert_eq!(said(&document, form(name, kind, data)).await, says, "{name} {kind}");
    }
}
