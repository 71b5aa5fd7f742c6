//! Limits and time-outs (LIM), through the whole gateway. The clocks of the listener by themselves: `server_limits.rs`.
use std::time::{Duration, Instant};

use tollgate::gateway::Route;
use tollgate::model::Settings;

use crate::peers::origin::{Origin, Step};
use crate::peers::{End, text};
use crate::rig::{BOTH, Front, Rig, get_with, post};

#[tokio::test]
async fn sec_lim_01_request_lines() {
    let line = |length: usize| {
        let path = "a".repeat(length - "GET / HTTP/1.1".len());
        format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n")
    };
    let rig = Rig::new(Front::Own).await;
    rig.refuses(line(8193), 414).await;
    rig.refuses(line(100_000), 414).await;
    assert_eq!(rig.forwards(line(8192)).await.target().len(), 8192 - "GET  HTTP/1.1".len());
}

#[tokio::test]
async fn sec_lim_02_fields() {
    let rig = Rig::new(Front::Own).await;
    let field = |length: usize| format!("X: {}\r\n", "a".repeat(length - 3));
    rig.refuses(get_with(&field(8193)), 431).await;
    rig.refuses(get_with(&"X: y\r\n".repeat(100)), 431).await;
    rig.refuses(get_with(&field(8000).repeat(5)), 431).await;
    rig.refuses(get_with(&field(1 << 20)), 431).await;
    // with the Host that is there already
    rig.forwards(get_with(&field(8192))).await;
    rig.forwards(get_with(&"X: y\r\n".repeat(99))).await;
    rig.forwards(get_with(&field(8000).repeat(4))).await;
}

fn small_bodies() -> Settings {
    let mut settings = Settings::default();
    settings.limits.body_bytes = 1000;
    settings
}

async fn rig_of(front: Front, settings: Settings, origin: Origin) -> Rig {
    Rig::with(front, origin, settings, |builder, node| builder.route(Route::new("/*").to_nodes([node]))).await
}

#[tokio::test]
async fn sec_lim_03_an_announced_body_over_the_limit_is_a_413() {
    for front in BOTH {
        let rig = rig_of(front, small_bodies(), Origin::saying("ok").await).await;
        let request = rig.forwards(post("Content-Length: 1000\r\n", &"x".repeat(1000))).await;
        assert_eq!(request.body.len(), 1000);
        let before = rig.origin.requests().len();
        let mut client = rig.client().await;
        client.send(post("Content-Length: 1001\r\n", &"x".repeat(1001))).await;
        assert_eq!(client.answer().await.status(), 413, "{front:?}");
        // by default 16 MiB
        let default = Rig::new(front).await;
        let mut client = default.client().await;
        client.send(post(&format!("Content-Length: {}\r\n", (16 << 20) + 1), "")).await;
        assert_eq!(client.answer().await.status(), 413, "{front:?}");
        default.untouched("a length over the limit");
        assert_eq!(rig.origin.requests().len(), before);
    }
}

#[tokio::test]
async fn sec_lim_03_a_streamed_body_counts_by_what_comes() {
    let chunk = format!("1f4\r\n{}\r\n", "x".repeat(500));
    for front in BOTH {
        let rig = rig_of(front, small_bodies(), Origin::saying("ok").await).await;
        let request = rig.forwards(post("Transfer-Encoding: chunked\r\n", &(chunk.repeat(2) + "0\r\n\r\n"))).await;
        assert_eq!(request.body.len(), 1000);
        let rig = rig_of(front, small_bodies(), Origin::saying("ok").await).await;
        let mut client = rig.client().await;
        client.send(post("Transfer-Encoding: chunked\r\n", &chunk.repeat(3))).await;
        assert_eq!(client.answer().await.status(), 413, "{front:?}");
        rig.aborted(0, "a body over the limit").await;
        // on our own listener the rest is no request, whatever it is; hyper reads on behind the body's end
        client.send("GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n").await;
        client.finish().await;
        assert!(!text(&client.rest().await).contains("200 OK"), "{front:?}");
        assert_eq!(rig.origin.seen().len(), 1, "{front:?}");
    }
}

#[tokio::test]
async fn sec_lim_06_a_head_that_does_not_end_is_a_408() {
    let mut settings = Settings::default();
    settings.limits.head_timeout_ms = 300;
    let rig = rig_of(Front::Own, settings, Origin::saying("ok").await).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.field("connection")), (408, Some("close")));
    assert_eq!(client.end().await, End::Closed);
    rig.untouched("half a head");
}

#[tokio::test]
async fn sec_lim_09_an_idle_connection_is_closed() {
    let mut settings = Settings::default();
    settings.limits.idle_timeout_ms = 300;
    let rig = rig_of(Front::Own, settings, Origin::saying("ok").await).await;
    let mut client = rig.client().await;
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn sec_lim_10_the_last_request_of_a_connection_says_so() {
    let mut settings = Settings::default();
    settings.limits.max_requests_per_connection = 3;
    let rig = rig_of(Front::Own, settings, Origin::saying("ok").await).await;
    let mut client = rig.client().await;
    for number in 1..=3 {
        client.send(get_with("")).await;
        assert_eq!(client.answer().await.field("connection"), (number == 3).then_some("close"));
    }
    assert_eq!(client.end().await, End::Closed);
}

#[tokio::test]
async fn sec_lim_13_a_request_has_its_time_until_the_answer() {
    let mut settings = Settings::default();
    settings.limits.request_timeout_ms = 400;
    for front in BOTH {
        let silent = Origin::scripted(|_| vec![Step::Request]).await;
        let rig = rig_of(front, settings.clone(), silent).await;
        let begun = Instant::now();
        assert_eq!(rig.ask(get_with("")).await.status(), 504, "{front:?}");
        assert!(begun.elapsed() < Duration::from_secs(3));
        rig.origin.end_of(0).await;
        // an answer that has begun may take longer
        let slow = [Step::Pause(Duration::from_millis(300)), Step::send("xx")];
        let steps: Vec<Step> = [Step::Request, Step::send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")]
            .into_iter()
            .chain([slow.clone(), slow.clone(), slow].into_iter().flatten())
            .collect();
        let rig = rig_of(front, settings.clone(), Origin::scripted(move |_| steps.clone()).await).await;
        assert_eq!(rig.ask(get_with("")).await.text(), "xxxxxx", "{front:?}");
    }
}
