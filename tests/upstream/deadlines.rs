//! How long a request may take in all, and the deadlines of gRPC calls.
use std::time::Duration;

use tokio::time::Instant;
use tollgate::upstream::{ForwardContext, RetryConfig, Timeouts};
use tollgate::{Body, BodyError, Exchange};

use crate::support::*;

const SHORT: Duration = Duration::from_millis(150);

fn within(addresses: &[std::net::SocketAddr], total: Duration) -> Client {
    let mut config = config(addresses);
    config.timeouts.total = Some(total);
    config.retry = RetryConfig { retries: Some(50), backoff_base: Duration::ZERO, ..RetryConfig::default() };
    Client::new(config)
}

/// Takes requests and never answers.
async fn silent() -> Origin {
    Origin::start(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await
}

#[tokio::test]
async fn sec_up_09_a_request_takes_no_longer_than_it_may_in_all() {
    let origin = silent().await;
    let client = within(&[origin.address], SHORT);
    let exchange = Exchange::new();
    let cx = ForwardContext { exchange: Some(&exchange), ..ForwardContext::default() };
    let began = Instant::now();
    let error = client.forward(request("GET", "/", Body::empty()), cx).await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("upstream_deadline", 504));
    assert!((SHORT..SHORT * 10).contains(&began.elapsed()));
    assert_eq!(exchange.attempts().next().unwrap().reason, Some("abandoned"));
    assert_eq!(client.upstream.active_requests(), 0);
}

#[tokio::test]
async fn attempts_and_the_queue_are_within_the_time() {
    let origin = silent().await;
    let mut config = within(&[origin.address], SHORT).upstream.config().clone();
    config.retry.per_try = Some(SHORT / 4);
    config.retry.budget_min_per_second = 1000;
    config.admission.max_requests = 1;
    let client = Client::new(config);
    let (one, two) = tokio::join!(client.get("/"), client.get("/"));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.reason(), "upstream_deadline");
    }
    assert!(origin.seen().len() > 2, "{}", origin.seen().len());
}

#[tokio::test]
async fn a_body_is_cut_at_the_end_of_the_time_however_it_flows() {
    let origin = Origin::start(|mut conn| async move {
        conn.request().await;
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        loop {
            pace.tick().await;
            conn.send("1\r\nx\r\n").await;
        }
    })
    .await;
    let client = within(&[origin.address], SHORT);
    let answer = client.send(request("GET", "/", Body::empty())).await.unwrap();
    assert!(matches!(text(answer).await.unwrap_err(), BodyError::Timeout));
    assert_eq!(client.upstream.active_requests(), 0);
    client.idle(0).await;
}

#[tokio::test]
async fn a_route_has_its_own_time_in_all() {
    let origin = silent().await;
    let client = Client::of(&origin);
    let timeouts = Timeouts { total: Some(SHORT), ..Timeouts::default() };
    let cx = ForwardContext { timeouts: Some(&timeouts), ..ForwardContext::default() };
    let error = client.forward(request("GET", "/", Body::empty()), cx).await.unwrap_err();
    assert_eq!(error.reason(), "upstream_deadline");
    // Not a call of gRPC: what it says of a time-out is the endpoint's business.
    let echo = Origin::start(|mut conn| async move {
        while let Some(request) = conn.request().await {
            conn.send(ok(field(&request, "grpc-timeout").unwrap_or_default())).await;
        }
    })
    .await;
    let mut request = request("GET", "/", Body::empty());
    request.headers_mut().insert("grpc-timeout", "1n".parse().unwrap());
    let answer = Client::of(&echo).send(request).await.unwrap();
    assert_eq!(text(answer).await.unwrap(), "1n");
}
