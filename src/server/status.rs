//! What is to be known of listeners.
use std::net::SocketAddr;
use std::time::SystemTime;

use super::Listener;

/// A listener of a [`Server`](super::Server), as it is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerStatus {
    /// What was asked for. Of one that could not be changed: what it still is.
    pub listener: Listener,
    /// The addresses of TCP that it has: one, or those of the sockets that were inherited by its name.
    pub addresses: Vec<SocketAddr>,
    /// Since when it listens; `None` if it does not.
    pub since: Option<SystemTime>,
    /// Its connections at the moment, tunnels and those that still arrive included.
    pub connections: usize,
    /// Connections that it took so far.
    pub accepted: u64,
    /// Of those, closed over a limit (LIM-11).
    pub refused: u64,
    /// Of those, ended before anything was spoken: their PROXY header or their TLS handshake failed.
    pub failed: u64,
    /// Why it does not listen. It is tried again by [`Server::retry`](super::Server::retry), and with the next change.
    pub error: Option<String>,
}
