//! `oas-validator`: lets only requests through that an OpenAPI document allows, of version 3.0 or 3.1. Stage: access.
//!
//! Decision:
//! 1. there is no document to judge by: that of `spec_url` was never fetched, or is none → 500
//!    `{"message":"failed to parse openapi spec"}`; a `spec` that is none is refused when the configuration is loaded
//! 2. no path and method of the document match; a parameter is missing that is required, stands several times where there is one
//!    value, is not written in its style, or does not fit its schema; `Content-Type` is none of those listed; the body is missing
//!    though required, cannot be read, or does not fit its schema → `rejection_status_code`
//!    `{"message":"failed to validate request."}`, with `verbose_errors` followed by the first fault (never by the value)
//! 3. the body is longer than `max_req_body_size` → 413; it has a `Content-Encoding` that is not known → 415; it is in gzip or
//!    br (feature `decode`) and more comes out than `tollgate.limits` allow → 413
//! 4. else the request passes, byte for byte as it was sent, but for trailers of a body that was judged; with
//!    `reject_if_not_match: false` one that fails by step 2 or 3 passes, too, and is told of in the log
//!
//! What is judged is the request as it goes to the upstream: its path after rewriting. A path may begin with the path of one
//! of its `servers` (of the operation, else of the path, else of the document; variables have their values of `enum`, or
//! their default), or leave it out. HEAD is judged as GET where the document has no HEAD of its own. Parameters in path,
//! query, header and cookie are read by `style` and `explode`, or as JSON by `content`; what the document does not name
//! passes. A text that is judged by a schema that admits no array stands there once, and no argument `name[…]` beside a
//! parameter `name`. Bodies are read as JSON (`application/json`, `text/json`, `+json`), forms, `multipart/form-data` or
//! text; of other types only the type is judged, unless the schema admits no text: then they must be JSON. Of several listed
//! types the most exact one counts (`application/json; version=1` before `application/json`, `application/*+json`,
//! `application/*`, `*/*`). A form of several parts has nothing before its first boundary and behind its last one, and a
//! part that says its type says one of `contentType` of its `encoding`. JSON and forms are in UTF-8: with another `charset`, or with
//! bytes that are none, they do not fit. Security schemes are the business of authentication plugins.
//!
//! Schemas: those of 3.0 with `nullable`, boolean `exclusiveMinimum` and `exclusiveMaximum`; those of 3.1 are JSON Schema
//! 2020-12. Formats are checked. A list of values admits null only where it names it, `nullable` or not. A text that a pattern
//! judges that looks around (`(?=…)`) is at most 64 KiB long, and takes a bounded number of steps back; else the body does not
//! fit. A `discriminator`
//! beside `oneOf` or `anyOf` chooses the one schema that counts; alone it chooses among the schemas that take its own one in
//! by `allOf`, at any distance, and itself. Members with `readOnly` need not be there though `required`, and pass when they are.
//! Names are told apart by case: where a service does not, `additionalProperties: false` refuses the others. `$ref` leads to the
//! same document only.
//!
//! Documents are in JSON or, with the feature `yaml`, in YAML. Keys that stand twice are refused; so are parameters in the path that
//! the path does not have, and documents whose schemas lead to one another so often that they take more than 5,000,000 steps to
//! compile (about a step for each value that a schema of a request leads to, for each place that names it).
//!
//! A document by `spec_url` (at most 16 MiB) is fetched with the first request, which waits, and anew in the background
//! when it is `spec_url_ttl` seconds old (metadata, 3600); while it cannot be had, or is no such document, the last good one
//! counts, and every 10 s there is another try. Blocks with the same address and fields share it, also across reloads.
//!
//! Bodies of types without a schema stream. Others are held in memory until they were sent on, plain beside packed; all
//! plugins together have `buffer_total_bytes`, one client no more of it than it leaves to others, and beyond that the answer is 503. Depth, number of values and repeated names
//! in JSON are bounded by `tollgate.limits`.
//!
//! ```
//! use tollgate::plugins::oas_validator::{OasValidator, OasValidatorConfig, OasValidatorLayer};
//!
//! let mut config = OasValidatorConfig::default();
//! config.spec = Some(r#"{"openapi": "3.1.0", "paths": {"/pets": {"get": {}}}}"#.to_owned());
//! let layer = OasValidatorLayer::of(OasValidator::new(config)?); // for an axum router, a `ServiceBuilder`, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"oas-validator": {"spec_url": "http://127.0.0.1:9000/openapi.json", "verbose_errors": true}}
//! ```
mod anchors;
mod api;
mod body;
mod config;
mod dialect;
mod discriminator;
mod document;
mod field;
mod layer;
mod multipart;
mod parameter;
mod paths;
mod places;
mod plugin;
mod reference;
mod remote;
mod sent;
mod servers;
mod shape;
mod style;
#[cfg(test)]
mod tests;
mod text;
mod work;

pub use config::{OasValidatorConfig, OasValidatorMetadata};
pub use layer::{OasValidator, OasValidatorLayer};
pub use plugin::OasValidatorPlugin;
