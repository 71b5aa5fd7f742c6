//! The control API as its clients see it.
#![cfg(feature = "control")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tollgate::control::ControlApi;
use tollgate::gateway::Gateway;
use tollgate::model::{ReadOptions, read};
use tollgate::{Body, Next, Response};
use tower::ServiceExt as _;

/// Stands wherever a secret may be.
const CANARY: &str = "canary-canary-canary";

fn document() -> Value {
    let limit = json!({
        "count": 1, "time_window": 1, "key": "remote_addr", "policy": "local",
        "redis_host": "127.0.0.1", "redis_password": CANARY,
    });
    json!({
        "routes": [
            {"id": "shop", "uri": "/shop/*", "methods": ["GET"], "service_id": "s", "upstream_id": "u", "plugins": {
                "limit-count": limit, "csrf": {"key": CANARY},
            }},
            {"id": "a.b", "uri": "/odd", "upstream_id": "u", "plugins": {"key-auth": {}}},
        ],
        "services": [{"id": "s", "plugins": {"key-auth": {}}, "upstream": {
            "nodes": {"127.0.0.1:1": 1}, "affinity": {"cookie": "c", "secret": CANARY},
        }}],
        "upstreams": [{"id": "u", "nodes": {"127.0.0.1:1": 1}, "checks": {"passive": {}}}],
        "plugin_metadata": [{"id": "limit-count", "limit_header": "X-Limit"}],
        "consumers": [{"username": "jack", "plugins": {"key-auth": {"key": CANARY}}}],
    })
}

fn gateway() -> Gateway {
    let gateway = Gateway::builder().build().unwrap();
    let read = read(&document(), &ReadOptions::default());
    assert_eq!(read.snapshot.rejected, []);
    gateway.apply(read.snapshot).unwrap();
    gateway
}

