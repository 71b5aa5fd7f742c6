//! `/v1/healthcheck`: what health checks say of every endpoint, in the reference's form, or as a page.
use std::fmt::Write as _;

use http::HeaderMap;
use serde_json::{Value, json};

use super::reply;
use crate::Response;
use crate::gateway::Gateway;
use crate::upstream::health::ProbeKind;
use crate::upstream::{EndpointStatus, UpstreamStatus};

/// Every upstream that has checks.
pub(super) fn all(gateway: &Gateway, headers: &HeaderMap) -> Response {
    let upstreams = gateway.status().upstreams();
    let reports: Vec<_> = upstreams.iter().filter(|upstream| upstream.health.is_some()).map(report).collect();
    if reply::prefers(headers, "text/html") {
        return reply::html(page(&reports));
    }
    reply::json(&Value::Array(reports))
}

/// One, by what holds it: `upstreams`, `1`.
pub(super) fn one(gateway: &Gateway, kind: &str, id: &str, headers: &HeaderMap) -> Response {
    if !["routes", "services", "upstreams", "stream_routes"].contains(&kind) {
        return reply::bad_request(format!(
            "invalid src type `{kind}`: write routes, services, upstreams or stream_routes"
        ));
    }
    let asked = format!("{kind}/{id}");
    let upstreams = gateway.status().upstreams();
    let mut checked = upstreams.iter().filter(|upstream| upstream.health.is_some());
    match checked.find(|upstream| name(upstream) == asked).map(report) {
        None => reply::not_found(format!("no health checks at `{asked}`")),
        Some(report) if reply::prefers(headers, "text/html") => reply::html(page(&[report])),
        Some(report) => reply::json(&report),
    }
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

/// A table, a row for each endpoint.
fn page(reports: &[Value]) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Health checks</title>\n<style>\
         body{font-family:sans-serif}table{border-collapse:collapse}td,th{border:1px solid #999;padding:.3em .6em;\
         text-align:left}.unhealthy,.outlier{background:#fcc}.mostly_unhealthy,.mostly_healthy{background:#ffc}\
         </style></head>\n<body><h1>Health checks</h1>\n<table><tr><th>upstream</th><th>type</th><th>host</th>\
         <th>address</th><th>status</th><th>success</th><th>http failures</th><th>tcp failures</th><th>time-outs</th></tr>\n",
    );
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => escaped(text),
        Some(other) => escaped(&other.to_string()),
        None => String::new(),
    };
    for report in reports {
        for node in report.get("nodes").and_then(Value::as_array).into_iter().flatten() {
            let status = text(node.get("status"));
            let outlier = node.get("outlier") == Some(&Value::Bool(true));
            let (class, note) = if outlier { ("outlier", " (outlier)") } else { (&*status, "") };
            let count = |name: &str| text(node.get("counter").and_then(|counter| counter.get(name)));
            // Writing into a string does not fail.
            let _ = writeln!(
                page,
                "<tr class=\"{class}\"><td>{}</td><td>{}</td><td>{}</td><td>{}:{}</td><td>{status}{note}</td><td>{}</td>\
                 <td>{}</td><td>{}</td><td>{}</td></tr>",
                text(report.get("name")),
                text(report.get("type")),
                text(node.get("hostname")),
                text(node.get("ip")),
                text(node.get("port")),
                count("success"),
                count("http_failure"),
                count("tcp_failure"),
                count("timeout_failure"),
            );
        }
    }
    page.push_str("</table></body></html>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
