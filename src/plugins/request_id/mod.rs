//! `request-id`: gives every request an id, by which logs of all sides can be put together. Stage: edge.
//!
//! Decision: 1. a request that brings a non-empty id keeps it, unless `trust_incoming` is off; 2. any other gets a new one;
//! 3. the answer tells the id, unless the upstream has told a non-empty one of its own, or `include_in_response` is off.
//!
//! It answers nothing. It reads and writes the field `header_name` of request and answer, and the variable `request_id`
//! (also `apisix_request_id`) is the id, whatever the field is called.
//!
//! An id that comes from a client is no more than the client's word: do not use it where two requests with one id would
//! harm, and switch `trust_incoming` off where clients are strangers.
//!
//! ```
//! use tollgate::plugins::request_id::{Algorithm, RequestId, RequestIdConfig, RequestIdLayer};
//!
//! let mut config = RequestIdConfig::default();
//! config.algorithm = Algorithm::UuidV7;
//! let layer = RequestIdLayer::of(RequestId::new(config)?);
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"request-id": {"header_name": "X-Trace", "algorithm": "range_id", "range_id": {"length": 20, "char_set": "0123456789"}}}
//! ```
mod algorithm;
mod config;
mod layer;
#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;
pub use config::{RangeId, RequestIdConfig};
pub use layer::{RequestId, RequestIdLayer, RequestIdPlugin};
