//! A limit of requests that follows latency, over real sockets. What it makes of latencies is tested beside its arithmetic.
use std::sync::Arc;

use tollgate::upstream::{AdaptiveConfig, AdmissionConfig};

use crate::support::*;

/// Asks without a pause, by so many clients, until the condition holds.
async fn under_load(answer: &'static str, condition: impl Fn(&Client) -> bool) {
    let origin = Origin::answering(answer).await;
    let mut config = config(&[origin.address]);
    config.admission = AdmissionConfig {
        queue_timeout: PATIENCE,
        // No latency is too much, so that the limit grows as long as it is told of any.
        adaptive: Some(AdaptiveConfig { initial: 5, tolerance: 1e6, ..AdaptiveConfig::default() }),
        ..AdmissionConfig::default()
    };
    let client = Arc::new(Client::new(config));
    assert_eq!(client.upstream.status().request_limit, 5);
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                loop {
                    client.get("/").await.unwrap();
                }
            })
        })
        .collect();
    until(|| condition(&client)).await;
    clients.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_limit_grows_while_it_is_reached_and_latency_is_well() {
    under_load("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", |client| {
        let status = client.upstream.status();
        assert!(status.active_requests <= 40 && status.waiting_requests <= 40);
        status.request_limit >= 20
    })
    .await;
}

#[tokio::test]
async fn an_origin_that_fails_at_once_is_not_a_fast_one() {
    let began = tokio::time::Instant::now();
    under_load("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", |client| {
        assert_eq!(client.upstream.status().request_limit, 5);
        // Four windows, in which it would have grown.
        began.elapsed() > std::time::Duration::from_millis(400)
    })
    .await;
}
