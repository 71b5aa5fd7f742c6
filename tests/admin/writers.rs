//! Writes: what they change, under which conditions, and beside each other.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{Rig, request, stores};

async fn conditional(rig: &Rig, method: &str, path: &str, (field, value): (&str, &str), body: Value) -> u16 {
    let request = request(method, path).header(field, value).body(body.to_string().into()).unwrap();
    rig.ask(request).await.status.as_u16()
}

#[tokio::test]
async fn a_change_is_in_force_when_it_is_answered() {
    for (store, _folder) in stores() {
        let rig = Rig::over(store).await;
        let mocked = |code: u16| json!({"uri": "/a", "plugins": {"mocking": {"response_status": code, "response_example": "x"}}});
        for round in 0..20 {
            let code = 200 + round % 3;
            let reply = rig.put("/routes/1", mocked(code)).await;
            assert_eq!(rig.traffic("/a").await, code);
            assert_eq!(reply.field("etag"), format!("\"{}\"", reply.field("x-tollgate-revision")));
        }
        rig.send("DELETE", "/routes/1", "").await;
        assert_eq!(rig.traffic("/a").await, 404);
    }
}

#[tokio::test]
async fn sec_adm_06_of_two_writers_the_second_has_lost() {
    for (store, _folder) in stores() {
        let rig = Rig::over(store).await;
        let route = |desc: &str| json!({"uri": "/a", "plugins": {}, "desc": desc});
        assert_eq!(conditional(&rig, "PUT", "/routes/1", ("if-match", "*"), route("0")).await, 412, "it is not there");
        assert_eq!(conditional(&rig, "PUT", "/routes/1", ("if-none-match", "*"), route("1")).await, 201);
        assert_eq!(conditional(&rig, "PUT", "/routes/1", ("if-none-match", "*"), route("2")).await, 412);
        let seen = rig.get("/routes/1").await;
        let tag = seen.field("etag").to_owned();
        assert_eq!(tag, format!("\"{}\"", seen.body["modifiedIndex"]));
        assert_eq!(conditional(&rig, "GET", "/routes/1", ("if-none-match", &tag), json!({})).await, 304);

        // Two writers that saw the same: the second has lost.
        assert_eq!(conditional(&rig, "PUT", "/routes/1", ("if-match", &tag), route("first")).await, 200);
        for (method, body) in [("PUT", route("second")), ("PATCH", json!({"desc": "second"})), ("DELETE", json!({}))] {
            assert_eq!(conditional(&rig, method, "/routes/1", ("if-match", &tag), body).await, 412, "{method}");
        }
        assert_eq!(rig.get("/routes/1").await.body["value"]["desc"], "first");
        assert_eq!(conditional(&rig, "GET", "/routes/1", ("if-none-match", &tag), json!({})).await, 200);
        let tag = rig.get("/routes/1").await.field("etag").to_owned();
        assert_eq!(conditional(&rig, "PATCH", "/routes/1", ("if-match", &tag), json!({"desc": "third"})).await, 200);
    }
}

#[tokio::test]
async fn patches() {
    let rig = Rig::memory().await;
    rig.put("/upstreams/u", json!({"nodes": {"a:80": 1, "b:80": 2}, "labels": {"x": "1", "y": "2"}})).await;
    let nodes = |reply: &Value| {
        let list = reply["value"]["nodes"].as_array().unwrap().iter();
        list.map(|node| format!("{}:{}={}", node["host"].as_str().unwrap(), node["port"], node["weight"]))
            .collect::<Vec<_>>()
    };
    let reply =
        rig.json("PATCH", "/upstreams/u", json!({"nodes": {"a:80": null, "c:81": 3}, "labels": {"x": null}})).await;
    assert_eq!(nodes(&reply.body), ["b:80=2", "c:81=3"], "{}", reply.text);
    assert_eq!(reply.body["value"]["labels"], json!({"y": "2"}));
    let reply = rig.json("PATCH", "/upstreams/u", json!({"nodes": [{"host": "d", "port": 1, "weight": 1}]})).await;
    assert_eq!(nodes(&reply.body), ["d:1=1"]);
    let reply = rig.json("PATCH", "/upstreams/u/nodes/0/weight", json!(9)).await;
    assert_eq!(nodes(&reply.body), ["d:1=9"]);
    let reply = rig.json("PATCH", "/upstreams/u/labels/z", json!("3")).await;
    assert_eq!(reply.body["value"]["labels"], json!({"y": "2", "z": "3"}));
    let reply = rig.json("PATCH", "/upstreams/u/labels", Value::Null).await;
    assert!(reply.body["value"].get("labels").is_none(), "{}", reply.text);
    let reply = rig.json("PATCH", "/upstreams/u", json!({"create_time": 1, "update_time": 2})).await;
    assert_eq!((&reply.body["value"]["create_time"], &reply.body["value"]["update_time"]), (&json!(1), &json!(2)));

    let operations = |operations: Value| {
        let request =
            request("PATCH", "/upstreams/u").header("content-type", "application/json-patch+json; charset=utf-8");
        rig.ask(request.body(operations.to_string().into()).unwrap())
    };
    let reply = operations(
        json!([{"op": "test", "path": "/nodes/0/host", "value": "d"}, {"op": "add", "path": "/desc", "value": "x"}]),
    )
    .await;
    assert_eq!((reply.status.as_u16(), &reply.body["value"]["desc"]), (200, &json!("x")), "{}", reply.text);
    let reply =
        operations(json!([{"op": "test", "path": "/desc", "value": "y"}, {"op": "remove", "path": "/desc"}])).await;
    assert_eq!(reply.status, 409, "{}", reply.text);
    assert_eq!(rig.get("/upstreams/u").await.body["value"]["desc"], "x");
}

