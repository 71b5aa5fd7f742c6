//! `api-breaker`.
use super::rig::{Reply, Rig, closed_port, curl};

async fn rig() -> Rig {
    Rig::with(include_str!("breaker.yaml"), &[("127.0.0.1:7009", &closed_port())], &[]).await
}

/// Asks until the breaker is open. On a machine that is busy it may be over before the next request: each error more opens it
/// for longer. Tells how many errors it took.
async fn until_open(rig: &Rig, path: &str, open: u16) -> (Reply, usize) {
    for errors in 0..20 {
        let reply = rig.curl(path, &[]).await;
        if reply.status == open {
            return (reply, errors);
        }
        assert_eq!((reply.status, reply.text()), (500, "broken"));
    }
    panic!("{path} is never answered with {open}");
}

#[tokio::test]
async fn after_two_errors_the_answer_is_the_blocks() {
    let rig = rig().await;
    let (broken, errors) = until_open(&rig, "/paths/status/500", 502).await;
    assert_eq!(broken.text(), r#"{"message": "not now"}"#);
    assert_eq!(broken.field("content-type").as_deref(), Some("application/json"));
    assert_eq!(broken.field("x-client").as_deref(), Some("127.0.0.1 at 127.0.0.1"));
    assert!(errors >= 2 && rig.asked("/status/500") == errors, "{errors}");
    // Another path and another host have breakers of their own.
    assert_eq!(rig.curl("/paths/status/503", &[]).await.status, 503);
    assert_eq!(rig.curl("/paths/status/500", &["-H", "Host: other.test"]).await.status, 500);
    assert_eq!(rig.curl("/paths/status/200", &[]).await.status, 200);
}

#[tokio::test]
async fn clients_that_heed_retry_after_come_when_it_is_closed() {
    let rig = rig().await;
    let (open, _) = until_open(&rig, "/bare/status/500", 503).await;
    assert_eq!(open.text(), "");
    assert!(matches!(open.field("retry-after").as_deref(), Some("1" | "2" | "3")), "{open:?}");
    // There is one breaker for the route, so this path is not answered either until then.
    let mut patient = curl();
    patient.args(["--retry", "5", "-o", "/dev/null", "-w", "%{http_code}"]).arg(rig.url("/bare/status/200"));
    assert_eq!(patient.output().await.unwrap().stdout, b"200");
    assert_eq!(rig.asked("/status/200"), 1);
    // One good answer has closed it for good.
    assert_eq!(rig.curl("/bare/status/200", &[]).await.status, 200);
}

#[tokio::test]
async fn another_upstream_stands_in_for_one_that_is_away() {
    let rig = rig().await;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) {
        statuses.push(rig.curl("/fallback/status/200", &[]).await.status);
        assert!(statuses.len() < 20, "nobody stands in: {statuses:?}");
    }
    let failed = statuses.iter().filter(|status| **status == 502).count();
    assert!(failed >= 2 && failed + 1 == statuses.len() && rig.asked("/status/200") == 1, "{statuses:?}");
}
