//! Every path with every method: the exact status, and the body where it is said.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use serde_json::{Value, json};

use super::rig::{Rig, stores};

const PEM: &str = "-----BEGIN CERTIFICATE-----\n";

/// Kind, path of one, a body, whether POST and PATCH are there, and a change of it.
fn resources() -> Vec<(&'static str, &'static str, Value, bool, bool, Value)> {
    let (cert, key) = certificate();
    vec![
        ("route", "/routes/1", json!({"uri": "/a", "plugins": {}}), true, true, json!({"desc": "new"})),
        ("service", "/services/1", json!({}), true, true, json!({"desc": "new"})),
        ("upstream", "/upstreams/1", json!({"nodes": {"127.0.0.1:1": 1}}), true, true, json!({"desc": "new"})),
        ("ssl", "/ssls/1", json!({"cert": cert, "key": key, "sni": "a.test"}), true, true, json!({"desc": "new"})),
        ("consumer group", "/consumer_groups/1", json!({"plugins": {}}), false, true, json!({"desc": "new"})),
        ("plugin config", "/plugin_configs/1", json!({"plugins": {}}), false, true, json!({"desc": "new"})),
        ("global rule", "/global_rules/1", json!({"plugins": {}}), false, true, json!({"plugins": {"cors": {}}})),
        ("secret", "/secrets/env/1", json!({"prefix": "A_"}), false, true, json!({"prefix": "B_"})),
        ("proto", "/protos/1", json!({"content": "syntax = \"proto3\";"}), true, false, json!({"desc": "new"})),
        ("consumer", "/consumers/jack", json!({"username": "jack"}), false, false, json!({"desc": "new"})),
        (
            "credential",
            "/consumers/jack/credentials/1",
            json!({"plugins": {"key-auth": {"key": "k1"}}}),
            false,
            false,
            json!({"desc": "new"}),
        ),
        ("plugin metadata", "/plugin_metadata/jwt-auth", json!({}), false, false, json!({})),
    ]
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    assert!(made.cert.pem().starts_with(PEM));
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[tokio::test]
async fn every_kind_of_resource() {
    for (store, _folder) in stores() {
        let rig = Rig::over(store).await;
        rig.put("/consumers/jack", json!({"username": "jack"})).await;
        rig.send("DELETE", "/consumers/jack", "").await;
        for (kind, one, body, post, patch, change) in resources() {
            if kind == "credential" {
                rig.put("/consumers/jack", json!({"username": "jack"})).await;
            }
            resource(&rig, kind, one, &body, (post, patch), &change).await;
        }
    }
}

async fn resource(rig: &Rig, kind: &str, one: &str, body: &Value, (post, patch): (bool, bool), change: &Value) {
    let all = match kind {
        "secret" => "/secrets",
        _ => one.rsplit_once('/').unwrap().0,
    };
    let key = format!("/apisix{one}");
    let reply = rig.get(all).await;
    assert_eq!((reply.status.as_u16(), &reply.body), (200, &json!({"total": 0, "list": []})), "{kind}");
    let reply = rig.get(one).await;
    assert_eq!((reply.status.as_u16(), reply.body), (404, json!({"message": "Key not found"})), "{kind}");
    let reply = rig.send("DELETE", one, "").await;
    if kind != "plugin metadata" {
        assert_eq!((reply.status.as_u16(), reply.body), (404, json!({"message": "Key not found"})), "{kind}");
    }

    let created = rig.json("PUT", one, body.clone()).await;
    if kind == "plugin metadata" {
        // No plugin of this crate takes metadata that is empty; that it is judged is what counts.
        assert_eq!(created.status, 400, "{}", created.text);
        assert!(created.error().contains("takes no metadata"), "{}", created.text);
        return;
    }
    assert_eq!(created.status, 201, "{kind}: {}", created.text);
    assert_eq!(created.body["key"], key, "{kind}");
    assert_eq!(created.body.as_object().unwrap().len(), 2, "{kind}: key and value");
    assert_eq!(created.field("x-api-version"), "v3");
    let value = &created.body["value"];
    assert!(value["create_time"].is_u64() && value["update_time"].is_u64(), "{kind}: {value}");
    let named = if kind == "consumer" { "username" } else { "id" };
    let id = if kind == "secret" { "env/1" } else { one.rsplit('/').next().unwrap() };
    assert_eq!(value[named], id, "{kind}");

    let replaced = rig.json("PUT", one, body.clone()).await;
    assert_eq!(replaced.status, 200, "{kind}: {}", replaced.text);
    assert_eq!(replaced.body["value"]["create_time"], value["create_time"], "{kind}");

    let read = rig.get(one).await;
    assert_eq!(read.status, 200, "{kind}");
    assert_eq!(read.body["key"], key);
    assert_eq!(read.body["value"], replaced.body["value"], "{kind}");
    assert!(read.body["createdIndex"].as_u64() < read.body["modifiedIndex"].as_u64(), "{kind}");
    let list = rig.get(all).await.body;
    assert_eq!((&list["total"], &list["list"]), (&json!(1), &json!([read.body])), "{kind}");
    assert_eq!(rig.send("HEAD", one, "").await.text, "", "{kind}");

    let posted = rig.json("POST", all, without_name(body)).await;
    if post {
        assert_eq!(posted.status, 201, "{kind}: {}", posted.text);
        let id = posted.body["value"]["id"].as_str().unwrap();
        assert_eq!(id.len(), 36, "{kind}");
        assert_eq!(posted.body["key"], format!("/apisix{all}/{id}"));
        let named = rig.json("POST", one, body.clone()).await;
        assert_eq!((named.status.as_u16(), named.error()), (400, &*format!("wrong {kind} id, do not need it")));
        let gone = rig.send("DELETE", &format!("{all}/{id}"), "").await;
        assert_eq!(gone.status, 200, "{kind}");
    } else {
        assert_eq!(
            (posted.status.as_u16(), posted.error()),
            (405, &*format!("not supported `POST` method for {kind}"))
        );
        assert!(posted.field("allow").contains("PUT"), "{}", posted.field("allow"));
    }

    let patched = rig.json("PATCH", one, change.clone()).await;
    if patch {
        assert_eq!(patched.status, 200, "{kind}: {}", patched.text);
        for (name, value) in change.as_object().unwrap() {
            let now = &patched.body["value"][name];
            // Objects are merged into what is there.
            assert!(if value.is_object() { now.is_object() } else { now == value }, "{kind} {name}: {now}");
        }
        let missing = rig.json("PATCH", all, change.clone()).await;
        assert_eq!((missing.status.as_u16(), missing.error()), (400, &*format!("missing {kind} id")));
        let nowhere = rig.json("PATCH", &format!("{one}0"), change.clone()).await;
        assert_eq!((nowhere.status.as_u16(), nowhere.body), (404, json!({"message": "Key not found"})), "{kind}");
    } else {
        assert_eq!(
            (patched.status.as_u16(), patched.error()),
            (405, &*format!("not supported `PATCH` method for {kind}"))
        );
    }

    let missing = rig.send("DELETE", all, "").await;
    assert_eq!((missing.status.as_u16(), missing.error()), (400, &*format!("missing {kind} id")));
    let gone = rig.send("DELETE", one, "").await;
    assert_eq!((gone.status.as_u16(), gone.body), (200, json!({"deleted": "1", "key": key})), "{kind}");
    assert_eq!(rig.get(one).await.status, 404, "{kind}");
}

fn without_name(body: &Value) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove("id");
    body
}

