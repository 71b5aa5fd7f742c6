//! `GET /v1/healthcheck` of the control address: what health checks say of every endpoint, in the form of APISIX.
use std::convert::Infallible;

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tollgate::gateway::Gateway;
use tollgate::upstream::health::ProbeKind;
use tollgate::upstream::{EndpointStatus, UpstreamStatus};
use tollgate::{Body, Request};

/// Where the reports are.
pub(crate) const PATH: &str = "/v1/healthcheck";

/// Answers with all upstreams that have checks, or with the one that the path names: `/v1/healthcheck/upstreams/1`.
pub(crate) async fn answer(gateway: Gateway, request: Request) -> Result<Response<Body>, Infallible> {
    let upstreams = gateway.status().upstreams();
    let mut checked = upstreams.iter().filter(|upstream| upstream.health.is_some());
    let asked = request.uri().path().trim_start_matches(PATH).trim_matches('/');
    let report = if asked.is_empty() {
        Some(checked.map(report).collect())
    } else {
        checked.find(|upstream| name(upstream) == asked).map(report)
    };
    let (status, body) = match report {
        Some(report) => (StatusCode::OK, report),
        None => (StatusCode::NOT_FOUND, json!({"error_msg": format!("no health checks at `{asked}`")})),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// `upstreams/1`, `routes/7`.
fn name(upstream: &UpstreamStatus) -> String {
    let (kind, id) = upstream.key.as_str().split_once('/').unwrap_or_default();
    format!("{kind}s/{id}")
}

/// What the probes speak; without probes what requests speak.
fn kind(upstream: &UpstreamStatus) -> &'static str {
    match upstream.health.as_ref().and_then(|health| health.active.as_ref()).map(|active| &active.probe) {
        Some(ProbeKind::Tcp) => "tcp",
        Some(ProbeKind::Grpc { .. }) => "grpc",
        Some(ProbeKind::Http(probe)) if probe.tls => "https",
        _ => "http",
    }
}

fn report(upstream: &UpstreamStatus) -> Value {
    json!({
        "name": format!("/{}", name(upstream)),
        "type": kind(upstream),
        "nodes": upstream.endpoints.iter().filter_map(node).collect::<Vec<_>>(),
    })
}

fn node(endpoint: &EndpointStatus) -> Option<Value> {
    let (health, address) = (endpoint.health?, endpoint.address?);
    let hostname = endpoint.name.rsplit_once(':').map_or(&*endpoint.name, |(host, _)| host);
    Some(json!({
        "ip": address.ip(),
        "port": address.port(),
        "hostname": hostname,
        "status": health.state.as_str(),
        "outlier": health.is_outlier,
        "counter": {
            "success": health.counters.success,
            "http_failure": health.counters.http_failure,
            "tcp_failure": health.counters.tcp_failure,
            "timeout_failure": health.counters.timeout_failure,
        },
    }))
}
