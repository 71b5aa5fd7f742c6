//! What is to be known of listeners.
use std::time::SystemTime;

use super::{ListenAddress, Protocols};

/// A listener of a [`Server`](super::Server), as it is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerStatus {
    /// The address that was asked for.
    pub asked: ListenAddress,
    /// The address that it became, which differs where the port was 0.
    pub address: ListenAddress,
    /// What is spoken.
    pub protocols: Protocols,
    /// Since when it listens.
    pub since: SystemTime,
    /// Its connections at the moment, tunnels and those that still arrive included.
    pub connections: usize,
    /// Connections that it took so far.
    pub accepted: u64,
    /// Of those, closed over a limit (LIM-11).
    pub refused: u64,
    /// Of those, ended before anything was spoken: their PROXY header or their TLS handshake failed.
    pub failed: u64,
}
