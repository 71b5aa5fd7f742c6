//! Whatever is sent: the status says what is wrong, and nothing is changed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::Body;

use super::rig::{Rig, request, stores};

#[tokio::test]
async fn sec_adm_06_nothing_is_changed_by_bad_input() {
    for (store, _folder) in stores() {
        let rig = Rig::over(store).await;
        rig.put("/upstreams/u", json!({"nodes": {"127.0.0.1:1": 1}})).await;
        rig.put("/routes/r", json!({"uri": "/r", "upstream_id": "u"})).await;
        rig.put("/consumers/jack", json!({"username": "jack", "plugins": {"key-auth": {"key": "key-of-jack"}}})).await;
        rig.put("/global_rules/g", json!({"plugins": {"request-id": {}}})).await;
        let before = rig.stored();

        let large = format!("{{\"uri\":\"/\",\"desc\":\"{}\"}}", "x".repeat(1_536 * 1024));
        let deep = format!("{{\"uri\":\"/\",\"plugins\":{}1{}}}", "{\"a\":".repeat(70), "}".repeat(70));
        let texts: Vec<(&str, &str, Vec<u8>, u16, &str)> = vec![
            ("PUT", "/routes/1", large.into(), 400, "invalid request body"),
            ("PUT", "/routes/1", deep.into(), 400, "invalid request body"),
            ("PUT", "/routes/1", "".into(), 400, "missing configurations"),
            ("PUT", "/routes/1", "{".into(), 400, "invalid request body"),
            ("PUT", "/routes/1", "{\"uri\":\"/\",\"uri\":\"/a\",\"plugins\":{}}".into(), 400, "stands twice"),
            ("PUT", "/routes/1", "uri=/&plugins=".into(), 400, "invalid request body"),
            ("PUT", "/routes/1", vec![b'{', 0xff, b'}'], 400, "invalid request body"),
            ("PATCH", "/routes/r", "[]".into(), 400, "invalid request body"),
            ("PATCH", "/routes/r", "x".into(), 400, "invalid request body"),
        ];
        for (method, path, body, status, error) in texts {
            let reply = rig.send(method, path, body).await;
            assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
            assert!(reply.error().contains(error), "{method} {path}: {}", reply.text);
        }
        let route = |change: Value| {
            let mut route = json!({"uri": "/x", "plugins": {}});
            route.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            route
        };
        let values = [
            ("PUT", "/routes/1", json!([]), 400, "is no object"),
            ("PUT", "/routes/1", json!("x"), 400, "is no object"),
            ("PUT", "/routes/1", json!({}), 400, "invalid configuration"),
            ("PUT", "/routes/1", json!({"uri": 7}), 400, "invalid configuration"),
            ("PUT", "/routes/1", route(json!({"uris": ["/y"]})), 400, "invalid configuration"),
            ("PUT", "/routes/1", route(json!({"surplus": 1})), 400, "surplus"),
            ("PUT", "/routes/1", route(json!({"methods": ["GTE"]})), 400, "methods"),
            ("PUT", "/routes/1", route(json!({"vars": [["a", "??", "b"]]})), 400, "vars"),
            ("PUT", "/routes/1", route(json!({"plugins": {"none": {}}})), 400, "none"),
            (
                "PUT",
                "/routes/1",
                route(json!({"plugins": {"limit-count": {"count": 0, "time_window": 1}}})),
                400,
                "limit-count",
            ),
            ("PUT", "/routes/1", route(json!({"plugins": {"cors": 7}})), 400, "cors"),
            ("PUT", "/routes/1", route(json!({"create_time": 1})), 400, "create_time"),
            ("PUT", "/routes/1", route(json!({"upstream": {"nodes": {}, "update_time": 1}})), 400, "update_time"),
            ("PUT", "/routes/1", route(json!({"plugins": {"create_time": {}}})), 400, "create_time"),
            ("POST", "/routes", route(json!({"update_time": 1})), 400, "update_time"),
            (
                "PUT",
                "/routes/1",
                route(json!({"upstream_id": "x"})),
                400,
                "failed to fetch upstream info by upstream id [x]",
            ),
            (
                "PUT",
                "/routes/1",
                route(json!({"service_id": "x"})),
                400,
                "failed to fetch service info by service id [x]",
            ),
            ("PUT", "/routes/1", route(json!({"plugin_config_id": "x"})), 400, "plugin config id [x]"),
            ("PUT", "/routes/1?ttl=soon", route(json!({})), 400, "ttl"),
            ("PUT", "/routes/1?ttl=-1", route(json!({})), 400, "ttl"),
            ("PUT", "/consumers/jill", json!({"username": "jill", "group_id": "x"}), 400, "consumer group id [x]"),
            (
                "PUT",
                "/consumers/jill",
                json!({"username": "jill", "plugins": {"key-auth": {"key": "key-of-jack"}}}),
                400,
                "invalid configuration",
            ),
            ("PUT", "/consumers/jill/credentials/1", json!({"plugins": {}}), 404, "consumer not found"),
            (
                "PUT",
                "/global_rules/h",
                json!({"plugins": {"request-id": {}}}),
                400,
                "plugin request-id is already in the global rule [g]",
            ),
            ("PUT", "/upstreams/v", json!({"nodes": {"a:80": 1}, "tls": {"client_cert_id": "x"}}), 400, "ssl id [x]"),
            ("PUT", "/ssls/1", json!({"cert": "x", "key": "y", "sni": "a"}), 400, "invalid configuration"),
            ("PATCH", "/routes/r", json!({"uri": null}), 400, "invalid configuration"),
            ("PATCH", "/routes/r", json!({"upstream_id": "x"}), 400, "upstream id [x]"),
            ("PATCH", "/routes/r", json!({"id": "s"}), 400, "wrong route id"),
            ("PATCH", "/routes/r/uri/a", json!(1), 400, "invalid sub-path: /uri/a"),
            ("PATCH", "/routes/r/uri", json!(1), 400, "invalid configuration"),
            ("DELETE", "/upstreams/u", json!({}), 400, "can not delete this upstream, route [r] is still using it now"),
            ("DELETE", "/upstreams/u?force=yes", json!({}), 400, "still using it"),
        ];
        for (method, path, body, status, error) in values {
            let reply = rig.json(method, path, body.clone()).await;
            assert_eq!(reply.status, status, "{method} {path} {body}: {}", reply.text);
            assert!(reply.error().contains(error), "{method} {path} {body}: {}", reply.text);
        }
        assert_eq!(rig.stored(), before);
        assert!(rig.gateway.status().findings.iter().all(|finding| !finding.is_error()));
    }
}

