//! What was: listed, compared, restored.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
use serde_json::json;

use super::rig::{Rig, stores};

fn mocked(uri: &str, code: u16) -> serde_json::Value {
    json!({"uri": uri, "plugins": {"mocking": {"response_status": code, "response_example": "x"}}})
}

#[tokio::test]
async fn a_configuration_is_restored_by_one_call() {
    for (store, _folder) in stores() {
        let rig = Rig::over(store).await;
        let revision = |reply: &super::rig::Reply| reply.field("x-tollgate-revision").parse::<u64>().unwrap();
        rig.put("/routes/1", mocked("/a", 201)).await;
        let good = revision(&rig.put("/routes/2", mocked("/b", 202)).await);
        rig.put("/routes/1", mocked("/a", 203)).await;
        rig.send("DELETE", "/routes/2", "").await;
        let bad = revision(&rig.put("/routes/3", mocked("/c", 204)).await);

        let list = rig.get("/history").await.body;
        assert_eq!(list["list"][0]["revision"], bad);
        assert_eq!(list["list"][0]["by"], "root");
        assert_eq!(list["list"][0]["changes"], json!([{"key": "/apisix/routes/3", "change": "created"}]));
        assert_eq!(list["total"], 5);
        let page = rig.get(&format!("/history?limit=1&before={bad}")).await.body;
        assert_eq!(page["list"][0]["changes"], json!([{"key": "/apisix/routes/2", "change": "removed"}]));
        let one = rig.get(&format!("/history/{bad}")).await.body;
        assert_eq!(one["changes"][0]["after"]["uri"], "/c");

        let difference = rig.get(&format!("/history/{good}/diff/{bad}")).await.body;
        let mut told: Vec<_> = difference["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| format!("{} {}", change["key"].as_str().unwrap(), change["change"].as_str().unwrap()))
            .collect();
        told.sort();
        assert_eq!(told, ["/apisix/routes/1 changed", "/apisix/routes/2 removed", "/apisix/routes/3 created"]);

        let dry = rig.send("POST", &format!("/history/{good}/restore?dry_run=true"), "").await;
        assert_eq!((dry.status.as_u16(), dry.body["changes"].as_array().unwrap().len()), (200, 3), "{}", dry.text);
        assert_eq!(rig.traffic("/c").await, 204);

        let reply = rig.send("POST", &format!("/history/{good}/restore"), "").await;
        assert_eq!((reply.status.as_u16(), &reply.body["restored"]), (200, &json!(good)), "{}", reply.text);
        assert_eq!(rig.traffic("/a").await, 201);
        assert_eq!(rig.traffic("/b").await, 202);
        assert_eq!(rig.traffic("/c").await, 404);
        let again = rig.send("POST", &format!("/history/{good}/restore"), "").await;
        assert_eq!((again.status.as_u16(), &again.body["changes"]), (200, &json!([])), "nothing is left to do");
        assert_eq!(
            rig.get("/history").await.body["list"][0]["changes"].as_array().unwrap().len(),
            3,
            "it is a change itself"
        );
    }
}

#[tokio::test]
async fn what_is_unknown_is_said() {
    let rig = Rig::memory().await;
    rig.put("/routes/1", mocked("/a", 201)).await;
    for (method, path, status) in [
        ("GET", "/history/999", 404),
        ("GET", "/history/x", 400),
        ("GET", "/history/1/diff/999", 404),
        ("POST", "/history/999/restore", 404),
        ("GET", "/history?limit=x", 400),
        ("PUT", "/history/1", 405),
    ] {
        let reply = rig.send(method, path, "").await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
    }
}

#[tokio::test]
async fn what_nobody_can_read_is_left_out_of_a_restore() {
    use tollgate::model::Kind;
    use tollgate::store::{Edit, Key, Transaction};

    let rig = Rig::memory().await;
    rig.put("/routes/1", mocked("/a", 201)).await;
    let key = Key::new(Kind::Route, "2").unwrap();
    let edit = Edit::Put { key, value: r#"{"id":"2","uri":7}"#.into(), ttl: None };
    let made = rig.mirror.commit(Transaction { edits: vec![edit], ..Transaction::default() }).await.unwrap();
    for path in ["/routes/1", "/routes/2"] {
        assert_eq!(rig.send("DELETE", path, "").await.status, 200);
    }
    let reply = rig.send("POST", &format!("/history/{}/restore", made.revision), "").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.body["changes"], json!(["/apisix/routes/1"]));
    assert_eq!(reply.body["left_out"], json!(["/apisix/routes/2"]));
    assert_eq!(rig.traffic("/a").await, 201);
}
