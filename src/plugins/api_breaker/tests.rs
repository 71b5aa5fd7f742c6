//! Tests of the layer as a whole, on virtual time.
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::plugins::testing::{Answer, ask_over, build_error, built, configured};
use crate::{Body, Error, IntoResponse as _, Next, PluginLayer, Request, Response, reject};

/// An upstream whose status a test sets; it counts requests. Status 0 is one that does not answer, 1 a limiter's
/// rejection.
#[derive(Clone)]
struct End(Arc<(AtomicU16, AtomicUsize)>);

impl End {
    fn new(status: u16) -> Self {
        Self(Arc::new((AtomicU16::new(status), AtomicUsize::new(0))))
    }

    fn next(&self) -> Next {
        let end = Arc::clone(&self.0);
        Next::from_fn(move |_| {
            end.1.fetch_add(1, SeqCst);
            let unavailable = |status| Error::Upstream { status, reason: "connect_refused", retry_after: None };
            let response = match end.0.load(SeqCst) {
                0 => unavailable(http::StatusCode::BAD_GATEWAY).into_response(),
                1 => reject(http::StatusCode::INTERNAL_SERVER_ERROR, "limit-count", "no"),
                status => {
                    let mut response = Response::new(Body::from("theirs"));
                    *response.status_mut() = status.try_into().unwrap();
                    response
                }
            };
            std::future::ready(response)
        })
    }

    fn turns(&self, status: u16) {
        self.0.0.store(status, SeqCst);
    }

