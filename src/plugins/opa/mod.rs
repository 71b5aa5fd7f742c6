//! `opa`: asks a policy of an Open Policy Agent server whether a request may pass. Stage: access.
//!
//! Decision:
//! 1. with `with_body`, the body is longer than `max_req_body_size` → 413; it has a content coding that is not known → 415; it is not in
//!    its coding, has several types, is JSON by its type and none, or over the gateway's bounds of JSON → 400
//! 2. the server cannot be reached, breaks off or is silent for `timeout` → 403 without a body
//! 3. its answer is no HTTP, longer than 1 MiB, not of status 200, no JSON, or without an object `result`, or it allows the request with a
//!    field of `send_headers_upstream` that no request can have (security.md HOP-06) → 503 without a body
//! 4. `result.allow` is anything but `true` → status `result.status_code` (403 where there is none from 200 to 599), with the
//!    fields of `result.headers` and `result.reason` as the body: a text as it is, anything else as JSON; none with 204, 205 and 304
//! 5. else the request passes
//!
//! The question is `POST <host>/v1/data/<policy>` with `{"input": …}`:
//!
//! ```jsonc
//! {"type": "http",
//!  "request": {"scheme": "http", "method": "GET", "host": "api.test", "port": 9080, "path": "/orders/1",
//!              "headers": {"accept": "*/*"}, "query": {"page": "2"}, "body": {"only": "under with_body"}},
//!  "var": {"server_addr": "10.0.0.1", "server_port": "9080", "remote_addr": "10.0.0.9", "remote_port": "51000",
//!          "timestamp": 1788000000},
//!  "route": {"id": "1", "name": "orders", "uri": "/orders/*", "host": null, "service_id": "s"},
//!  "service": {"id": "s", "name": null},
//!  "consumer": {"username": "acme", "group_id": null, "labels": {"tier": "gold"}, "credential_id": null}}
//! ```
//!
//! Names of fields are in lower case; a field or argument that comes several times is a list, an argument without `=` is
//! true. Every field of the request is told, `Authorization` and `Cookie` among them. A body is told without its content coding, as its
//! value where its type is JSON, else as a text, or null where it is no UTF-8; it is then held in memory, and goes on as it came.
//! `path` is the text of a URI that the origin gets (`/a%20b`), canonical and after rewriting; the reference tells the decoded one
//! (`/a b`), so a policy that compares names which need encoding has to decode them, by `urlquery.decode`. `route`, `service` and `consumer`
//! say who they are and not how they are configured: no block of a plugin, and so no secret, leaves the gateway (the reference
//! sends them whole).
//!
//! Written to the request: each of `send_headers_upstream`, as the decision has it, or removed if it has none. They come off
//! requests of clients on all other routes, too (security.md HOP-05), apart from those that clients send for reasons of their own, such
//! as `Authorization`, `Cookie`, `Content-Type` or `X-Forwarded-For`.
//!
//! With `rego` in the place of `host` and `policy` (feature `rego`; not in the reference) the policy decides in this process: a
//! package in Rego, version 1, whose rules `allow`, `headers`, `reason` and `status_code` stand for those of `result`. It is
//! compiled when the block is loaded; what does not compile, or calls a function that is not there, is refused with its line, and
//! so is a function that calls itself, or a chain of more than 24 rules that need one another.
//! It sees the same `input`, and as `data` what the block has there. It is evaluated where the request is served, and beside the
//! threads that serve once it took more than a millisecond, until a thousand in a row took less: as many at once as there are
//! processors, of which a request waits for one for a second, and is answered with 503 then. An evaluation
//! that fails, or takes longer than `timeout` and at most 100 ms, is a 503. Its memory is not bounded: let no policy make ranges
//! or products of what clients write. Of the built-in functions those for time, tokens, JSON Schema, graphs, versions, UUIDs
//! and calls are not there; `var.timestamp` is the time. What `print` is given goes to the log, as an event of level debug.
//!
//! Caveat: each request costs a call, or an evaluation, as decisions are not cached.
//!
//! ```
//! use tollgate::plugin::bodies::Bodies;
//! use tollgate::plugins::opa::{Opa, OpaConfig, OpaLayer};
//!
//! let mut config = OpaConfig::default();
//! config.host = "http://127.0.0.1:8181".to_owned();
//! config.policy = "example/http".to_owned();
//! let layer = OpaLayer::of(Opa::new(config, Bodies::default())?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"opa": {"host": "http://127.0.0.1:8181", "policy": "example/http", "with_consumer": true,
//!          "send_headers_upstream": ["X-User"]}}
//! ```
#[cfg(feature = "rego")]
mod calls;
#[cfg(feature = "rego")]
mod chains;
mod config;
mod decision;
mod input;
mod layer;
mod plugin;
#[cfg(feature = "rego")]
mod rego;
#[cfg(test)]
mod tests;

pub use config::OpaConfig;
pub use layer::{Opa, OpaLayer};
pub use plugin::OpaPlugin;
