//! tollgate: an API gateway that a Rust program embeds.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod body;
mod connect;
mod error;
mod exchange;
mod hop;
mod host;
mod service;
mod upgrade;

#[cfg(feature = "config-file")]
pub mod config;
pub mod gateway;
#[cfg(feature = "client")]
pub mod http1;
pub mod model;
#[cfg(feature = "client")]
pub mod net;
pub mod plugin;
pub mod router;
#[cfg(feature = "server")]
pub mod server;
pub mod upstream;

pub use body::{Body, BodyError, BoxError};
pub use connect::ConnectInfo;
pub use error::{Error, Fault, IntoResponse, Request, Response, into_problem, reject};
pub use exchange::Exchange;
pub use service::{BoxFuture, Next, NextFuture, PluginLayer, RejectOr, wire};
pub use upgrade::{Duplex, UpgradeWish, UpgradedIo};
