//! `/v1/config/status`: what is in force, and what of the newest configuration is not. `/v1/config/generations`: on which
//! configurations something still runs.
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::api::Inner;
use super::reply;
use crate::Response;
use crate::gateway::{Faulty, Gateway};

/// The answer.
pub(super) fn status(inner: &Inner) -> Response {
    let status = inner.gateway.status();
    let lints: Vec<_> = inner.gateway.lint().iter().map(ToString::to_string).collect();
    let is_whole = status.kept.is_empty() && status.left_out.is_empty() && status.source_error.is_none();
    reply::json(&json!({
        "state": if is_whole { "ok" } else { "degraded" },
        "source": inner.source(),
        "source_error": status.source_error,
        "revision": status.revision,
        "applied_at": status.applied_at.map(unix),
        "age_s": status.applied_at.and_then(|at| at.elapsed().ok()).map(|age| age.as_secs()),
        "routes": status.routes,
        "rejected_total": status.rejected_total,
        "kept": faulty(&status.kept),
        "left_out": faulty(&status.left_out),
        "findings": &*status.findings,
        "lint": lints,
    }))
}

/// The configuration in force and those before it that requests or tunnels still run on, newest first.
pub(super) fn generations(gateway: &Gateway) -> Response {
    let generations = gateway.generations().into_iter().map(|generation| {
        json!({
            "revision": generation.revision,
            "applied_at": unix(generation.applied_at),
            "requests": generation.requests,
            "tunnels": generation.tunnels,
            "whole": generation.is_whole,
        })
    });
    reply::json(&generations.collect())
}

/// How a mirror stands to its store.
#[cfg(feature = "store")]
pub(super) fn mirror(status: &crate::store::MirrorStatus) -> Value {
    let seconds = |at: SystemTime| at.elapsed().map_or(0, |since| since.as_secs());
    json!({
        "place": status.place,
        "revision": status.revision,
        "entries": status.entries,
        "unreadable": status.rejected,
        "stale": status.stale_since.is_some() || status.is_from_copy,
        "stale_s": status.stale_since.map(seconds),
        "from_local_copy": status.is_from_copy,
        "heard_s_ago": status.heard_at.map(seconds),
        "last_error": status.last_error,
        "holds_empty_resync": status.holds_empty,
        "full_reads": status.loads,
        "full_reads_without_change": status.unchanged_loads,
        "changes": status.batches,
        "snapshots": status.snapshots,
        "traffic": status.traffic.map(traffic),
    })
}

#[cfg(feature = "store")]
fn traffic(traffic: crate::store::Traffic) -> Value {
    json!({
        "connections": traffic.open,
        "connections_opened": traffic.opened,
        "reconnects": traffic.reconnects,
        "bytes_in": traffic.bytes_in,
        "bytes_out": traffic.bytes_out,
        "watches": traffic.watches,
    })
}

fn faulty(items: &[Faulty]) -> Vec<Value> {
    let told = |item: &Faulty| json!({"kind": item.kind, "id": item.id, "findings": item.findings});
    items.iter().map(told).collect()
}

/// Seconds since 1970, as the reference writes times.
pub(super) fn unix(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
