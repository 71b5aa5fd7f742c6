//! The gateway: a snapshot goes in, a tower service comes out.
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use tollgate::Body;
//! use tollgate::gateway::{Gateway, Route};
//! use tower::ServiceExt as _;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tollgate::BoxError> {
//! let hello = tower::service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new("hello".to_owned())) });
//! let gateway = Gateway::builder().route(Route::new("/hello").to_service(hello)).build()?;
//!
//! let request = Request::builder().uri("/hello").header("host", "api.test").body(Body::empty())?;
//! let response = gateway.oneshot(request).await?;
//! assert_eq!(response.into_body().buffer(100).await?, "hello");
//! # Ok(())
//! # }
//! ```
mod admit;
mod answer;
mod blocks;
mod body_guard;
mod builder;
mod callers;
mod census;
#[cfg(feature = "tls")]
mod certificates;
mod chain;
mod checks;
#[cfg(feature = "tls")]
mod client_certificate;
mod compile;
mod difference;
mod effective;
mod entrance;
mod error;
mod explain;
mod find;
mod follow;
mod fork;
mod forward;
mod handle;
mod hash_on;
mod idle;
mod items;
mod judge;
mod lax;
mod lint;
mod live;
mod master;
#[cfg(feature = "client")]
mod names;
mod own_listeners;
#[cfg_attr(not(feature = "grpc-transcode"), path = "no_protos.rs")]
mod protos;
mod route;
mod route_table;
mod secrets;
mod service;
mod settings;
mod source;
mod status;
mod target;
mod tls;
mod unknown_fields;
#[cfg(feature = "hyper-server")]
mod upgrade;
mod upstreams;
mod websocket;
mod workshop;

pub use crate::request::RouteMatch;
pub use admit::{Admitted, Faulty, admit};
pub use builder::{GatewayBuilder, Route};
pub use census::Generation;
pub use effective::{Effective, EffectiveBlock, HiddenBlock, NoEffect};
pub use error::ApplyError;
pub use explain::Explained;
pub use follow::ConfigEvent;
pub use handle::{Gateway, Revision};
pub use service::{Connection, ResponseFuture};
pub use source::{ConfigSource, SourceError};
pub use status::Status;
