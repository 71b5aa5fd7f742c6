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

/// Bytes of one stream's window, and of what is buffered for it (H2-08, H2-11).
const STREAM_WINDOW: u32 = 64 * 1024;