#[tokio::test]
async fn ids_stand_in_the_path_or_in_the_body() {
    let rig = Rig::memory().await;
    let route = |id: Value| json!({"id": id, "uri": "/a", "plugins": {}});
    for (path, body, status, error) in [
        ("/routes/1", route(json!("1")), 201, ""),
        ("/routes/1", route(json!(1)), 200, ""),
        ("/routes", route(json!("2")), 201, ""),
        ("/routes", route(json!(3)), 201, ""),
        ("/routes/1", route(json!("2")), 400, "wrong route id"),
        ("/routes", json!({"uri": "/a", "plugins": {}}), 400, "missing route id"),
        ("/routes", route(json!("")), 400, "missing route id"),
        ("/routes", route(json!(["x"])), 400, "wrong route id"),
        ("/consumers", json!({"username": "jack"}), 201, ""),
        ("/consumers/jack", json!({"username": "jill"}), 400, "wrong consumer username"),
        ("/consumers", json!({"plugins": {}}), 400, "missing consumer username"),
        ("/consumers/jack/credentials", json!({"id": "c", "plugins": {"key-auth": {"key": "x"}}}), 201, ""),
        ("/consumers/none/credentials/c", json!({"plugins": {}}), 404, "consumer not found"),
        ("/plugin_metadata/none", json!({}), 400, "invalid plugin name"),
    ] {
        let reply = rig.json("PUT", path, body.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.error()), (status, error), "{path} {body}");
    }
    let reply = rig.json("POST", "/routes", route(json!("9"))).await;
    assert_eq!((reply.status.as_u16(), reply.error()), (400, "wrong route id, do not need it"));
    let reply = rig.json("PUT", "/routes/a%20b", json!({"uri": "/a", "plugins": {}})).await;
    assert_eq!(reply.status, 400);
    assert_eq!(rig.get("/routes/3").await.body["value"]["id"], "3", "ids are strings");
    assert_eq!(rig.get("/consumers/none/credentials").await.error(), "consumer not found");
}

