//! `mocking`: answers in place of an upstream.
//!
//! Every request waits for `delay` and is answered with `response_status`, `response_headers` and a body:
//! `response_example` if there is one, else values made up by `response_schema`.
//!
//! A schema is a small part of JSON Schema: `type` (`object`, `array`, `string`, `number`, `integer`, `boolean`,
//! `null`), `properties`, `items` and `example`; other words are read over. An `example` stands for itself; what has
//! none is made up: 1–10 letters, a number or an integer up to 10,000, a truth value, 1–3 items, all properties. With
//! an XML `content_type` that becomes elements inside of `<data>`, one for each item of an array; with any other it is
//! JSON.
//!
//! Stage: access, so after authentication. Writes `Content-Type`, and `x-mock-by: tollgate/<version>`.
//!
//! ```
//! use tollgate::plugin::AroundLayer;
//! use tollgate::plugins::mocking::{Mocking, MockingConfig};
//!
//! let mut config = MockingConfig::default();
//! config.response_example = Some(r#"{"path": "$uri"}"#.into());
//! let layer = AroundLayer::of(Mocking::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"mocking": {"response_schema": {"type": "object", "properties": {
//!   "id": {"type": "integer", "example": 7}, "name": {"type": "string"}
//! }}}}
//! ```
mod layer;
mod schema;
mod xml;

pub use layer::{Mocking, MockingConfig, MockingLayer, MockingPlugin};
