//! `api-breaker`.
use super::rig::{Rig, closed_port, curl};

async fn rig() -> Rig {
    Rig::with(include_str!("breaker.yaml"), &[("127.0.0.1:7009", &closed_port())], &[]).await
}

#[tokio::test]
async fn after_two_errors_the_answer_is_the_blocks() {
    let rig = rig().await;
    let path = "/paths/status/500";
    for _ in 0..2 {
        assert_eq!(rig.says(path, &[]).await, (500, "broken".to_owned()));
    }
    let broken = rig.curl(path, &[]).await;
    assert_eq!((broken.status, broken.text()), (502, r#"{"message": "not now"}"#));
    assert_eq!(broken.field("content-type").as_deref(), Some("application/json"));
    assert_eq!(broken.field("x-client").as_deref(), Some("127.0.0.1 at 127.0.0.1"));
    assert_eq!(rig.asked("/status/500"), 2);
    // Another path and another host have breakers of their own.
    assert_eq!(rig.curl("/paths/status/503", &[]).await.status, 503);
    assert_eq!(rig.curl(path, &["-H", "Host: other.test"]).await.status, 500);
    assert_eq!(rig.curl("/paths/status/200", &[]).await.status, 200);
}

#[tokio::test]
async fn clients_that_heed_retry_after_come_when_it_is_closed() {
    let rig = rig().await;
    assert_eq!(rig.curl("/bare/status/500", &[]).await.status, 500);
    let open = rig.curl("/bare/status/200", &[]).await;
    assert_eq!((open.status, open.text()), (503, ""), "one breaker for the route");
    assert!(matches!(open.field("retry-after").as_deref(), Some("1" | "2")), "{open:?}");
    let mut patient = curl();
    patient.args(["--retry", "3", "-o", "/dev/null", "-w", "%{http_code}"]).arg(rig.url("/bare/status/200"));
    assert_eq!(patient.output().await.unwrap().stdout, b"200");
    assert_eq!(rig.asked("/status/200"), 1);
    // One good answer has closed it for good: an error is the first again.
    assert_eq!(rig.curl("/bare/status/200", &[]).await.status, 200);
}

#[tokio::test]
async fn another_upstream_stands_in_for_one_that_is_away() {
    let rig = rig().await;
    for status in [502, 502, 200, 200] {
        assert_eq!(rig.curl("/fallback/status/200", &[]).await.status, status);
    }
    assert_eq!(rig.asked("/status/200"), 2);
}
