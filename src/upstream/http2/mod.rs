//! HTTP/2 to endpoints, by hyper.
//!
//! Unlike an HTTP/1 connection, one of these has tasks; they belong to it and are stopped with it. A
//! connection counts its streams; when the peer takes no more on any of them, another one is opened.
mod body;
mod connections;
mod send;
mod tasks;

pub(crate) use body::Streamed;
pub(crate) use connections::{Connections, Spoken, Stream};
pub(crate) use send::send;
