//! `body-transformer`: makes bodies out of templates and of the bodies that came. Stage: rewrite.
//!
//! 1. The body of a request is read and decoded by `request.input_format`, or by what `Content-Type` says; of a `GET` the query is
//!    decoded in its place. What `request.template` makes of it is what the upstream gets.
//! 2. An answer, of the upstream or of a plugin behind this one, is treated in the same way by `response`. It acts before
//!    `response-rewrite` and compression. Answers without a body, encoded ones and switches of protocol (101) pass as they are; so that
//!    upstreams don't encode, `Accept-Encoding` is taken off the request.
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
//! `_ctx.var.remote_addr` (in `response` also `_ctx.var.status`), `_data` all that was decoded, for bodies that are no object.
//!
//! **Templates.** `{{ expr }}` writes a value with `&`, `<`, `>`, quotes and `/` escaped, `{* expr *}` as it is; `{% if %}`, `{% for %}`,
//! `{% set %}` and filters are those of Jinja (engine: minijinja), not code of another language. `_escape_json(value)` is the value as
//! JSON, quotes included, `_escape_xml(text)` a text for XML; both are written as they are. What is missing is written as nothing. A template
//! that cannot be read is refused when it is loaded, with its line. It makes at most 1,000,000 steps and as many bytes as
//! `max_req_body_size` or `max_resp_body_size`.
//!
//! Answers: 400 `{"message":"request body decode: …"}`, 413 without a body for a body that is longer than `max_req_body_size`, 503
//! `{"message":"request template rendering: …"}`. An answer that is too long, has trailers, or cannot be decoded or rendered passes as it is,
//! with an error in the log; one that breaks off while it is waited for is a 502. Depth, number of values and repeated names are bounded for every format (`limits.max_parse_depth`,
//! `limits.max_parse_nodes`); XML with a document type is refused.
//!
//! Caveats: bodies are read whole, which takes some times their size in memory; streams that never end don't pass. `Content-Type` stays
//! as it is: set it by `proxy-rewrite` or `response-rewrite` where the new body is of another type.
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
mod multipart;
mod plugin;
mod template;
#[cfg(test)]
mod tests;
mod transformer;

pub use config::{BodyTransformerConfig, InputFormat, Transformation};
pub use plugin::BodyTransformerPlugin;
pub use transformer::{BodyTransformer, BodyTransformerLayer};
