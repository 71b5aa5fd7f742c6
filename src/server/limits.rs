//! Limits of a listener's connections.
use std::time::Duration;

use crate::http1::{DecoderLimits, HeadLimits};

/// Limits and time-outs of client connections. The defaults are those of security.md §8.
///
/// Deadlines are met within half a second: sockets are looked at four times a second.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Size and number of what a request head holds (LIM-01, LIM-02).
    pub head: HeadLimits,
    /// What a chunked request body holds beside its data (H1-16, H1-17).
    pub body: DecoderLimits,
    /// A TLS handshake. Default 10 s; over it the connection is closed (LIM-05).
    pub handshake_timeout: Duration,
    /// From the first byte of a head to its end, in total. Default 10 s; over it 408 (LIM-06).
    pub head_timeout: Duration,
    /// Between two reads of a request body. Default 15 s; over it 408 (LIM-07).
    pub body_timeout: Duration,
    /// Slowest average of a request body. Default 1 KiB/s once 10 s were spent waiting for it; over it 408 (LIM-07).
    pub body_rate: Rate,
    /// Between two writes of a response that the client does not take. Default 30 s; over it the connection is cut (LIM-08).
    pub write_timeout: Duration,
    /// Slowest average at which a client takes a response. Default 1 KiB/s once 30 s were spent waiting (LIM-08).
    pub write_rate: Rate,
    /// Between two requests. Default 60 s (LIM-09).
    pub idle_timeout: Duration,
    /// From a request's head to the response's. Default 300 s; over it 504 (LIM-13).
    pub request_timeout: Duration,
    /// Requests of one connection. Default 10,000; the last response closes (LIM-10).
    pub requests_per_connection: u32,
    /// Age of a connection at which its next response closes it. Default 1 h (LIM-10).
    pub connection_age: Duration,
    /// Connections of the server. Default 10,000; the newest is refused, and from 90 % on the longest idle are closed
    /// (LIM-11).
    pub max_connections: usize,
    /// Connections of one client address. Default: no limit (LIM-11).
    pub max_connections_per_ip: Option<usize>,
    /// Bytes of a request body that nobody reads which are read over to keep the connection. Default 64 KiB (H1-19).
    pub drain_bytes: u64,
    /// Time for reading those, and for a client to take the last response before the connection closes. Default 1 s.
    pub drain_timeout: Duration,
    /// Bytes of further requests that are read while one is served. Default 32 KiB (H1-20).
    pub pipeline_bytes: usize,
    /// Silence both ways after which a tunnel is closed, unless its route or upstream says (`timeout.read`). Default 60 s
    /// (UPG-05).
    pub tunnel_idle_timeout: Duration,
    /// Age at which a tunnel is closed. Default 24 h (UPG-05).
    pub tunnel_age: Duration,
    /// Streams at once of an HTTP/2 connection. Default 100 (H2-08).
    pub max_concurrent_streams: u32,
    /// Bytes of a decoded HTTP/2 header list. Default 16 KiB (H2-08).
    pub header_list_bytes: u32,
}

/// A slowest average, asked for only after some time of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second.
    pub bytes_per_second: u64,
    /// Waiting time that is free.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: HeadLimits::request(),
            body: DecoderLimits::request(),
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(15),
            body_rate: Rate { bytes_per_second: 1024, grace: Duration::from_secs(10) },
            write_timeout: Duration::from_secs(30),
            write_rate: Rate { bytes_per_second: 1024, grace: Duration::from_secs(30) },
            idle_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(300),
            requests_per_connection: 10_000,
            connection_age: Duration::from_secs(3600),
            max_connections: 10_000,
            max_connections_per_ip: None,
            drain_bytes: 64 * 1024,
            drain_timeout: Duration::from_secs(1),
            pipeline_bytes: 32 * 1024,
            tunnel_idle_timeout: Duration::from_secs(60),
            tunnel_age: Duration::from_secs(24 * 3600),
            max_concurrent_streams: 100,
            header_list_bytes: 16 * 1024,
        }
    }
}