async fn send(control: &ControlApi, request: Request<Body>) -> (StatusCode, String) {
    let response: Response = control.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().buffer(16 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(control: &ControlApi, path: &str) -> (u16, Value) {
    let request = Request::builder().uri(path).header("host", "localhost:9090").body(Body::empty()).unwrap();
    let (status, body) = send(control, request).await;
    (status.as_u16(), serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}")))
}

async fn get_as(control: &ControlApi, path: &str, accept: &str) -> String {
    let request = Request::builder().uri(path).header("accept", accept).body(Body::empty()).unwrap();
    send(control, request).await.1
}

#[tokio::test]
async fn no_answer_has_a_secret() {
    let control = ControlApi::new(gateway());
    let mut redacted = 0;
    for path in [
        "/v1/routes",
        "/v1/route/shop",
        "/v1/services",
        "/v1/service/s",
        "/v1/upstreams",
        "/v1/plugin_metadatas",
        "/v1/schema",
        "/v1/healthcheck",
        "/v1/config/status",
        "/v1/config/generations",
        "/v1/route/shop/effective?consumer=jack",
        "/v1/discovery/dns/dump",
        "/v1/match?path=/shop/1",
    ] {
        let (status, body) = get(&control, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        let body = body.to_string();
        assert!(!body.contains(CANARY), "{path}: {body}");
        redacted += body.matches("[redacted]").count();
    }
    assert!(redacted >= 8, "{redacted}");
}

#[tokio::test]
async fn items_have_key_and_value() {
    let control = ControlApi::new(gateway());
    let (_, routes) = get(&control, "/v1/routes").await;
    assert_eq!(routes.as_array().unwrap().len(), 2);
    let (_, route) = get(&control, "/v1/route/a%2Eb").await;
    assert_eq!((&route["key"], &route["value"]["uri"]), (&json!("/routes/a.b"), &json!("/odd")));
    let (_, metadata) = get(&control, "/v1/plugin_metadata/limit-count").await;
    assert_eq!(metadata["value"]["limit_header"], json!("X-Limit"));
    for path in ["/v1/route/none", "/v1/upstream/none", "/v1/none", "/", "/v1/healthcheck/upstreams/none"] {
        let (status, body) = get(&control, path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body["error_msg"].is_string(), "{path}: {body}");
    }
}

#[tokio::test]
async fn health_is_told_as_json_and_as_a_page() {
    let control = ControlApi::new(gateway());
    let (_, all) = get(&control, "/v1/healthcheck").await;
    assert_eq!(all[0]["name"], json!("/upstreams/u"));
    assert_eq!(all[0]["nodes"][0]["status"], json!("healthy"));
    let (_, one) = get(&control, "/v1/healthcheck/upstreams/u").await;
    assert_eq!(one, all[0]);
    assert_eq!(get(&control, "/v1/healthcheck/consumers/u").await.0, 400);
    let page = get_as(&control, "/v1/healthcheck", "text/html,*/*").await;
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<td>/upstreams/u</td>"), "{page}");
}

#[tokio::test]
async fn a_request_is_explained() {
    let control = ControlApi::new(gateway());
    let (_, told) = get(&control, "/v1/match?path=/shop/1&method=GET&host=h&header=a:b&client=10.0.0.1").await;
    assert_eq!((&told["outcome"], &told["route"]), (&json!("routed"), &json!("shop")));
    let (_, told) = get(&control, "/v1/match?path=/shop/1&method=POST").await;
    assert_eq!(told["outcome"], json!("no_route"));
    assert_eq!(told["candidates"][0]["id"], json!("shop"));
    let (_, told) = get(&control, "/v1/match?path=/a%252fb").await;
    assert_eq!(told["outcome"], json!("refused"));
    let text = get_as(&control, "/v1/match?path=/shop/1", "text/plain").await;
    assert!(text.ends_with("route shop wins\n"), "{text}");
    for bad in ["", "path=shop", "path=/a&client=x", "path=/a&header=x", "path=/a&method=%20", "path=/a&pth=1"] {
        let (status, body) = get(&control, &format!("/v1/match?{bad}")).await;
        assert_eq!(status, 400, "{bad}: {body}");
    }
}

#[tokio::test]
async fn effective_plugins_are_told_in_order() {
    let control = ControlApi::new(gateway());
    let (_, told) = get(&control, "/v1/route/shop/effective").await;
    let names: Vec<_> = told["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(names, ["key-auth", "csrf", "limit-count"]);
    let first = &told["plugins"][0];
    assert_eq!(first["from"], json!({"kind": "services", "id": "s"}));
    assert_eq!((&first["stage"], &first["priority"]), (&json!("authenticate"), &json!(2500)));
    assert_eq!(first["on_failure"], json!("closed"));
    assert_eq!(get(&control, "/v1/route/none/effective").await.0, 404);
    assert_eq!(get(&control, "/v1/route/shop/effective?consumer=nobody").await.0, 404);
    assert_eq!(get(&control, "/v1/route/shop/effective?user=jack").await.0, 400);
}

#[tokio::test]
async fn the_state_of_the_configuration_is_told() {
    let gateway = gateway();
    let control = ControlApi::new(gateway.clone()).with_source("gateway.yaml");
    let (_, told) = get(&control, "/v1/config/status").await;
    assert_eq!((&told["state"], &told["source"]["place"]), (&json!("ok"), &json!("gateway.yaml")));
    assert_eq!(told["routes"], json!(2));
    let mut faulty = document();
    faulty["routes"][0]["plugins"]["csrf"] = json!({"kex": 1});
    faulty["routes"].as_array_mut().unwrap().push(json!({"id": "new", "uri": "/new", "plugins": {"none": {}}}));
    gateway.adopt(read(&faulty, &ReadOptions::default()).snapshot).unwrap();
    let (_, told) = get(&control, "/v1/config/status").await;
    assert_eq!((&told["state"], &told["kept"][0]["id"]), (&json!("degraded"), &json!("shop")), "{told}");
    assert_eq!(told["left_out"][0]["id"], json!("new"));
    assert!(told["left_out"][0]["findings"][0]["message"].as_str().unwrap().contains("none"), "{told}");
    let (_, generations) = get(&control, "/v1/config/generations").await;
    assert_eq!((&generations[0]["revision"], &generations[0]["whole"]), (&told["revision"], &json!(true)));
}

#[tokio::test]
async fn routes_that_can_never_win_are_told_where_that_is_asked_for() {
    let gateway = Gateway::builder().build().unwrap();
    let route = |id: &str, priority: u8| json!({"id": id, "uri": "/a", "priority": priority, "plugins": {"cors": {}}});
    let read = read(&json!({"routes": [route("one", 1), route("two", 0)]}), &ReadOptions::default());
    gateway.apply(read.snapshot).unwrap();
    let control = ControlApi::new(gateway);
    let (_, told) = get(&control, "/v1/config/status").await;
    assert_eq!(told.get("lint"), None);
    let (_, told) = get(&control, "/v1/config/status?lint=true").await;
    assert!(told["lint"][0].as_str().is_some_and(|lint| lint.contains("two")), "{told}");
}

#[tokio::test]
async fn blocks_of_plugins_that_nobody_knows_are_redacted() {
    let gateway = Gateway::builder().build().unwrap();
    let document = json!({
        "tollgate": {"unknown_plugin": "ignore"},
        "routes": [{"id": "r", "uri": "/", "plugins": {"strange": {"token": CANARY, "more": [CANARY]}, "cors": {}}}],
    });
    gateway.apply(read(&document, &ReadOptions::default()).snapshot).unwrap();
    let (_, route) = get(&ControlApi::new(gateway), "/v1/route/r").await;
    assert_eq!(route["value"]["plugins"]["strange"], json!({"token": "[redacted]", "more": ["[redacted]"]}), "{route}");
}

#[cfg(feature = "store")]
#[tokio::test]
async fn a_local_copy_that_cannot_be_written_degrades() {
    use std::sync::Arc;
    use tollgate::store::{Edit, Key, LocalCopy, MemoryStore, Mirror, MirrorOptions, Transaction};

    let folder = tempfile::tempdir().unwrap();
    let mut options = MirrorOptions::default();
    options.copy = Some(LocalCopy::new(folder.path().join("none/copy"), None));
    let mirror = Mirror::start(Arc::new(MemoryStore::new()), options);
    mirror.loaded().await;
    let key = Key::parse("routes/a").unwrap();
    let put = Edit::Put { key, value: "{\"uri\": \"/\"}".into(), ttl: None };
    mirror.commit(Transaction { edits: vec![put], ..Transaction::default() }).await.unwrap();
    let control = ControlApi::new(gateway()).with_mirror(mirror);
    let told = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            let (_, told) = get(&control, "/v1/config/status").await;
            if told["source"]["copy_error"].is_string() {
                return told;
            }
            tokio::task::yield_now().await;
        }
    });
    let told = told.await.unwrap();
    assert_eq!(told["state"], json!("degraded"), "{told}");
}

#[cfg(feature = "schema")]
#[tokio::test]
async fn schemas_are_those_of_what_is_enabled() {
    let gateway = gateway();
    let control = ControlApi::new(gateway.clone());
    let (_, told) = get(&control, "/v1/schema").await;
    assert!(told["main"]["route"]["properties"]["uri"].is_object());
    let plugin = &told["plugins"]["key-auth"];
    assert_eq!((&plugin["type"], &plugin["priority"]), (&json!("auth"), &json!(2500)));
    assert!(plugin["schema"]["properties"]["_meta"].is_object() && plugin["consumer_schema"].is_object());
    let mut document = document();
    document["plugins"] = json!([{"name": "key-auth"}, {"name": "csrf"}, {"name": "limit-count"}]);
    gateway.apply(read(&document, &ReadOptions::default()).snapshot).unwrap();
    let (_, told) = get(&control, "/v1/schema").await;
    assert_eq!(told["plugins"].as_object().unwrap().keys().collect::<Vec<_>>(), ["csrf", "key-auth", "limit-count"]);
}

#[tokio::test]
async fn pages_of_other_sites_and_other_methods_are_refused() {
    let metrics = Next::from_fn(|_| async { Response::new(Body::from("metrics")) });
    let control = ControlApi::new(gateway()).mount("/metrics", metrics);
    let request = |method: &str, path: &str, host: &str, origin: Option<&str>| {
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(Body::empty()).unwrap()
    };
    for (method, path, host, origin, status) in [
        ("GET", "/metrics", "127.0.0.1:9090", None, 200),
        ("GET", "/metrics", "evil.test", None, 403),
        ("GET", "/v1/routes", "evil.test", None, 403),
        ("GET", "/v1/routes", "localhost", Some("http://evil.test"), 403),
        ("HEAD", "/v1/routes", "localhost", None, 200),
        ("POST", "/v1/routes", "localhost", None, 405),
        ("POST", "/v1/gc", "localhost", None, 404),
        ("PUT", "/v1/plugins/reload", "localhost", None, 200),
        ("GET", "/v1/plugins/reload", "localhost", None, 405),
        ("PUT", "/v1/config/confirm", "localhost", None, 409),
        ("GET", "/v1/config/confirm", "localhost", None, 405),
        ("GET", "/v1/config/status?lint=maybe", "localhost", None, 400),
    ] {
        let (answered, body) = send(&control, request(method, path, host, origin)).await;
        assert_eq!(answered.as_u16(), status, "{method} {path} {host}: {body}");
    }
}