#[tokio::test]
async fn faults_are_told_one_by_one_as_well() {
    let rig = Rig::memory().await;
    let reply = rig.json("PUT", "/routes/1", json!({"uri": 7, "surplus": 1, "plugins": {}})).await;
    let paths: Vec<_> = reply.body["findings"].as_array().unwrap().iter().map(|one| one["path"].clone()).collect();
    assert_eq!(paths.len(), 2, "{}", reply.text);
    assert!(paths.contains(&json!("uri")) && paths.contains(&json!("surplus")), "{paths:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let rig = Rig::memory().await;
    let never = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, tollgate::BoxError>>();
    let body = Body::new(http_body_util::StreamBody::new(never));
    let reply = rig.ask(request("PUT", "/routes/1").body(body).unwrap()).await;
    assert_eq!(reply.status, 408);
}

#[tokio::test]
async fn no_patch_makes_an_item_too_deep_or_too_large() {
    let rig = Rig::memory().await;
    rig.put("/routes/1", json!({"uri": "/a", "plugins": {}, "labels": {"a": "b"}})).await;
    let before = rig.stored();
    let patch = async |operations: Vec<Value>| {
        let request = request("PATCH", "/routes/1").header("content-type", "application/json-patch+json");
        rig.ask(request.body(Value::from(operations).to_string().into()).unwrap()).await
    };
    let copy = |path: &str| json!({"op": "copy", "from": "", "path": path});
    let deeper = (0..65).map(|depth| copy(&format!("{}/x", "/x".repeat(depth)))).collect();
    let reply = patch(deeper).await;
    assert_eq!(reply.status, 400);
    assert!(reply.error().contains("nest deeper than 64"), "{}", reply.text);
    let big = json!({"op": "add", "path": "/labels/big", "value": "x".repeat(500_000)});
    let doubled = (0..20).map(|count| json!({"op": "copy", "from": "/labels/big", "path": format!("/labels/{count}")}));
    let reply = patch(std::iter::once(big).chain(doubled).collect()).await;
    assert!(reply.error().contains("larger than 1572864 bytes"), "{}", reply.text);
    assert_eq!(patch(vec![json!({"op": "test", "path": "/uri", "value": "/a"}); 1001]).await.status, 400);
    let path = format!("/routes/1{}", "/x".repeat(20_000));
    let reply = rig.json("PATCH", &path, json!(1)).await;
    assert!(reply.error().starts_with("invalid sub-path"), "{}", reply.status);
    let half = json!({"labels": {"a": "x".repeat(1_000_000)}});
    assert_eq!(rig.json("PATCH", "/routes/1/desc", json!("x".repeat(1_000_000))).await.status, 400);
    assert_eq!(rig.json("PATCH", "/routes/1", half).await.status, 400);
    assert_eq!(rig.stored(), before);
}
