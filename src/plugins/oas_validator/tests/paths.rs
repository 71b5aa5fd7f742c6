//! Paths, methods and servers.
use serde_json::json;

use super::support::{get, post, said};
use crate::Body;

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

#[tokio::test]
async fn what_stands_beside_the_reference_of_a_path_goes_before_what_it_leads_to() {
    let integer = |name: &str| json!({"name": name, "in": "query", "required": true, "schema": {"type": "integer"}});
    let document = json!({
        "openapi": "3.1.0",
        "paths": {"/a": {"$ref": "#/components/pathItems/A", "parameters": [integer("x")], "post": {"parameters": [integer("y")]}}},
        "components": {"pathItems": {"A": {
            "parameters": [{"name": "x", "in": "query", "schema": {"type": "boolean"}}, integer("z")], "get": {}, "post": {},
        }}},
    });
    for (target, of_get, of_post) in [
        ("/a?x=1&z=1", "", "query parameter `y`: is missing"),
        (
            "/a?x=true&y=1&z=1",
            "query parameter `x`: value is not of type \"integer\"",
            "query parameter `x`: value is not of type \"integer\"",
        ),
        ("/a?x=1&y=1", "query parameter `z`: is missing", "query parameter `z`: is missing"),
        ("/a?x=1&y=1&z=1", "", ""),
    ] {
        assert_eq!(said(&document, get(target)).await, of_get, "GET {target}");
        assert_eq!(said(&document, post(target, "a/b", "")).await, of_post, "POST {target}");
    }
}
