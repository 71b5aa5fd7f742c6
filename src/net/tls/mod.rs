//! TLS on a socket, by rustls.
//!
//! rustls is used without buffers of its own: bytes from the socket are decrypted out of one scratch space per thread, and
//! encrypted into another. What a connection holds by itself is what the socket did not take, and a record of which only
//! a part has come; most of the time neither is there, so that an idle connection holds no buffer.
#[cfg(feature = "server")]
mod accept;
mod connect;
#[cfg(test)]
mod fuzz;
mod layer;
mod records;
mod session;
#[cfg(test)]
mod tests;

#[cfg(feature = "server")]
pub(crate) use accept::{Accepted, Greet, accept};
#[cfg(feature = "etcd")]
pub(crate) use connect::Secured;
pub(crate) use connect::{Hello, connect};
pub(super) use layer::Layer;