    fn asked(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

async fn ask(layer: &PluginLayer, end: &End, uri: &str) -> Answer {
    let request: Request = http::Request::builder().uri(uri).header("host", "a.test").body(Body::empty()).unwrap();
    ask_over(layer, end.next(), request).await
}

async fn statuses(layer: &PluginLayer, end: &End, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(ask(layer, end, "/a").await.status());
    }
    statuses
}

fn layer(more: Value) -> PluginLayer {
    let mut block = json!({"break_response_code": 503});
    block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    built(ApiBreakerPlugin::default(), &block)
}

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn it_opens_and_closes_by_the_upstreams_statuses() {
    let (layer, end) = (layer(json!({})), End::new(500));
    assert_eq!(statuses(&layer, &end, 5).await, [500, 500, 500, 503, 503]);
    assert_eq!(end.asked(), 3);
    wait(2).await;
    end.turns(200);
    assert_eq!(statuses(&layer, &end, 3).await, [200; 3]);
    end.turns(500);
    assert_eq!(statuses(&layer, &end, 4).await, [500, 500, 500, 503], "closed, the counts began anew");
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_answers_counts_only_where_that_is_asked_for() {
    for (no_answer, silent, limited) in [(false, [502; 5], [500; 5]), (true, [502, 502, 502, 503, 503], [500; 5])] {
        let block = json!({"unhealthy": {"no_answer": no_answer}});
        assert_eq!(statuses(&layer(block.clone()), &End::new(0), 5).await, silent);
        assert_eq!(statuses(&layer(block), &End::new(1), 5).await, limited);
    }
    assert_eq!(statuses(&layer(json!({})), &End::new(404), 9).await, [404; 9], "of neither list");
}

#[tokio::test(start_paused = true)]
async fn keys_break_apart() {
    for (key, uri, breaks) in
        [("$host$uri", "/a?x", true), ("$host$uri", "/b", false), ("$host", "/b", true), ("$arg_x", "/a?x=1", false)]
    {
        let (layer, end) = (layer(json!({"key": key})), End::new(500));
        statuses(&layer, &end, 3).await;
        assert_eq!(ask(&layer, &end, uri).await.status() == 503, breaks, "{key} {uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_is_as_configured() {
    let once = json!({"unhealthy": {"failures": 1}});
    let told = |code: u16, more: Value| {
        let mut block = json!({"break_response_code": code});
        for part in [&once, &more] {
            block.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        }
        built(ApiBreakerPlugin::default(), &block)
    };
    let headers = json!([{"key": "content-type", "value": "application/json"}, {"key": "x-path", "value": "$uri"}]);
    let (bare, whole, other) = (
        told(503, json!({"break_response_headers": headers})),
        told(503, json!({"break_response_headers": headers, "break_response_body": "{\"no\": \"$uri\"}"})),
        told(200, json!({"break_response_body": "stale"})),
    );
    let end = End::new(500);
    for layer in [&bare, &whole, &other] {
        ask(layer, &end, "/a").await;
    }
    let answer = ask(&bare, &end, "/a").await;
    assert_eq!((answer.status(), answer.body(), answer.header("x-path")), (503, "", None));
    assert_eq!(answer.header("retry-after").unwrap(), "2");
    let answer = ask(&whole, &end, "/a").await;
    assert_eq!((answer.body(), answer.header("x-path").unwrap().as_str()), ("{\"no\": \"$uri\"}", "/a"));
    assert_eq!(answer.header("content-type").unwrap(), "application/json");
    let answer = ask(&other, &end, "/a").await;
    assert_eq!((answer.status(), answer.body(), answer.header("retry-after")), (200, "stale", None));
    assert_eq!(answer.parts.extensions.get::<crate::Fault>().unwrap().source(), "api-breaker");
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_goes_away_gives_its_place_back() {
    let layer = layer(json!({"half_open_requests": 1}));
    let end = End::new(500);
    statuses(&layer, &end, 3).await;
    wait(2).await;
    let silent = layer.wrap(Next::from_fn(|_| std::future::pending()));
    let request = || http::Request::builder().uri("/a").header("host", "a.test").body(Body::empty()).unwrap();
    let mut probe = silent.run(request());
    assert!(futures_util::poll!(probe.as_mut()).is_pending());
    end.turns(200);
    assert_eq!(statuses(&layer, &end, 2).await, [503, 503], "the probe is under way");
    drop(probe);
    assert_eq!(statuses(&layer, &end, 4).await, [200; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_never_answered_keeps_nobody_out_for_long() {
    let layer = layer(json!({"half_open_requests": 1}));
    let end = End::new(500);
    statuses(&layer, &end, 3).await;
    wait(2).await;
    let silent = layer.wrap(Next::from_fn(|_| std::future::pending()));
    let request = || http::Request::builder().uri("/a").header("host", "a.test").body(Body::empty()).unwrap();
    let mut probe = silent.run(request());
    assert!(futures_util::poll!(probe.as_mut()).is_pending());
    end.turns(200);
    wait(9).await;
    assert_eq!(statuses(&layer, &end, 1).await, [503]);
    wait(1).await;
    assert_eq!(statuses(&layer, &end, 4).await, [200; 4]);
    drop(probe);
}

#[tokio::test(start_paused = true)]
async fn healthy_upstreams_cost_no_memory_and_what_is_over_is_forgotten() {
    let plugin = ApiBreakerPlugin::default();
    let layer: PluginLayer =
        plugin.layer(configured(json!({"break_response_code": 503, "max_breaker_sec": 3}))).unwrap().into();
    let end = End::new(200);
    statuses(&layer, &end, 3).await;
    assert_eq!(plugin.keys(), 0);
    end.turns(500);
    assert_eq!(statuses(&layer, &end, 2).await, [500; 2]);
    assert_eq!(plugin.keys(), 1);
    wait(3).await;
    assert_eq!(statuses(&layer, &end, 4).await, [500, 500, 500, 503], "the two were long ago");
}

#[test]
fn faults_name_their_field() {
    for (block, says) in [
        (json!({}), "break_response_code: is required"),
        (json!({"break_response_code": 600}), "break_response_code"),
        (json!({"break_response_code": 503, "max_breaker_sec": 2}), "max_breaker_sec: is at least 3"),
        (json!({"break_response_code": 503, "unhealthy": {"http_statuses": []}}), "unhealthy.http_statuses: is empty"),
        (json!({"break_response_code": 503, "unhealthy": {"http_statuses": [499]}}), "499 is not from 500 to 599"),
        (json!({"break_response_code": 503, "healthy": {"http_statuses": [200, 200]}}), "200 stands there twice"),
        (json!({"break_response_code": 503, "unhealthy": {"failures": 0}}), "unhealthy.failures"),
        (json!({"break_response_code": 503, "unhealthy": {"failure_ratio": 0}}), "unhealthy.failure_ratio"),
        (json!({"break_response_code": 503, "unhealthy": {"window_sec": 0}}), "unhealthy.window_sec"),
        (json!({"break_response_code": 503, "half_open_requests": 0}), "half_open_requests"),
        (json!({"break_response_code": 503, "key": "${"}), "key: "),
        (json!({"break_response_code": 503, "fallback_upstream_id": "u"}), "there is no upstream u"),
        (
            json!({"break_response_code": 503, "break_response_headers": [{"key": "te", "value": "a"}]}),
            "break_response_headers.0.key",
        ),
        (
            json!({"break_response_code": 503, "break_response_headers": [{"key": "a", "value": ""}]}),
            "break_response_headers.0.value",
        ),
    ] {
        let error = build_error(ApiBreakerPlugin::default(), &block);
        assert!(error.contains(says), "{block}: {error}");
    }
}