#[tokio::test]
async fn merges_of_many_writers_all_take_place() {
    for (store, _folder) in stores() {
        let rig = Arc::new(Rig::over(store).await);
        rig.put("/routes/1", json!({"uri": "/a", "plugins": {}})).await;
        // Three at a time: as often as a lost race is tried again.
        for round in 0..5 {
            let writers = (0..3).map(|number| {
                let rig = Arc::clone(&rig);
                tokio::spawn(async move {
                    rig.json("PATCH", "/routes/1", json!({"labels": {format!("l{round}-{number}"): "x"}})).await.status
                })
            });
            for writer in writers.collect::<Vec<_>>() {
                assert_eq!(writer.await.unwrap(), 200);
            }
        }
        let labels = rig.get("/routes/1").await.body["value"]["labels"].as_object().unwrap().len();
        assert_eq!(labels, 15);
    }
}

#[tokio::test]
async fn an_item_vanishes_after_its_time_unless_it_is_written_again() {
    let rig = Rig::memory().await;
    tokio::time::pause();
    let mocked = json!({"uri": "/a", "plugins": {"mocking": {"response_status": 200, "response_example": "x"}}});
    rig.put("/upstreams/u?ttl=60", json!({"nodes": {"127.0.0.1:1": 1}})).await;
    rig.put("/routes/1?ttl=60", mocked.clone()).await;
    rig.put("/routes/2?ttl=60", json!({"uri": "/b", "upstream_id": "u"})).await;
    rig.put("/routes/1", mocked).await;
    let revision = rig.mirror.view().revision();
    tokio::time::advance(Duration::from_secs(61)).await;
    rig.mirror.reached(revision + 1).await;
    while rig.get("/routes/2").await.status != 404 || rig.get("/upstreams/u").await.status != 404 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.get("/routes/1").await.status, 200, "a later write without a time makes it stay");
}

#[tokio::test]
async fn dry_runs_change_nothing_and_tell_what_they_would() {
    let rig = Rig::memory().await;
    rig.put("/routes/all", json!({"uri": "/a", "plugins": {}, "priority": 10})).await;
    let before = rig.stored();
    let reply =
        rig.json("PUT", "/routes/2?dry_run=true", json!({"uri": "/a", "plugins": {}, "methods": ["GET"]})).await;
    assert_eq!((reply.status.as_u16(), &reply.body["status"]), (200, &json!(201)), "{}", reply.text);
    assert_eq!(reply.body["changes"][0]["change"], "created");
    assert_eq!(reply.body["changes"][0]["after"]["id"], "2");
    assert_eq!(reply.body["shadowed"][0]["id"], "2", "{}", reply.text);
    let reply = rig.json("PATCH", "/routes/all?dry_run=true", json!({"priority": 5})).await;
    assert_eq!(reply.body["changes"][0]["change"], "changed");
    let patch = reply.body["changes"][0]["patch"].as_array().unwrap();
    assert!(patch.contains(&json!({"op": "replace", "path": "/priority", "value": 5})), "{patch:?}");
    assert_eq!(reply.body["shadowed"], json!([]));
    let reply = rig.send("DELETE", "/routes/all?dry_run=true", "").await;
    assert_eq!(reply.body["changes"][0]["change"], "removed");
    let reply = rig.json("PUT", "/routes/2?dry_run=true", json!({"uri": 7})).await;
    assert_eq!(reply.status, 400, "what would be refused is refused");
    assert_eq!(rig.json("POST", "/routes?dry_run=true", json!({"uri": "/b", "plugins": {}})).await.status, 200);
    assert_eq!(rig.stored(), before);
}

