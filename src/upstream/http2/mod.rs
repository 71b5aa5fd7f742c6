//! HTTP/2 to endpoints, by `h2`.
//!
//! Unlike an HTTP/1 connection, one of these has a task of its own, which is stopped with it; a request and its response
//! are driven by who waits for them. A connection counts its streams; when the peer takes no more on any of them, another
//! one is opened.
mod body;
mod call;
mod connections;
mod link;
mod send;
mod upload;

pub(crate) use body::Streamed;
pub(crate) use connections::{Connections, Spoken, Stream};
pub(crate) use send::send;
