//! HTTP/1 on the wire, for both sides: bytes in, `http` types out, and back (RFC 9112). No sockets here.
//!
//! One set of parsers reads the heads of requests and of responses. It is strict: what two parsers could read in two
//! ways is refused (security.md §2), and what httparse tolerates is closed by checks of our own. Three rules hold by
//! construction:
//!
//! 1. **Framing is a value, not a field.** A parsed head carries a [`Framing`]; [`write_request`] and [`write_response`]
//!    write `Content-Length`, `Transfer-Encoding` and `Connection` from it alone (H1-24).
//! 2. **Hop-by-hop fields never reach a map.** They are taken off while parsing (HOP-01, HOP-02).
//! 3. **A prefix decides like the whole.** A fault that is found in the first bytes of a message stays the fault of
//!    every longer input, so the answer never depends on how the bytes were cut into packets.
mod date;
mod decoder;
mod encode;
mod fault;
mod fields;
mod framing;
mod gather;
mod limits;
mod names;
mod request;
mod response;
mod scan;
mod target;

pub use crate::hop::strip_hop_by_hop;
pub use crate::host::is_host;
#[cfg(feature = "server")]
pub(crate) use date::civil;
#[cfg(all(feature = "server", feature = "http2"))]
pub(crate) use date::date_value;
pub use decoder::{Decoded, Decoder};
pub use encode::{
    Connection, LAST_CHUNK, ResponseOptions, write_chunk_head, write_field, write_request, write_response,
    write_trailers,
};
pub use fault::{BodyFault, RequestFault, ResponseFault};
pub use framing::Framing;
pub use gather::gather;
pub use limits::{DecoderLimits, HeadLimits};
pub use request::{ParsedRequest, parse_request};
pub use response::{ParsedResponse, parse_response};
pub use scan::head_end;