#[tokio::test]
async fn without_a_gateway_items_are_judged_by_themselves() {
    use tollgate::admin::AdminApi;
    use tollgate::store::{MemoryStore, Mirror, MirrorOptions};
    use tower::ServiceExt as _;

    let mirror = Mirror::start(Arc::new(MemoryStore::new()), MirrorOptions::default());
    mirror.loaded().await;
    let api = AdminApi::builder(mirror, None).settings(super::rig::settings()).build().unwrap();
    for (body, status) in [
        (json!({"uri": "/a", "plugins": {"cors": {}}}), 201),
        (json!({"uri": "/a", "plugins": {"cors": {"surplus": 1}}}), 400),
        (json!({"uri": "/a", "plugins": {"none": {}}}), 400),
        (json!({"uri": "/a", "upstream_id": "none"}), 400),
    ] {
        let request = request("POST", "/routes").body(tollgate::Body::from(body.to_string())).unwrap();
        let response = api.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_broke_a_moment_ago_is_no_fault_of_a_change() {
    use tollgate::admin::AdminApi;
    use tollgate::gateway::Gateway;
    use tollgate::store::{Edit, Key, MemoryStore, Mirror, MirrorOptions, Transaction};
    use tower::ServiceExt as _;

    let mirror = Mirror::start(Arc::new(MemoryStore::new()), MirrorOptions::default());
    mirror.loaded().await;
    // A gateway that has not heard of anything yet.
    let gateway = Gateway::builder().build().unwrap();
    let api = AdminApi::builder(mirror.clone(), Some(gateway)).settings(super::rig::settings()).build().unwrap();
    let broken = json!({"uri": "/b", "upstream_id": "none", "plugins": {"no-such-plugin": {}}}).to_string();
    let edit = Edit::Put { key: Key::new(tollgate::model::Kind::Route, "2").unwrap(), value: broken.into(), ttl: None };
    mirror.commit(Transaction { edits: vec![edit], ..Transaction::default() }).await.unwrap();
    for (path, body, status) in [
        ("/routes/1", json!({"uri": "/a", "plugins": {"cors": {}}}), 201),
        ("/routes/3", json!({"uri": "/a", "plugins": {"none": {}}}), 400),
        ("/routes/2", json!({"uri": "/b", "plugins": {"no-such-plugin": {}}}), 400),
    ] {
        let request = request("PUT", path).body(tollgate::Body::from(body.to_string())).unwrap();
        let response = api.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
    }
}

#[tokio::test]
async fn conditions_are_read_whole_or_do_not_hold() {
    let rig = Rig::memory().await;
    rig.put("/routes/1", json!({"uri": "/a", "plugins": {}})).await;
    let tag = rig.get("/routes/1").await.field("etag").to_owned();
    let asked = async |method: &str, path: &str, name: &str, lines: &[&[u8]]| {
        let mut request = request(method, path);
        for line in lines {
            request = request.header(name, http::HeaderValue::from_bytes(line).unwrap());
        }
        let body = json!({"uri": "/a", "plugins": {}}).to_string();
        rig.ask(request.body(body.into()).unwrap()).await.status.as_u16()
    };
    for name in ["if-match", "if-none-match"] {
        assert_eq!(asked("PUT", "/routes/1", name, &[b"\xff"]).await, 412, "{name}");
        assert_eq!(asked("POST", "/history/1/restore", name, &[b"*"]).await, 400, "{name}");
    }
    assert_eq!(asked("PUT", "/routes/1", "if-none-match", &[b"\"0\"", tag.as_bytes()]).await, 412);
    assert_eq!(asked("GET", "/routes/1", "if-none-match", &[b"\"0\"", tag.as_bytes()]).await, 304);
    assert_eq!(asked("PUT", "/routes/1", "if-match", &[b"\"0\"", tag.as_bytes()]).await, 200);
}
