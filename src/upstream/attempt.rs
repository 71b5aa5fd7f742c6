//! What goes into an attempt at one endpoint, and what comes out.
use std::net::SocketAddr;
#[cfg(feature = "client")]
use std::pin::Pin;

use http::Response;
use http::request::Parts;

#[cfg(feature = "client")]
use super::client::Incoming;
#[cfg(feature = "client")]
use super::config::{AnswerLimits, Keepalive, Timeouts};
#[cfg(feature = "client")]
use super::connection_limit::Bound;
use super::error::Error;
#[cfg(feature = "http2")]
use super::http2::Streamed;
use super::payload::Payload;
use super::retry::Delivery;
use crate::{Body, Request, UpgradedIo};

/// A request over its attempts.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) parts: Parts,
    pub(crate) payload: Payload,
}

impl Outgoing {
    /// A request of which nothing was sent.
    pub(crate) fn new(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        Self { parts, payload: Payload::new(body) }
    }

    /// The same request once more, if its body is at hand and no longer than `most` bytes.
    pub(crate) fn copy(&self, most: usize) -> Option<Self> {
        Some(Self { payload: self.payload.copy(most)?, parts: self.parts.clone() })
    }
}

/// How one attempt is made.
#[cfg(feature = "client")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) timeouts: &'a Timeouts,
    pub(crate) keepalive: &'a Keepalive,
    pub(crate) answers: &'a AnswerLimits,
    /// The request may be delivered twice.
    pub(crate) repeatable: bool,
    /// The largest body at hand that is kept for another attempt.
    pub(crate) replay_bytes: usize,
    /// Whether there may be so many connections only.
    pub(crate) connections: Option<Bound<'a>>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: Response<()>,
    pub(crate) body: Answer,
    pub(crate) address: Option<SocketAddr>,
}

/// The body of a response.
#[derive(Debug)]
#[cfg_attr(not(feature = "client"), expect(dead_code, reason = "services of the process give foreign bodies only"))]
pub(crate) enum Answer {
    /// Complete.
    Ready(Body),
    /// Still to be read from its connection.
    #[cfg(feature = "client")]
    Stream(Pin<Box<Incoming>>),
    /// Still to be read from its stream.
    #[cfg(feature = "http2")]
    Multiplexed(Pin<Box<Streamed>>),
    /// Still to be read from elsewhere.
    Foreign(Body),
    /// None: the connection is a tunnel.
    Tunnel(UpgradedIo),
}

/// An attempt without a response.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) delivery: Delivery,
    pub(crate) address: Option<SocketAddr>,
}

#[cfg(feature = "client")]
impl Failure {
    /// Before any connection.
    pub(crate) fn before(error: Error) -> Self {
        Self { error, delivery: Delivery::None, address: None }
    }
}
