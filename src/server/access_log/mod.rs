//! The access log: one line for each answer, written aside.
//!
//! [`AccessLogLayer`] is a tower layer over any service of [`Request`](crate::Request) to
//! [`Response`](crate::Response); lines go through a bounded queue to a thread of the [`AccessLogWriter`], so a slow disk
//! never holds a request back: when the queue is full, lines are dropped and counted.
//!
//! The route, the endpoint, and the client where it is not the peer come from the gateway behind the layer, by way of an [`Exchange`](crate::Exchange).
//!
//! A line never holds `Authorization`, `Cookie` or `Set-Cookie`, the values of query parameters that carry secrets are
//! replaced (SECR-02), and control characters are escaped, so that an event is one line (SECR-03).
mod format;
mod layer;
mod redact;
mod writer;

pub use format::Format;
pub use layer::{AccessLog, AccessLogFuture, AccessLogLayer};
pub use redact::Redact;
pub use writer::{AccessLogSink, AccessLogWriter, FileSink};
