//! `consumer-restriction` and `acl` as their examples have them.
use super::support::{Rig, refused, route_with, said};

#[tokio::test]
async fn callers_pass_by_name_method_group_and_route() {
    let rig = Rig::example("consumer-restriction").await;
    for (request_line, key, status, message) in [
        ("GET /orders/1", "alice", 200, ""),
        ("POST /orders/1", "alice", 200, ""),
        ("GET /orders/1", "bob", 200, ""),
        ("POST /orders/1", "bob", 403, "The consumer_name is forbidden."),
        ("GET /reports/1", "bob", 403, "The consumer_group_id is forbidden."),
        // She is in no group.
        (
            "GET /reports/1",
            "alice",
            401,
            "The request is rejected, please check the consumer_group_id for this request",
        ),
        ("GET /orders/carol/1", "carol", 200, ""),
        ("GET /orders/1", "carol", 403, "Not for you"),
        ("GET /reports/1", "carol", 403, "Not for you"),
        // Nobody has asked who calls.
        ("GET /open/1", "alice", 401, "The request is rejected, please check the consumer_name for this request"),
    ] {
        let answer = rig.ask(request_line, &[("apikey", &format!("key-of-{key}"))]).await;
        assert_eq!(answer.status(), status, "{request_line} {key}");
        if status != 200 {
            assert_eq!(said(&answer, "message"), message, "{request_line} {key}");
        }
    }
    assert_eq!(rig.forwarded_count(), 4);
}

#[tokio::test]
async fn a_service_is_named_by_its_id() {
    let document = |list: &str| {
        format!(
            "services: [{{id: shop, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}}}}]\n\
             routes:\n\
             - {{id: a, uri: /a, service_id: shop, plugins: {{consumer-restriction: {{type: service_id, {list}: [shop]}}}}}}\n\
             - {{id: b, uri: /b, upstream: {{nodes: {{\"127.0.0.1:7001\": 1}}}},\n\
                plugins: {{consumer-restriction: {{type: service_id, {list}: [shop], rejected_code: 409}}}}}}\n"
        )
    };
    let rig = Rig::of(&document("whitelist")).await;
    assert_eq!(rig.get("/a", &[]).await.status(), 200);
    assert_eq!(rig.get("/b", &[]).await.status(), 401);
    rig.apply(&document("blacklist"));
    let answer = rig.get("/a", &[]).await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (403, "The service_id is forbidden."));
}

#[tokio::test]
async fn callers_pass_by_their_labels() {
    let rig = Rig::example("acl").await;
    for (target, key, status, message) in [
        ("/lake/1", Some("ada"), 200, ""),
        ("/lake/1", Some("ben"), 200, ""),
        ("/lake/1", Some("cleo"), 403, "Not for your team"),
        ("/lake/1", Some("dan"), 403, "Not for your team"),
        ("/lake/1", None, 401, "Missing API key in request"),
        ("/open/1", Some("ada"), 401, "Missing authentication."),
        ("/open/1", None, 401, "Missing authentication."),
    ] {
        let key = key.map(|key| format!("key-of-{key}"));
        let fields: Vec<_> = key.iter().map(|key| ("apikey", key.as_str())).collect();
        let answer = rig.get(target, &fields).await;
        assert_eq!(answer.status(), status, "{target} {key:?}");
        if status != 200 {
            assert_eq!(said(&answer, "message"), message, "{target} {key:?}");
        }
    }
    assert_eq!(rig.forwarded_count(), 2);
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{consumer-restriction: {}}", "at least one of `whitelist`, `blacklist` and `allowed_by_methods`"),
        ("{consumer-restriction: {type: user, whitelist: [a]}}", "plugins.consumer-restriction.type"),
        ("{consumer-restriction: {whitelist: [a, 1]}}", "plugins.consumer-restriction.whitelist.1"),
        ("{acl: {}}", "at least one of `allow_labels` and `deny_labels`"),
        ("{acl: {deny_labels: {team: []}}}", "plugins.acl.deny_labels.team"),
        (
            "{acl: {deny_labels: {team: [a]}, external_user_label_field: 'a..b'}}",
            "plugins.acl.external_user_label_field",
        ),
    ] {
        let faults = refused(&route_with(block));
        assert!(faults.contains(says), "{says} is not in\n{faults}");
    }
}
