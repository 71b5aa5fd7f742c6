//! [`Limits`] of a gateway.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::shape::{Field, Shape, Struct};

/// Limits and time-outs, `tollgate.limits` (security.md §7 and §8). Sizes in bytes, times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Request line; over it 414 (LIM-01). Default 8192.
    pub request_line_bytes: u32,
    /// All header fields of a request together; over it 431 (LIM-02). Default 32768.
    pub header_bytes: u32,
    /// One header field; over it 431 (LIM-02). Default 8192.
    pub field_bytes: u32,
    /// Number of header fields; over it 431 (LIM-02). Default 100.
    pub header_count: u32,
    /// Request body; over it 413 (LIM-03). Default 16777216 (16 MiB).
    pub body_bytes: u64,
    /// What plugins may buffer of one request; over it 413 (LIM-04). Default 1048576 (1 MiB).
    pub buffer_bytes: u64,
    /// What plugins may buffer in the whole process, of which one client (behind `trusted_proxies`, whom they tell of) holds
    /// no more than it leaves to all others; over it 503 (LIM-04). Default 268435456 (256 MiB).
    pub buffer_total_bytes: u64,
    /// TLS handshake (LIM-05). Default 10000.
    pub tls_handshake_timeout_ms: u64,
    /// Complete request head, from its first byte; over it 408 (LIM-06). Default 10000.
    pub head_timeout_ms: u64,
    /// Request body without a byte; over it 408 (LIM-07). Default 15000.
    pub body_timeout_ms: u64,
    /// Average rate of a request body, in bytes per second, after `body_rate_grace_ms`; 0 for none (LIM-07). Default 1024.
    pub body_min_bytes_per_second: u32,
    /// How long a request body may be slower (LIM-07). Default 10000.
    pub body_rate_grace_ms: u64,
    /// Response that makes no progress; over it the connection is cut (LIM-08). Default 30000.
    pub write_timeout_ms: u64,
    /// Average rate of a response while there is something to write, in bytes per second, after `write_rate_grace_ms`;
    /// 0 for none (LIM-08). Default 1024.
    pub write_min_bytes_per_second: u32,
    /// How long a response may be slower (LIM-08). Default 30000.
    pub write_rate_grace_ms: u64,
    /// Idle keep-alive connection (LIM-09). Default 60000.
    pub idle_timeout_ms: u64,
    /// Requests over one connection, then it is closed gracefully (LIM-10). Default 10000.
    pub max_requests_per_connection: u64,
    /// Age of a connection, then it is closed gracefully (LIM-10). Default 3600000 (1 h).
    pub max_connection_age_ms: u64,
    /// Connections of the process; at 90 % the longest idle are closed, over it the newest refused (LIM-11).
    /// Default 10000.
    pub max_connections: u32,
    /// Connections of one client address; 0 for no such limit (LIM-11). Default 0.
    pub max_connections_per_client: u32,
    /// From the request to the response head; over it 504 (LIM-13). Default 300000.
    pub request_timeout_ms: u64,
    /// What plugins may unpack of one body; over it 413 (LIM-14). Default 16777216 (16 MiB).
    pub decompressed_bytes: u64,
    /// Unpacked to packed size; over it 413 (LIM-14). Default 100.
    pub max_decompression_ratio: u32,
    /// Nesting of a JSON or form body that plugins read; over it 400 (LIM-15). Default 64.
    pub max_parse_depth: u32,
    /// Values in such a body; over it 400 (LIM-15). Default 10000.
    pub max_parse_nodes: u32,
    /// Header of an upstream's response; over it 502 (UP-02). Default 65536.
    pub response_header_bytes: u32,
    /// Number of header fields of an upstream's response; over it 502 (UP-02). Default 200.
    pub response_header_count: u32,
    /// Interim (1xx) responses of an upstream to one request; over it 502 (UP-02). Default 16.
    pub max_interim_responses: u32,
    /// What is kept of a request body so that it can be sent again (RET-03). Default 65536 (64 KiB).
    pub replay_bytes: u64,
    /// How long a shutdown waits for what runs (DRN-01). Default 30000.
    pub drain_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes: 8192,
            header_bytes: 32_768,
            field_bytes: 8192,
            header_count: 100,
            body_bytes: 16 << 20,
            buffer_bytes: 1 << 20,
            buffer_total_bytes: 256 << 20,
            tls_handshake_timeout_ms: 10_000,
            head_timeout_ms: 10_000,
            body_timeout_ms: 15_000,
            body_min_bytes_per_second: 1024,
            body_rate_grace_ms: 10_000,
            write_timeout_ms: 30_000,
            write_min_bytes_per_second: 1024,
            write_rate_grace_ms: 30_000,
            idle_timeout_ms: 60_000,
            max_requests_per_connection: 10_000,
            max_connection_age_ms: 3_600_000,
            max_connections: 10_000,
            max_connections_per_client: 0,
            request_timeout_ms: 300_000,
            decompressed_bytes: 16 << 20,
            max_decompression_ratio: 100,
            max_parse_depth: 64,
            max_parse_nodes: 10_000,
            response_header_bytes: 65_536,
            response_header_count: 200,
            max_interim_responses: 16,
            replay_bytes: 65_536,
            drain_timeout_ms: 30_000,
        }
    }
}