#[tokio::test]
async fn what_is_no_resource() {
    let rig = Rig::memory().await;
    let reply = rig.send("HEAD", "", "").await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
    let reply = rig.get("/nothing/1").await;
    assert_eq!((reply.status.as_u16(), reply.error()), (404, "Unsupported resource type: nothing"));
    assert_eq!(rig.ask(http::Request::get("/apisix/adminx").body("".into()).unwrap()).await.status, 404);
    for method in ["GET", "PUT", "POST", "DELETE"] {
        let path = if method == "POST" { "/stream_routes" } else { "/stream_routes/1" };
        let reply = rig.json(method, path, json!({})).await;
        assert_eq!(
            (reply.status.as_u16(), reply.error()),
            (400, "stream mode is disabled, can not add stream routes"),
            "{method}"
        );
    }

    let names = rig.get("/plugins/list").await.body;
    let names: Vec<&str> = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    assert!(
        at("real-ip") < at("cors") && at("cors") < at("key-auth") && at("key-auth") < at("prometheus"),
        "{names:?}"
    );
    assert_eq!(rig.get("/plugins/list?subsystem=stream").await.body, json!([]));
    assert_eq!(rig.get("/plugins").await.status, 400);
    let plugins = rig.get("/plugins?all=true").await.body;
    assert_eq!(plugins["key-auth"]["priority"], 2500);
    assert_eq!(plugins["key-auth"]["type"], "auth");
    assert!(plugins["key-auth"]["consumer_schema"]["properties"]["key"].is_object(), "{}", plugins["key-auth"]);
    assert_eq!(rig.get("/plugins/cors").await.body["type"], "object");
    let consumer = rig.get("/plugins/key-auth?schema_type=consumer").await.body;
    assert!(consumer["properties"]["key"].is_object(), "{consumer}");
    assert_eq!(rig.get("/plugins/none").await.status, 404);
    let reload = rig.send("PUT", "/plugins/reload", "").await;
    assert_eq!((reload.status.as_u16(), reload.text.as_str()), (200, "done"));
    assert_eq!(rig.send("POST", "/plugins/reload", "").await.status, 405);

    for kind in ["route", "routes", "service", "upstream", "consumer", "credential", "ssl", "secret", "global_rule"] {
        assert_eq!(rig.get(&format!("/schema/{kind}")).await.body["type"], "object", "{kind}");
    }
    assert_eq!(rig.get("/schema/none").await.status, 400);
    assert_eq!(rig.get("/schema/plugins/cors").await.body["type"], "object");
    assert_eq!(rig.get("/schema/plugins/none").await.status, 404);
    assert_eq!(rig.get("/openapi.json").await.body["openapi"], "3.1.0");
    assert_eq!(rig.get("/configs").await.status, 404, "only where it is asked for");
    assert!(rig.stored().is_empty());
}

#[tokio::test]
async fn judging_without_storing() {
    let rig = Rig::memory().await;
    for (kind, body, ok) in [
        ("route", json!({"uri": "/a", "upstream_id": "none", "plugins": {"none": {}}}), true),
        ("route", json!({"uri": 1}), false),
        ("route", json!({"uri": "/a", "plugins": {}, "surplus": 1}), false),
        ("upstream", json!({"nodes": {"a:80": -1}}), false),
        ("consumer", json!({"username": "jack"}), true),
        ("consumer", json!({"username": "no blanks"}), false),
        ("credential", json!({"plugins": {"key-auth": {}}}), true),
        ("secret", json!({"id": "vault/1", "uri": "http://v", "prefix": "p", "token": "t"}), true),
        ("consumer_group", json!({}), false),
    ] {
        let reply = rig.json("POST", &format!("/schema/validate/{kind}"), body.clone()).await;
        assert_eq!(reply.status.as_u16(), if ok { 200 } else { 400 }, "{kind} {body}: {}", reply.text);
        assert_eq!(reply.text.is_empty(), ok);
    }
    assert_eq!(rig.json("POST", "/schema/validate/none", json!({})).await.status, 400);

    let good = json!({"routes": [{"id": "r", "uri": "/a", "upstream_id": "absent"}]});
    let reply = rig.json("POST", "/configs/validate", good).await;
    assert_eq!((reply.status.as_u16(), reply.body), (200, json!({})), "references are not looked at");

    let bad = json!({
        "routes": [
            {"id": "a", "uri": "/a", "plugins": {}},
            {"id": "b", "uri": "/b", "plugins": {"limit-count": {"count": "x"}}},
            {"id": "a", "uri": "/c", "plugins": {}},
        ],
        "upstreams": [{"id": "u", "nodes": 7}],
    });
    let reply = rig.json("POST", "/configs/validate", bad).await;
    assert_eq!(reply.status, 400);
    let errors = reply.body["errors"].as_array().unwrap().clone();
    let found: Vec<_> =
        errors.iter().map(|error| (error["resource_type"].as_str().unwrap(), &error["resource_id"])).collect();
    assert!(found.contains(&("routes", &json!("b"))), "{found:?}");
    assert!(found.contains(&("routes", &json!("a"))), "{found:?}");
    assert!(found.contains(&("upstreams", &json!("u"))), "{found:?}");
    let b = errors.iter().find(|error| error["resource_id"] == "b").unwrap();
    assert_eq!(b["index"], 1);
    assert!(b["error"].as_str().unwrap().contains("limit-count"), "{b}");

    let request = super::rig::request("POST", "/configs/validate").header("content-type", "application/yaml");
    let reply = rig.ask(request.body("routes:\n  - {id: a, uri: /a, plugins: {}}\n".into()).unwrap()).await;
    assert_eq!((reply.status.as_u16(), reply.body), (200, json!({})));
    assert!(rig.stored().is_empty());
}
