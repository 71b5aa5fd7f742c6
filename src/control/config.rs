//! `/v1/config/status`: what is in force, and what of the newest configuration is not. `/v1/config/generations`: on which
//! configurations something still runs.
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::api::Inner;
use super::reply;
use crate::Response;
use crate::gateway::{Faulty, Gateway};

/// The answer. To look for routes that can never win takes long with many routes: it is done where it is asked for.
pub(super) fn status(inner: &Inner, query: Option<&str>) -> Response {
    let mut wants_lint = false;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match (&*name, &*value) {
            ("lint", "true" | "false") => wants_lint = value == "true",
            _ => return reply::bad_request(format!("`{name}={value}` is not known: there is `lint=true`")),
        }
    }
    let status = inner.gateway.status();
    let is_whole = status.kept.is_empty() && status.left_out.is_empty() && status.source_error.is_none();
    let is_whole = is_whole && inner.is_source_well();
    let mut told = json!({
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
    });
    if let (true, Some(told)) = (wants_lint, told.as_object_mut()) {
        told.insert("lint".to_owned(), inner.gateway.lint().iter().map(ToString::to_string).collect());
    }
    reply::json(&told)
}

/// Lets a read of the store pass that found no route any more and is held back.
#[cfg(feature = "store")]
pub(super) fn confirm(inner: &Inner) -> Response {
    match inner.mirror.as_ref().is_some_and(crate::store::Mirror::confirm) {
        true => reply::text("done\n".to_owned()),
        false => nothing_held(),
    }
}

/// Nothing but a store is ever held back.
#[cfg(not(feature = "store"))]
pub(super) fn confirm(_: &Inner) -> Response {
    nothing_held()
}

fn nothing_held() -> Response {
    reply::fault(http::StatusCode::CONFLICT, "no read that found no route any more is held back")
}

/// Whether the store is heard of, is believed, and is copied where a copy is kept.
#[cfg(feature = "store")]
pub(super) fn is_well(status: &crate::store::MirrorStatus) -> bool {
    status.last_error.is_none() && status.copy_error.is_none() && !status.holds_empty
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
        "copy_error": status.copy_error,
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
