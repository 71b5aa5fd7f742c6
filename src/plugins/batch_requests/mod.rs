//! `batch-requests`: many requests in one, for clients to which each round trip is dear. Stage: access.
//!
//! What it offers is reachable by a route with `public-api` at `/apisix/batch-requests` (attribute `uri`), by POST, with JSON:
//! `{"query": {..}, "headers": {..}, "timeout": 30000, "pipeline": [{"method": "GET", "path": "/a", "query": {..},
//! "headers": {..}, "body": "text"}, ..]}`. Of it only `pipeline` with one item or more, and `path` of each, must be there. The
//! answer is 200 with an array in the order of the pipeline: `{"status", "reason", "headers", "body"}`. A block of its own says
//! nothing: `{}`.
//!
//! Decision:
//! 1. the request is none by POST → 404; it belongs to a batch itself → 400
//! 2. the body is longer than `max_body_size` (metadata, 1 MiB) → 413; missing → 400 `{"error_msg":"no request body, you should
//!    give at least one pipeline setting"}`; no such JSON → 400 `{"error_msg":"bad request body: …"}`
//! 3. more than `max_pipeline_items` (metadata, 1000) → 400 `{"error_msg":"too many pipeline requests, N exceeds the maximum of
//!    M"}`
//! 4. each request goes through the whole gateway, one after the other: routes, authentication, limits, all of it
//!
//! A request has the fields of the outer one but for `Content-*` and those of one hop, then `headers` and `query` of the batch,
//! then its own, each replacing those before of the same name; `Accept-Encoding` has none, since answers are told as texts. It comes over the same connection from the
//! same client, as the outer request's route found him out: `real-ip` leaves him alone, and fields such as `X-Forwarded-For`
//! that the batch names are dropped (security.md PLG-05).
//!
//! `timeout` (milliseconds, 1 to 300,000) is for each of them; one that is not answered by then is `{"status": 504, "reason":
//! "upstream timeout"}`. An answer whose body is longer than `tollgate.limits.buffer_bytes`, or that brings what the client is told
//! above 16 MiB, is `{"status": 502, "reason": "answer too long"}`. Bodies that are no UTF-8 have U+FFFD in the place of what is
//! none. A request has at most 100 fields, 32 KiB of them and 8 KiB of each, and a target of 8 KiB; else all of the batch is a
//! bad request body.
//!
//! What the client is told is held in memory until it was sent, and counts against what all plugins together may hold
//! (`buffer_total_bytes`); an answer beyond that is `{"status": 503, "reason": "no room for the answer"}`.
//!
//! Caveats: the access log has the batch alone. Limits count every request of a batch, but the outer route's count the batch as
//! one. `version` and `ssl_verify` are taken and mean nothing, as no connection is made. Other fields are bad request bodies.
//!
//! ```json
//! {"public-api": {"uri": "/apisix/batch-requests"}}
//! ```
mod batch;
mod config;
mod plugin;
mod run;

pub use config::{BatchRequestsAttr, BatchRequestsConfig, BatchRequestsMetadata};
pub use plugin::BatchRequestsPlugin;
