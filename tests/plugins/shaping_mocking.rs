//! `mocking` as its example has it.
use serde_json::Value;

use super::support::{Rig, refused, route_with};

#[tokio::test]
async fn examples_and_made_up_answers() {
    let rig = Rig::example("mocking").await;
    let user = rig.get("/users/7%22", &[]).await;
    assert_eq!((user.status(), user.text().as_str()), (200, r#"{"id": "7"", "name": "Ada"}"#));
    assert_eq!(user.field("content-type"), Some("application/json;charset=utf8"));
    let by = concat!("tollgate/", env!("CARGO_PKG_VERSION"));
    assert_eq!((user.field("x-mock-by"), user.field("x-calls-left")), (Some(by), Some("10")));

    let users: Value = serde_json::from_slice(&rig.get("/users", &[]).await.body).unwrap();
    let users = users.as_array().unwrap();
    assert!((1..=3).contains(&users.len()));
    for user in users {
        assert!(user["id"].is_u64() && user["name"].is_string() && user["active"] == true, "{user}");
    }

    let xml = rig.get("/user.xml", &[]).await;
    assert_eq!((xml.status(), xml.text().as_str()), (203, "<data><id>7</id></data>"));
    assert_eq!((xml.field("content-type"), xml.field("x-mock-by")), (Some("application/xml"), None));
    assert_eq!(rig.forwarded_count(), 0);
}

#[tokio::test]
async fn a_mock_stands_behind_authentication() {
    let rig = Rig::of(&route_with("{mocking: {response_example: x}, key-auth: {}}")).await;
    assert_eq!(rig.get("/", &[]).await.status(), 401);
}

#[test]
fn faults_are_named_by_their_place() {
    let text = refused(&route_with("{mocking: {response_example: x, content_type: image/png}}"));
    let says = "plugins.mocking.content_type: failed to check the configuration of plugin mocking err: unsupported \
                content type!";
    assert!(text.contains(says), "{text}");
}
