//! The network client: connections, their pool, and the exchange of one request and its response.
//!
//! An HTTP/1 connection has no task. The request's own task sends and receives on it ([`Exchange`]), then the response's
//! body does ([`Incoming`]), and at the end of the body the connection goes back to its [`Remote`]. Dropping either
//! closes the connection.
mod exchange;
mod incoming;
mod names;
mod pool;
mod remote;
mod resolve;
mod send;
mod upload;

pub(crate) use incoming::Incoming;
pub(crate) use names::Name;
pub(crate) use remote::{Remote, RemoteKey};
pub use resolve::{Resolve, Resolved, SystemResolver};
pub(crate) use send::send;
