//! `fault-injection` as its example has it.
use super::support::{Rig, refused, route_with};

#[tokio::test]
async fn aborts_come_before_authentication() {
    let rig = Rig::example("fault-injection").await;
    let answer = rig.get("/orders/1", &[("x-fail", "yes")]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (503, "out of order: /orders/1"));
    assert_eq!(answer.field("retry-after"), Some("5"));
    assert_eq!(rig.get("/orders/1?fail=yes", &[]).await.status(), 503);
    assert_eq!(rig.ask("POST /orders/1?fail=yes", &[]).await.status(), 401);
    assert_eq!(rig.forwarded_count(), 0);
    for _ in 0..8 {
        assert_eq!(rig.get("/orders/1", &[("apikey", "key-of-acme")]).await.status(), 200);
    }
}

#[tokio::test]
async fn an_abort_stands_outside_of_cors_and_inside_of_rewriting() {
    let rig = Rig::of(&route_with(
        "{fault-injection: {abort: {http_status: 500, body: x}}, cors: {}, \
         response-rewrite: {headers: {x-rewritten: 'yes'}}}",
    ))
    .await;
    let answer = rig.get("/", &[("origin", "http://a.test")]).await;
    assert_eq!((answer.status(), answer.field("access-control-allow-origin")), (500, None));
    assert_eq!(answer.field("x-rewritten"), Some("yes"));
}

#[test]
fn faults_are_named_by_their_place() {
    let text = refused(&route_with("{fault-injection: {abort: {http_status: 99}}}"));
    assert!(text.contains("plugins.fault-injection.abort.http_status: "), "{text}");
}