impl Limits {
    /// [`Limits::head_timeout_ms`] as a [`Duration`].
    pub const fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    /// [`Limits::body_timeout_ms`] as a [`Duration`].
    pub const fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }

    /// [`Limits::write_timeout_ms`] as a [`Duration`].
    pub const fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }

    /// [`Limits::idle_timeout_ms`] as a [`Duration`].
    pub const fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// [`Limits::max_connection_age_ms`] as a [`Duration`].
    pub const fn max_connection_age(&self) -> Duration {
        Duration::from_millis(self.max_connection_age_ms)
    }

    /// [`Limits::request_timeout_ms`] as a [`Duration`].
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// [`Limits::drain_timeout_ms`] as a [`Duration`].
    pub const fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

/// Up to 1 GiB for what is held in memory at once.
const HELD: Shape = Shape::Int(1, 1 << 30);
const STREAMED: Shape = Shape::Int(0, i64::MAX);
/// Up to a day; a clock of 0 ms would end everything.
const CLOCK: Shape = Shape::Int(1, 86_400_000);
const GRACE: Shape = Shape::Int(0, 86_400_000);
const U32: i64 = u32::MAX as i64;
const COUNT: Shape = Shape::Int(1, U32);
const COUNT_OR_NONE: Shape = Shape::Int(0, U32);

pub(crate) const LIMITS: Shape = Shape::Struct(&Struct::new(&[
    Field::new("request_line_bytes", HELD),
    Field::new("header_bytes", HELD),
    Field::new("field_bytes", HELD),
    Field::new("header_count", Shape::Int(1, 65_535)),
    Field::new("body_bytes", STREAMED),
    Field::new("buffer_bytes", STREAMED),
    Field::new("buffer_total_bytes", STREAMED),
    Field::new("tls_handshake_timeout_ms", CLOCK),
    Field::new("head_timeout_ms", CLOCK),
    Field::new("body_timeout_ms", CLOCK),
    Field::new("body_min_bytes_per_second", COUNT_OR_NONE),
    Field::new("body_rate_grace_ms", GRACE),
    Field::new("write_timeout_ms", CLOCK),
    Field::new("write_min_bytes_per_second", COUNT_OR_NONE),
    Field::new("write_rate_grace_ms", GRACE),
    Field::new("idle_timeout_ms", CLOCK),
    Field::new("max_requests_per_connection", Shape::Int(1, i64::MAX)),
    Field::new("max_connection_age_ms", Shape::Int(1, 31_536_000_000)),
    Field::new("max_connections", COUNT),
    Field::new("max_connections_per_client", COUNT_OR_NONE),
    Field::new("request_timeout_ms", CLOCK),
    Field::new("decompressed_bytes", STREAMED),
    Field::new("max_decompression_ratio", COUNT),
    Field::new("max_parse_depth", Shape::Int(1, 128)),
    Field::new("max_parse_nodes", COUNT),
    Field::new("response_header_bytes", HELD),
    Field::new("response_header_count", Shape::Int(1, 65_535)),
    Field::new("max_interim_responses", COUNT_OR_NONE),
    Field::new("replay_bytes", Shape::Int(0, 1 << 30)),
    Field::new("drain_timeout_ms", GRACE),
]));
