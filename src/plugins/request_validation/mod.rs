//! `request-validation`: judges a request's fields and body by JSON Schema before anything is asked of anybody. Stage: edge.
//!
//! Decision:
//! 1. the fields do not fit `header_schema`: an object of their names in lower case; a value is a text, of a field that stands
//!    several times an array of texts → `rejected_code`
//! 2. with `body_schema`: `Content-Type` stands there twice or names a `charset` other than UTF-8, there is no body, or it is longer than `max_req_body_size` →
//!    `rejected_code`
//! 3. the body has a `Content-Encoding` that is not known → 415; it is in gzip or br (feature `decode`) and more comes out than
//!    `tollgate.limits` allow → 413
//! 4. the body is no JSON (of `application/x-www-form-urlencoded`: begins as JSON does, with `{` or `[`, or is not in UTF-8), is deeper or larger than `tollgate.limits` allow,
//!    has one name twice in an object, or does not fit → `rejected_code`
//! 5. else the request passes
//!
//! The answer is plain text: `rejected_msg`, else what does not fit and where, without the value itself; without both, as for a
//! body that is missing, it is empty.
//!
//! A schema is of the draft that its `$schema` names, else of draft 7 or, if it is none, of draft 4; formats are checked. It may
//! refer to itself only. Of a form every value is a text, an array of texts where a name stands several times. A name that the
//! schema has `pattern`, `minLength`, `maxLength` or `format` for, and no `type`, must stand there once: such keywords do not
//! look at arrays. A text that a pattern judges that looks around (`(?=…)`) is at most 64 KiB long, and takes a bounded number of steps
//! back; else the body does not fit. Names are told apart by case: where a service does not, `additionalProperties: false` refuses
//! the others.
//!
//! Where `body_schema` has a `default` for a member of an object (under `properties`, also inside of `items`), a member that is
//! missing in JSON is filled in before the body is judged (as far as the body stays within `max_req_body_size`, else
//! `rejected_code`), and the body goes on with it: what was sent keeps its form, but for
//! blanks between members, and `Content-Digest`, `Repr-Digest`, `Digest` and `Content-MD5` go, since the bytes are others (so
//! `hmac-auth` with `validate_request_body` does not fit beside a `default`). A body to which nothing was added goes on byte for
//! byte as it was sent.
//!
//! The body is held in memory until it was sent on, plain beside packed; all plugins together have `buffer_total_bytes`, one client no
//! more of it than it leaves to others, and beyond that the answer is 503. Trailers of a body that was judged are dropped.
//!
//! ```
//! use tollgate::plugins::request_validation::{RequestValidation, RequestValidationConfig, RequestValidationLayer};
//!
//! let mut config = RequestValidationConfig::default();
//! config.body_schema = serde_json::json!({"type": "object", "required": ["name"]}).as_object().cloned();
//! let layer = RequestValidationLayer::of(RequestValidation::new(config)?); // for an axum router, a `ServiceBuilder`, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"request-validation": {
//!   "header_schema": {"required": ["x-tenant"], "properties": {"x-tenant": {"type": "string", "pattern": "^[a-z]{1,20}$"}}},
//!   "body_schema": {"type": "object", "required": ["name"],
//!                   "properties": {"name": {"type": "string", "maxLength": 80}, "plan": {"enum": ["free", "paid"], "default": "free"}}}
//! }}
//! ```
mod config;
mod defaults;
mod layer;
mod once;
mod plugin;
#[cfg(test)]
mod tests;

pub use config::RequestValidationConfig;
pub use layer::{RequestValidation, RequestValidationLayer};
pub use plugin::RequestValidationPlugin;
