//! A second attempt beside a slow one.
use std::time::Duration;

use tollgate::upstream::{ForwardContext, RetryConfig, UpstreamConfig};
use tollgate::{Body, Exchange};

use crate::support::*;

/// Answers once the gate is open; the second gate opens when the client has gone.
async fn gated(answer: Gate, gone: Gate) -> Origin {
    Origin::start(move |mut conn| {
        let (answer, gone) = (answer.clone(), gone.clone());
        async move {
            conn.request().await;
            tokio::select! {
                () = answer.pass() => conn.send(ok("late")).await,
                () = conn.closed() => gone.open(),
            }
        }
    })
    .await
}

/// `first` is asked first, and `then` if there is no answer after a while.
fn hedged(first: &Origin, then: &Origin) -> UpstreamConfig {
    let mut config = config(&[]);
    config.nodes = vec![node(first.address).with_priority(1), node(then.address)];
    config.retry = RetryConfig { hedge_after: Some(Duration::from_millis(30)), ..RetryConfig::default() };
    config
}

#[tokio::test]
async fn the_first_answer_wins_and_the_other_attempt_is_given_up() {
    let gone = Gate::default();
    let slow = gated(Gate::default(), gone.clone()).await;
    let quick = Origin::naming().await;
    let client = Client::new(hedged(&slow, &quick));
    let exchange = Exchange::new();
    let cx = ForwardContext { exchange: Some(&exchange), ..ForwardContext::default() };
    let mut request = request("PUT", "/", "body");
    request.headers_mut().insert("x-id", "7".parse().unwrap());
    assert_eq!(text(client.forward(request, cx).await.unwrap()).await.unwrap(), "7");
    gone.pass().await;
    assert!(slow.seen()[0].ends_with("body") && quick.seen()[0].ends_with("body"));
    let ends: Vec<_> =
        exchange.attempts().map(|attempt| (attempt.status.map(|s| s.as_u16()), attempt.reason)).collect();
    assert_eq!(ends, [(Some(200), None), (None, Some("abandoned"))]);
    assert_eq!(client.upstream.active_requests(), 0);
}

#[tokio::test]
async fn an_answer_in_time_stays_alone() {
    let (one, two) = (Origin::naming().await, Origin::naming().await);
    let mut config = hedged(&one, &two);
    config.retry.hedge_after = Some(Duration::from_secs(10));
    let client = Client::new(config);
    for _ in 0..5 {
        client.get("/").await.unwrap();
    }
    assert_eq!((one.seen().len(), two.seen().len()), (5, 0));
}

#[tokio::test]
async fn a_failure_of_one_does_not_end_the_other() {
    let answer = Gate::default();
    let slow = gated(answer.clone(), Gate::default()).await;
    let failing = Origin::start({
        let answer = answer.clone();
        move |mut conn| {
            let answer = answer.clone();
            async move {
                conn.request().await;
                drop(conn);
                answer.open();
            }
        }
    })
    .await;
    assert_eq!(Client::new(hedged(&slow, &failing)).get("/").await.unwrap().1, "late");
    assert_eq!(failing.seen().len(), 1);
}

/// Asks for something that is not to be hedged: the slow endpoint alone is asked.
async fn stays_alone(config: impl Fn(&mut UpstreamConfig), method: &str, body: Body) {
    let answer = Gate::default();
    let slow = gated(answer.clone(), Gate::default()).await;
    let quick = Origin::naming().await;
    let mut hedged = hedged(&slow, &quick);
    config(&mut hedged);
    let client = Client::new(hedged);
    // Opened when a hedge would long be on its way.
    let opening = async {
        until(|| !slow.seen().is_empty()).await;
        let _ = tokio::time::timeout(Duration::from_millis(120), std::future::pending::<()>()).await;
        answer.open();
    };
    let (answer, ()) = tokio::join!(client.send(request(method, "/", body)), opening);
    assert_eq!(text(answer.unwrap()).await.unwrap(), "late");
    assert_eq!(quick.seen().len(), 0);
}

#[tokio::test]
async fn only_what_may_be_delivered_twice_is_sent_twice() {
    stays_alone(|_| {}, "POST", Body::from("once")).await;
    let stream = http_body_util::Limited::new(http_body_util::Full::new(bytes::Bytes::from("12345")), 9);
    stays_alone(|_| {}, "PUT", Body::new(stream)).await;
}

#[tokio::test]
async fn sec_ret_05_second_attempts_come_out_of_the_budget() {
    let nothing = |config: &mut UpstreamConfig| {
        config.retry.budget_ratio = 0.0;
        config.retry.budget_min_per_second = 0;
    };
    stays_alone(nothing, "GET", Body::empty()).await;
    stays_alone(|config| config.retry.retries = Some(0), "GET", Body::empty()).await;
}
