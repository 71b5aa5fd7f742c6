//! The layer over virtual time.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use tower::{Layer as _, ServiceExt as _};

use super::config::MetricAttr;
use super::{Metrics, PrometheusAttr, PrometheusConfig};
use crate::error::{Request, Response};
use crate::{Attempt, Body, BodyError, Exchange};

fn metrics(expire: u32) -> Metrics {
    let of = |name: &str| (name.to_owned(), MetricAttr { expire, ..MetricAttr::default() });
    Metrics::new(PrometheusAttr {
        refresh_interval: 0,
        default_buckets: vec![10.0, 100.0, 1000.0],
        metrics: ["http_status", "http_latency", "bandwidth"].map(of).into(),
        ..PrometheusAttr::default()
    })
    .unwrap()
}

/// Waits 40 ms by itself, then 400 ms for an endpoint, and streams 3 bytes a second later.
async fn slow(request: Request) -> Result<Response, Infallible> {
    tokio::time::sleep(Duration::from_millis(40)).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let exchange = request.extensions().get::<Exchange>().unwrap();
    exchange.add_attempt(Attempt { took: Duration::from_millis(400), ..Attempt::new("shop.test:80") });
    let late = futures_util::stream::once(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, BodyError>(http_body::Frame::data(Bytes::from_static(b"abc")))
    });
    Ok(Response::new(Body::new(StreamBody::new(Box::pin(late)))))
}

async fn lines(metrics: &Metrics, wanted: &str) -> Vec<String> {
    let text = String::from_utf8(metrics.text().await.to_vec()).unwrap();
    text.lines().filter(|line| line.starts_with(wanted)).map(str::to_owned).collect()
}

/// The values of the lines that begin with `wanted`.
async fn values(metrics: &Metrics, wanted: &str) -> Vec<f64> {
    let lines = lines(metrics, wanted).await;
    lines.iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn time_is_told_apart_and_a_request_ends_with_its_body() {
    let metrics = metrics(0);
    let service = metrics.layer(&PrometheusConfig::default()).layer(tower::service_fn(slow));
    let response = service.oneshot(Request::default()).await.unwrap();
    assert_eq!(values(&metrics, "tollgate_http_requests_total").await, [0.0]);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "abc");
    assert_eq!(values(&metrics, "tollgate_http_requests_total").await, [1.0]);
    for (kind, buckets, sum) in [
        ("request", [0.0, 0.0, 0.0, 1.0], 1440.0),
        ("upstream", [0.0, 0.0, 0.0, 1.0], 1400.0),
        ("gateway", [0.0, 1.0, 1.0, 1.0], 40.0),
    ] {
        let of = |suffix: &str| format!("tollgate_http_latency_{suffix}{{type=\"{kind}\"");
        assert_eq!(values(&metrics, &of("bucket")).await, buckets, "{kind}");
        assert_eq!(values(&metrics, &of("sum")).await, [sum], "{kind}");
    }
    let status = lines(&metrics, "tollgate_http_status{").await;
    assert!(status.len() == 1 && status[0].contains("node=\"shop.test\""), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_forgotten_and_still_counted_in_all() {
    let metrics = metrics(60);
    let service = metrics.layer(&PrometheusConfig::default()).layer(tower::service_fn(slow));
    drop(service.clone().oneshot(Request::default()).await.unwrap());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(values(&metrics, "tollgate_http_status{").await, [1.0]);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(lines(&metrics, "tollgate_http_status{").await, [""; 0]);
    assert_eq!(values(&metrics, "tollgate_label_sets").await, [0.0]);
    drop(service.oneshot(Request::default()).await.unwrap());
    assert_eq!(values(&metrics, "tollgate_http_status{").await, [1.0]);
    assert_eq!(values(&metrics, "tollgate_http_requests_total").await, [2.0]);
}

#[tokio::test]
async fn figures_of_the_program_stand_beside_those_of_requests() {
    let metrics = metrics(0);
    metrics.gauge("rooms", "Rooms.", || 2.5);
    metrics.counters("jobs_total", "Jobs by how they ended.", "result", || vec![("done", 7), ("failed", 0)]);
    let rooms = ["# HELP tollgate_rooms Rooms.", "# TYPE tollgate_rooms gauge", "tollgate_rooms 2.5"];
    let jobs = [
        "# HELP tollgate_jobs_total Jobs by how they ended.",
        "# TYPE tollgate_jobs_total counter",
        "tollgate_jobs_total{result=\"done\"} 7",
        "tollgate_jobs_total{result=\"failed\"} 0",
    ];
    let all = lines(&metrics, "").await;
    assert_eq!(all[all.len() - 7..], [&rooms[..], &jobs[..]].concat());
}

#[test]
fn nothing_is_lost_between_threads() {
    let metrics = metrics(0);
    let service = metrics
        .layer(&PrometheusConfig::default())
        .layer(tower::service_fn(|_: Request| async { Ok::<_, Infallible>(Response::new(Body::from("x"))) }));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let service = service.clone();
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                for _ in 0..500 {
                    runtime.block_on(service.clone().oneshot(Request::default())).unwrap();
                }
            });
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(values(&metrics, "tollgate_http_status{")), [4000.0]);
    assert_eq!(runtime.block_on(values(&metrics, "tollgate_http_latency_count{type=\"gateway\"")), [4000.0]);
}
