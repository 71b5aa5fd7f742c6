//! A connection in HTTP/2: the state of the protocol by the `h2` crate, everything else here.
//!
//! ```text
//! socket <-> link (sentry, one write) <-> h2 <-> connection: accepts streams, calls the service, looks at the clocks
//!                                         ^               |
//!                                         |               v  one task a stream
//!                                         +-- stream: upload (request body) -> service -> answer, download (its body)
//! ```
mod alarm;
mod answer;
mod connection;
mod download;
mod frames;
mod link;
mod request;
mod sentry;
mod stream;
mod upload;
mod websocket;
mod window;

pub(super) use connection::run;
