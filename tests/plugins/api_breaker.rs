//! `api-breaker` in a whole gateway.
use tollgate::gateway::Gateway;

use super::peers::origin::{Origin, Step};
use super::support::{Rig, example, refused, route_with, said};

async fn failing(status: u16) -> Origin {
    Origin::answering(format!("HTTP/1.1 {status} No\r\nContent-Length: 6\r\n\r\ntheirs")).await
}

#[tokio::test]
async fn the_example_opens_for_all_paths_of_the_route() {
    let rig = Rig::before(failing(502).await, Gateway::builder(), &example("api-breaker")).await;
    for number in 0..3 {
        assert_eq!(rig.get(&format!("/orders/{number}"), &[]).await.text(), "theirs");
    }
    let answer = rig.get("/orders/4", &[]).await;
    assert_eq!((answer.status(), said(&answer, "message").as_str()), (503, "orders are not available now"));
    assert_eq!((answer.field("content-type"), answer.field("retry-after")), (Some("application/json"), Some("2")));
    assert_eq!(rig.forwarded_count(), 3);
    rig.apply(&format!("{}\nprotos: []\n", example("api-breaker").replace("#END", "")));
    assert_eq!(rig.get("/orders/4", &[]).await.status(), 503, "it outlives a reload");
}

#[tokio::test]
async fn an_upstream_that_closes_counts_where_that_is_asked_for() {
    let origin = Origin::scripted(|_| vec![Step::Request, Step::Close]).await;
    let rig = Rig::before(origin, Gateway::builder(), &example("api-breaker")).await;
    for _ in 0..3 {
        assert_eq!(rig.ask("POST /orders/1", &[]).await.status(), 502);
    }
    assert_eq!(rig.ask("POST /orders/1", &[]).await.status(), 503);
}

#[tokio::test]
async fn another_upstream_answers_while_it_is_open() {
    let stand_in = Origin::saying("stand-in").await;
    let yaml = format!(
        "upstreams: [{{id: other, nodes: {{\"{}\": 1}}}}]\n{}",
        stand_in.address(),
        route_with("{api-breaker: {break_response_code: 503, fallback_upstream_id: other, unhealthy: {failures: 1}}}")
    );
    let rig = Rig::before(failing(500).await, Gateway::builder(), &yaml).await;
    assert_eq!(rig.get("/", &[]).await.text(), "theirs");
    assert_eq!(rig.get("/", &[]).await.text(), "stand-in");
    assert_eq!((rig.forwarded_count(), stand_in.requests().len()), (1, 1));
}

#[tokio::test]
async fn traffic_split_leaves_the_upstream_that_stands_in() {
    let (stand_in, canary) = (Origin::saying("stand-in").await, failing(500).await);
    let yaml = format!(
        "upstreams: [{{id: other, nodes: {{\"{}\": 1}}}}, {{id: canary, nodes: {{\"{}\": 1}}}}]\n{}",
        stand_in.address(),
        canary.address(),
        route_with(
            "{api-breaker: {break_response_code: 503, fallback_upstream_id: other, unhealthy: {failures: 1}}, \
             traffic-split: {rules: [{weighted_upstreams: [{upstream_id: canary, weight: 1}, {weight: 1}]}]}}"
        )
    );
    let rig = Rig::before(failing(500).await, Gateway::builder(), &yaml).await;
    assert_eq!(rig.get("/", &[]).await.text(), "theirs");
    for _ in 0..4 {
        assert_eq!(rig.get("/", &[]).await.text(), "stand-in", "neither of the two that fail is asked");
    }
    assert_eq!((rig.forwarded_count() + canary.requests().len(), stand_in.requests().len()), (1, 4));
}

#[test]
fn faults_are_named_by_their_place() {
    for (block, says) in [
        ("{break_response_code: 600}", "plugins.api-breaker.break_response_code: "),
        ("{break_response_code: 500, max_breaker_sec: 1}", "plugins.api-breaker.max_breaker_sec: "),
        (
            "{break_response_code: 500, unhealthy: {http_statuses: [200]}}",
            "plugins.api-breaker.unhealthy.http_statuses: ",
        ),
    ] {
        let text = refused(&route_with(&format!("{{api-breaker: {block}}}")));
        assert!(text.contains(says), "{text}");
    }
}
