//! One client connection, as one hand-written future. Idle it is a few pointers, an empty `Bytes` and some flags.
//!
//! ```text
//!            +--------------------------------------------------------------+
//!            v                                                              |
//! wire: read and parse a head --> serve: the service's future --> wire: write the answer --> stay / drain / linger / end
//!            |                                                              |
//!            +--> takeover: HTTP/2 by prior knowledge                       +--> takeover: a tunnel after a 101
//! ```
#[cfg(feature = "http2")]
mod http2;
mod incoming;
mod outgoing;
mod pace;
mod serve;
mod tunnel;
mod websocket;
mod wire;

pub(super) use serve::Serve;
