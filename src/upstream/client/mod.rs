//! The network client: connections, their pool, and the exchange of one request and its response.
//!
//! An HTTP/1 connection has no task. The request's own task sends and receives on it ([`Exchange`]), then the response's
//! body does ([`Incoming`]), and at the end of the body the connection goes back to its [`Remote`]. Dropping either
//! closes the connection.
#[cfg(feature = "http2")]
mod agree;
mod exchange;
mod incoming;
mod open;
mod pool;
mod remote;
mod send;
mod upload;

pub(crate) use incoming::Incoming;
#[cfg(feature = "http2")]
pub(crate) use open::{Label, OwnLabel, fits};
pub(crate) use remote::{Remote, RemoteKey};
pub(crate) use send::send;
