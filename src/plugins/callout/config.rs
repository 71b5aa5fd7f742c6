//! Options of a client.
use std::time::Duration;

/// How a [`Callout`](super::Callout) behaves. The defaults are those of the plugin catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CalloutConfig {
    /// Longest time of a call, from its start to the last byte of the answer; connecting is within it,
    /// and takes two thirds of it at most, an equal part for each address of the host. Default 3 s.
    pub timeout: Duration,
    /// Whether a connection is used again. Default `true`.
    pub keepalive: bool,
    /// Longest idle time of a connection that is kept. Default 60 s.
    pub keepalive_timeout: Duration,
    /// Most idle connections that are kept for each host. Default 5.
    pub keepalive_pool: usize,
    /// Whether the certificate of an `https` service is verified against the system's roots (on Debian, the package
    /// `ca-certificates`) and the service's name. Where the system has no roots, no certificate is trusted. Default `true`.
    pub ssl_verify: bool,
    /// Longest body of an answer in bytes; a longer one is an error. Default 1 MiB (security.md SSRF-03).
    pub max_body: usize,
    /// Most calls to one host and port that are under way at once; further ones wait, within `timeout`. Default 256.
    pub max_calls: usize,
}

impl Default for CalloutConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            keepalive: true,
            keepalive_timeout: Duration::from_secs(60),
            keepalive_pool: 5,
            ssl_verify: true,
            max_body: 1024 * 1024,
            max_calls: 256,
        }
    }
}
