//! `body-transformer`: makes bodies out of templates and of the bodies that came. Stage: rewrite.
//!
//! 1. The body of a request is read, unpacked (gzip, br) and decoded by `request.input_format`, or by what
//!    `Content-Type` says; of a `GET` the query is decoded in its place. A request without a body has nothing to
//!    decode: its template is filled in without it. What `request.template` makes is what the upstream gets.
//! 2. An answer, of the upstream or of a plugin behind this one, is treated in the same way by `response`. It acts
//!    before `response-rewrite` and compression. Answers without a body and switches of protocol (101) pass as they
//!    are. So that upstreams send whole and plain answers, `Accept-Encoding`, `Range` and `If-Range` are taken off the
//!    request.
//! 3. What told of the old body goes with it: length, coding, validators (`ETag`, `Last-Modified`), ranges and digests;
//!    from the answer to `HEAD`, too.
//!
//! | format | by `Content-Type` | names of a template |
//! |---|---|---|
//! | `json` | `application/json` | members of the object |
//! | `xml` | `text/xml`, `application/xml` | the root element; its children by name, without prefixes; repeated ones are lists, empty ones `""`; attributes are in `_attr`, text beside them in `_text` |
//! | `encoded` | `application/x-www-form-urlencoded` | fields; repeated ones are lists |
//! | `args` | | arguments of the query |
//! | `multipart` | `multipart/form-data` | parts by name; `_multipart.NAME` has `value`, `filename` and `content_type` |
//! | `plain` | any other | none |
//!
//! Whatever a body has, these names are the gateway's: `_body` is the body as text, `_ctx.var.NAME` a variable such as
//! `_ctx.var.remote_addr`, `_data` all that was decoded, for bodies that are no object. In `response` variables tell of
//! the request as it came, and `_ctx.var.status`, `upstream_status`, `upstream_addr` and `sent_http_NAME` of the
//! answer. XML elements named `_attr` and `_text` are left out; attributes that differ in their prefix only are
//! refused.
//!
//! **Templates.** `{{ expr }}` writes a value with `&`, `<`, `>`, quotes and `/` escaped, `{* expr *}` as it is; `{% if
//! %}`, `{% for %}`, `{% set %}` and filters are those of Jinja (engine: minijinja), not code of another language.
//! `_escape_json(value)` is the value as JSON, quotes included, `_escape_xml(text)` a text for XML; both are written as
//! they are. What is missing is written as nothing, and a member of it is an error. A template that cannot be read is refused when it is loaded, with
//! its line. It makes at most 1,000,000 steps, and one more for each 8 bytes of the body that came, and as many bytes
//! as `max_req_body_size` or `max_resp_body_size`. What takes more than a few milliseconds is done by a thread of its
//! own.
//!
//! Answers: 400 `{"message":"request body decode: …"}`, 413 without a body for a body that is longer than
//! `max_req_body_size`, 415 for one in a coding that is not known, 503 `{"message":"request template rendering: …"}`.
//! An answer that is too long, encoded, a part, has trailers, or cannot be decoded or rendered passes as it is, with an
//! error in the log; with `on_error: refuse` it is a 502, which is what a template needs that leaves something out on
//! purpose. One that breaks off while it is waited for is a 502. When plugins hold as many bytes as they may together,
//! requests and answers are 503. Depth, number of values and repeated names are bounded for every format
//! (`limits.max_parse_depth`, `limits.max_parse_nodes`); XML with a document type is refused.
//!
//! DEVIATE: elsewhere the response half sees every answer. Here it stands behind authentication and the Edge stage, and
//! what they answer (a 401, a CORS preflight) passes as it is. Elsewhere a template that happens to be base64 is
//! unpacked unasked; here `template_is_base64` says so, and the load warns of one that looks like it. Elsewhere all
//! answers pass when memory is short; here they are 503, since others could bring that about.
//!
//! Caveats: bodies are read whole, which takes some times their size in memory; streams that never end don't pass.
//! `Content-Type` stays as it is: set it by `proxy-rewrite` or `response-rewrite` where the new body is of another
//! type.
//!
//! ```
//! use tollgate::plugins::body_transformer::{
//!     BodyTransformer, BodyTransformerConfig, BodyTransformerLayer, Transformation,
//! };
//!
//! let mut config = BodyTransformerConfig::default();
//! config.request = Some(Transformation::new(r#"{"name": {* _escape_json(name) *}}"#));
//! let layer = BodyTransformerLayer::of(BodyTransformer::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"body-transformer": {
//!   "request": {"template": "<order><id>{{ id }}</id>{% for item in items %}<item>{{ item.name }}</item>{% endfor %}</order>"},
//!   "response": {"input_format": "xml", "template": "{\"status\": {* _escape_json(order.status) *}}"}
//! }}
//! ```
mod config;
mod decode;
mod fault;
mod half;
mod multipart;
mod plugin;
mod template;
#[cfg(test)]
mod tests;
mod transformer;
mod work;

pub use config::{BodyTransformerConfig, InputFormat, OnError, Transformation};
pub use plugin::BodyTransformerPlugin;
pub use transformer::{BodyTransformer, BodyTransformerLayer};
