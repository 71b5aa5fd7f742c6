//! Own listeners: accept, serve by our HTTP/1 codec or HTTP/2 (by `h2`), drain.
//!
//! ```no_run
//! use std::time::Duration;
//! use tollgate::server::{Limits, Listener, Server};
//! use tollgate::{Body, Next};
//!
//! # async fn example() -> Result<(), tollgate::server::BindError> {
//! let server = Server::builder()
//!     .limits(Limits::default())
//!     .serve(|_connection| Next::from_fn(|_request| async { http::Response::new(Body::from("hello\n")) }));
//! let address = server.listen(Listener::new(([127, 0, 0, 1], 9080).into()))?;
//! println!("listening on {address}");
//! server.drain(Duration::from_secs(30)).await;
//! # Ok(())
//! # }
//! ```
mod accept;
mod acceptor;
pub mod access_log;
mod apply;
mod arrive;
mod connection;
mod door;
mod drain;
mod group;
mod limits;
mod listener;
mod listening;
mod proxy_protocol;
mod registry;
mod running;
mod seat;
#[cfg(feature = "tls")]
mod secure;
mod settings;
mod status;

pub use acceptor::StrictAcceptor;
pub use apply::Applied;
pub use door::{BindError, InheritedSocket};
pub use drain::{Drain, DrainHandle};
pub use limits::{Limits, Rate};
pub use listener::{Listener, Protocols, SocketOptions};
pub use proxy_protocol::ProxyProtocol;
pub use running::{Server, ServerBuilder};
pub use status::ListenerStatus;

pub use crate::model::ListenAddress;
