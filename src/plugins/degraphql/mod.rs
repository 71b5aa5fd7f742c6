//! `degraphql`: turns a plain HTTP request into a fixed GraphQL query. Stage: access.
//!
//! 1. A `GET` becomes a `GET` of the same path with the arguments `query`, `variables` (as JSON) and `operationName`;
//!    the variables are those arguments of the request that `variables` names, as texts. Its other arguments go, and so
//!    does a body.
//! 2. A `POST` with a JSON object, perhaps packed (gzip, br), becomes a `POST` with `{"query", "variables",
//!    "operationName"}`; the variables are those members of the object that `variables` names, as they are. The
//!    arguments of its target go.
//! 3. Any other method → 405. No JSON object → 400. A body that is longer than `max_req_body_size` → 413, one in a
//!    coding that is not known → 415, a target that grows too long → 414. None has a body.
//!
//! A variable that the request does not have is left out, so that the default of the query counts. The answer passes as
//! it is. `Content-Type` of a `POST` becomes `application/json`. Where the GraphQL service answers at another path, set
//! it by `proxy-rewrite`.
//!
//! DEVIATE: elsewhere arguments of a `POST` and the body of a `GET` are passed on. There are services to which they
//! come first, so that a client could ask a query of its own; here they never pass. Elsewhere a body that cannot be
//! read is 503; here it is 400, or 408 if it came too slowly.
//!
//! Caveats: a query whose braces don't match, and a wrong `operation_name`, are refused when they are loaded; what else
//! is wrong with a query the service tells. Of a mutation, which a `GET` should not make, the load warns.
//!
//! ```
//! use tollgate::plugins::degraphql::{Degraphql, DegraphqlConfig, DegraphqlLayer};
//!
//! let mut config = DegraphqlConfig::default();
//! config.query = "query ($id: ID!) { person(id: $id) { name } }".to_owned();
//! config.variables = vec!["id".to_owned()];
//! let layer = DegraphqlLayer::of(Degraphql::new(config)?); // for `Route::layer`, an axum router, …
//! # let _ = layer;
//! # Ok::<(), tollgate::plugin::ConfigError>(())
//! ```
//!
//! ```json
//! {"degraphql": {"query": "query ($id: ID!) { person(id: $id) { name } }", "variables": ["id"]}}
//! ```
mod config;
mod document;
mod layer;
mod plugin;

pub use config::DegraphqlConfig;
pub use layer::{Degraphql, DegraphqlLayer};
pub use plugin::DegraphqlPlugin;
