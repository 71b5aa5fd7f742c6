use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::plugin::ConfigError;
use crate::{Body, Next, PluginLayer, Request, Response};

fn built(block: Value) -> Result<OasValidator, ConfigError> {
    OasValidator::new(serde_json::from_value(block).unwrap())
}

/// A chain that ends in an echo of the body.
fn chain(block: Value) -> Next {
    let end = Next::from_fn(|request: Request| async move { Response::new(request.into_body()) });
    PluginLayer::from(OasValidatorLayer::of(built(block).unwrap())).wrap(end)
}

async fn ask(chain: &Next, request: Request) -> (u16, String) {
    let response = chain.run(request).await;
    let status = response.status().as_u16();
    let body = response.into_body().buffer(1 << 20).await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// What verbose errors say of a request to a document with these paths; empty if it passes.
async fn said(document: &Value, request: Request) -> String {
    let chain = chain(json!({"spec": document.to_string(), "verbose_errors": true}));
    let (status, body) = ask(&chain, request).await;
    if status == 200 {
        return String::new();
    }
    assert_eq!(status, 400, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let message = body["message"].as_str().unwrap();
    message.strip_prefix("failed to validate request. ").unwrap_or_else(|| panic!("{message}")).to_owned()
}

fn get(target: &str) -> Request {
    http::Request::get(target).body(Body::empty()).unwrap()
}

fn post(target: &str, content_type: &str, body: &'static str) -> Request {
    http::Request::post(target).header(CONTENT_TYPE, content_type).body(body.into()).unwrap()
}

/// A document of 3.0 with one operation `GET /p/{…}` of these parameters.
fn with_parameters(path: &str, parameters: Value) -> Value {
    json!({"openapi": "3.0.3", "paths": {path: {"get": {"parameters": parameters}}}})
}

/// A document with one operation `POST /` whose body has this content.
fn with_content(version: &str, content: Value) -> Value {
    json!({"openapi": version, "paths": {"/": {"post": {"requestBody": {"required": true, "content": content}}}}})
}

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

#[tokio::test]
async fn paths_methods_and_servers() {
    let document = json!({
        "openapi": "3.1.0",
        "servers": [{"url": "https://api.test/{v}/", "variables": {"v": {"default": "v1"}}}, {"url": "/"}],
        "paths": {"/pets": {"get": {}}, "/pets/{id}": {"$ref": "#/components/pathItems/Pet"}},
        "components": {"pathItems": {"Pet": {"delete": {}, "parameters": [{"name": "id", "in": "path", "schema": {"type": "integer"}}]}}},
    });
    let of =
        |method: &str, target: &str| http::Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
    for (method, target, says) in [
        ("GET", "/pets", ""),
        ("HEAD", "/v1/pets?any=thing", ""),
        ("DELETE", "/pets/7", ""),
        ("POST", "/pets", "the document has no such method of this path"),
        ("GET", "/v2/pets", "the document has no such path"),
        ("DELETE", "/v1/pets/x", "path parameter `id`: value is not of type \"integer\""),
    ] {
        assert_eq!(said(&document, of(method, target)).await, says, "{method} {target}");
    }
}

#[tokio::test]
async fn servers_of_paths_and_operations_go_before_the_documents() {
    let document = json!({
        "openapi": "3.1.0", "servers": [{"url": "/doc"}],
        "paths": {
            "/a": {"get": {}},
            "/b": {"servers": [{"url": "/path"}], "get": {}, "post": {"servers": [{"url": "https://a.test/one"}, {"url": "/two"}]}},
            "/c": {"servers": [{"url": "/"}], "get": {}},
        },
    });
    let method = "the document has no such method of this path";
    let path = "the document has no such path";
    for (target, of_get, of_post) in [
        ("/a", "", method),
        ("/doc/a", "", method),
        ("/b", "", ""),
        ("/doc/b", path, path),
        ("/path/b", "", method),
        ("/one/b", method, ""),
        ("/two/b", method, ""),
        ("/c", "", method),
        ("/doc/c", path, path),
    ] {
        assert_eq!(said(&document, get(target)).await, of_get, "GET {target}");
        assert_eq!(said(&document, post(target, "a/b", "")).await, of_post, "POST {target}");
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
async fn a_discriminator_chooses_the_schema_that_counts() {
    let mut document = with_content(
        "3.0.3",
        json!({"application/json": {"schema": {
            "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
            "discriminator": {"propertyName": "kind", "mapping": {"c": "#/components/schemas/Cat"}},
        }}}),
    );
    document["components"] = json!({"schemas": {
        "Cat": {"type": "object", "properties": {"lives": {"type": "integer"}}},
        "Dog": {"type": "object", "properties": {"lives": {"type": "string"}}},
    }});
    for (body, passes) in [
        (r#"{"kind": "c", "lives": 9}"#, true),
        (r#"{"kind": "Dog", "lives": "9"}"#, true),
        (r#"{"kind": "Dog"}"#, true),
        (r#"{"kind": "c", "lives": "9"}"#, false),
        (r#"{"kind": "bird"}"#, false),
        (r#"{"lives": 9}"#, false),
    ] {
        assert_eq!(said(&document, post("/", "application/json", body)).await.is_empty(), passes, "{body}");
    }
}

/// Pets by `allOf`, which one by a member of their base; a cat may be a lion.
fn pets(version: &str, pet: Value, cat: Value) -> Value {
    let body =
        json!({"application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}}});
    let mut document = with_content(version, body);
    let of = |base: &str, own: Value| json!({"allOf": [{"$ref": format!("#/components/schemas/{base}")}, own]});
    document["components"] = json!({"schemas": {
        "Pet": pet, "Cat": of("Pet", cat),
        "Dog": of("Pet", json!({"type": "object", "required": ["bark"], "properties": {"bark": {"type": "string"}}})),
        "Lion": of("Cat", json!({"required": ["mane"], "properties": {"mane": {"type": "boolean"}}})),
    }});
    document
}

#[tokio::test]
async fn a_discriminator_chooses_among_the_heirs_of_its_schema() {
    let kind = json!({"propertyName": "kind", "mapping": {"c": "Cat"}});
    let pet = json!({"type": "object", "required": ["kind", "name"], "discriminator": kind,
        "properties": {"kind": {"type": "string"}, "name": {"type": "string"}}});
    let cat = json!({"properties": {"lives": {"type": "integer"}}});
    let mut listed = pet.clone();
    listed["oneOf"] = ["Cat", "Dog", "Lion"].map(|heir| json!({"$ref": format!("#/components/schemas/{heir}")})).into();
    for version in ["3.0.3", "3.1.0"] {
        for pet in [&pet, &listed] {
            let document = pets(version, pet.clone(), cat.clone());
            for (body, says) in [
                (r#"[{"kind": "Cat", "name": "a", "lives": 9}, {"kind": "Dog", "name": "b", "bark": "c"}]"#, ""),
                (
                    r#"[{"kind": "c", "name": "a", "lives": 9}, {"kind": "Lion", "name": "b", "lives": 1, "mane": true}]"#,
                    "",
                ),
                (r#"[{"kind": "Cat", "name": "a", "lives": "9"}]"#, "body: /0/lives: value is not of type \"integer\""),
                (r#"[{"kind": "Lion", "name": "a", "lives": 1}]"#, "body: /0: \"mane\" is a required property"),
                (r#"[{"kind": "Dog", "name": "a"}]"#, "body: /0: \"bark\" is a required property"),
                (r#"[{"kind": "Dog", "bark": "a"}]"#, "body: /0: \"name\" is a required property"),
                (r#"[{"name": "a"}]"#, "body: /0: \"kind\" is a required property"),
            ] {
                assert_eq!(said(&document, post("/", "application/json", body)).await, says, "{version} {body}");
            }
            let other = said(&document, post("/", "application/json", r#"[{"kind": "Fish", "name": "a"}]"#)).await;
            assert!(other.starts_with("body: /0/kind: "), "{other}");
        }
    }
}

#[tokio::test]
async fn a_base_may_be_null_where_it_says_so() {
    for (version, type_of, null) in [("3.0.3", json!("object"), true), ("3.1.0", json!(["object", "null"]), false)] {
        let mut pet = json!({"type": type_of, "discriminator": {"propertyName": "kind"}});
        if null {
            pet["nullable"] = true.into();
        }
        let document = pets(version, pet, json!({}));
        for (body, passes) in [("[null]", true), (r#"[{"kind": "Cat"}]"#, true), ("[1]", false), ("[{}]", false)] {
            let says = said(&document, post("/", "application/json", body)).await;
            assert_eq!(says.is_empty(), passes, "{version} {body}: {says}");
        }
    }
}

#[tokio::test]
async fn a_form_is_read_by_the_schemas_that_may_be_chosen() {
    let pet = json!({"type": "object", "discriminator": {"propertyName": "kind"}});
    let mut document = pets("3.1.0", pet, json!({"properties": {"lives": {"type": "integer"}}}));
    document["paths"]["/"]["post"]["requestBody"]["content"] =
        json!({"application/x-www-form-urlencoded": {"schema": {"$ref": "#/components/schemas/Pet"}}});
    let form = "application/x-www-form-urlencoded";
    assert_eq!(said(&document, post("/", form, "kind=Cat&lives=9")).await, "");
    let says = said(&document, post("/", form, "kind=Cat&lives=many")).await;
    assert_eq!(says, "body: /lives: value is not of type \"integer\"");
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

/// Serves a document that a test changes; `None` is a failure. Counts questions.
struct Server {
    uri: String,
    document: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn begin() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/openapi.json", listener.local_addr().unwrap());
        let (document, asked) = (Arc::<Mutex<Option<Value>>>::default(), Arc::<AtomicUsize>::default());
        let (serving, counting) = (Arc::clone(&document), Arc::clone(&asked));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut seen = Vec::new();
                while !seen.ends_with(b"\r\n\r\n") && stream.read_buf(&mut seen).await.unwrap_or(0) > 0 {}
                assert!(String::from_utf8_lossy(&seen).contains("\r\nx-token: t\r\n"));
                counting.fetch_add(1, SeqCst);
                let answer = match &*serving.lock().unwrap() {
                    None => "HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    Some(document) => {
                        let text = document.to_string();
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len())
                    }
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self { uri, document, asked }
    }

    fn serve(&self, path: &str) {
        *self.document.lock().unwrap() = Some(json!({"openapi": "3.1.0", "paths": {path: {"get": {}}}}));
    }

    /// Waits until it was asked so often.
    async fn asked(&self, times: usize) {
        while self.asked.load(SeqCst) < times {
            tokio::task::yield_now().await;
        }
    }
}

/// Asks until the chain answers so: a document is taken up in the background.
async fn until(chain: &Next, target: &str, status: u16) {
    while ask(chain, get(target)).await.0 != status {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_document_is_fetched_once_renewed_in_the_background_and_the_last_good_one_counts() {
    let server = Server::begin().await;
    let remotes = super::remote::Remotes::default();
    let with = |ttl: u64| {
        let block = json!({"spec_url": server.uri, "spec_url_request_headers": {"X-Token": "t"}});
        let metadata = OasValidatorMetadata { spec_url_ttl: ttl, ..OasValidatorMetadata::default() };
        let lent = super::layer::Lent { bodies: crate::plugin::bodies::Bodies::default(), remotes: &remotes, metadata };
        let validator = OasValidator::with(serde_json::from_value(block).unwrap(), lent).unwrap();
        let end = Next::from_fn(|request: Request| async move { Response::new(request.into_body()) });
        PluginLayer::from(OasValidatorLayer::of(validator)).wrap(end)
    };
    let lasting = with(3600);
    let failed = (500, "{\"message\":\"failed to parse openapi spec\"}\n".to_owned());
    assert_eq!(ask(&lasting, get("/a")).await, failed);
    server.serve("/a");
    assert_eq!(ask(&lasting, get("/a")).await, failed, "there is a pause after a failure");
    assert_eq!(server.asked.load(SeqCst), 1);

    // everything is old at once
    let brief = with(0);
    let all = (0..20).map(|_| ask(&brief, get("/a")));
    assert!(futures_util::future::join_all(all).await.into_iter().all(|(status, _)| status == 200));
    server.serve("/b");
    until(&brief, "/b", 200).await;
    assert_eq!(ask(&brief, get("/a")).await.0, 400);
    let asked = server.asked.load(SeqCst);
    *server.document.lock().unwrap() = Some(json!("no document"));
    until(&brief, "/b", 200).await;
    server.asked(asked + 1).await;
    for _ in 0..100 {
        assert_eq!(ask(&brief, get("/b")).await.0, 200, "the last good one");
    }
}

#[tokio::test]
async fn blocks_share_a_document() {
    let server = Server::begin().await;
    server.serve("/a");
    let plugin = OasValidatorPlugin::default();
    let block = || {
        serde_json::from_value(json!({"spec_url": server.uri, "spec_url_request_headers": {"x-token": "t"}})).unwrap()
    };
    let scope = crate::plugin::Scope::Code;
    let context = crate::plugin::BuildContext::new(&scope);
    let chains = [(); 3].map(|()| {
        let end = Next::from_fn(|_| async { Response::default() });
        crate::plugin::Plugin::build(&plugin, block(), &context).unwrap().wrap(end)
    });
    for chain in &chains {
        assert_eq!(ask(chain, get("/a")).await.0, 200);
    }
    assert_eq!(server.asked.load(SeqCst), 1);
}
