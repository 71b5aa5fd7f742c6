//! Upgrades (RFC 9110 §7.8): the wish on the way in, the tunnel on the way out.
//!
//! The codec takes `Connection` and `Upgrade` off each request and leaves an [`UpgradeWish`] in its extensions; the
//! upstream client writes those two fields again where the route allows it. A `101` comes back with an
//! [`UpgradedIo`] in its extensions; whoever owns the client's connection joins the two.
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::held::HeldStream;

/// Request extension: the client asked for another protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeWish(
    /// The value of `Upgrade` as sent.
    pub HeaderValue,
);

impl UpgradeWish {
    /// Whether the wish is exactly `websocket` (RFC 6455 §4.1).
    pub fn is_websocket(&self) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(b"websocket")
    }
}

/// Request extension beside an [`UpgradeWish`]: without the upgrade there is nothing to ask for, as with the `CONNECT` of
/// HTTP/2 (RFC 8441).
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpgradeOnly;

/// A byte stream both ways, for tunnels.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Response extension of a `101`: the upstream's connection, and what it had sent behind the head.
#[derive(Clone)]
pub struct UpgradedIo {
    parts: Arc<Mutex<Option<Parts>>>,
    idle_timeout: Option<Duration>,
}

type Parts = (Box<dyn Duplex>, Bytes);

impl UpgradedIo {
    /// Wraps a connection; `early` are the bytes read behind the head of the `101`.
    pub fn new(io: impl Duplex + 'static, early: Bytes) -> Self {
        Self { parts: Arc::new(Mutex::new(Some((Box::new(io), early)))), idle_timeout: None }
    }

    /// Sets how long the tunnel may be silent both ways.
    #[must_use]
    pub fn with_idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.idle_timeout = Some(idle_timeout);
        self
    }

    /// How long the tunnel may be silent both ways: `timeout.read` of the route or upstream that it leads through.
    /// `None`: as long as who owns the client's connection allows.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Has whoever takes the connection hold `guard` with it.
    pub(crate) fn hold<G: Send + Unpin + 'static>(&self, guard: G) {
        if let Some((io, early)) = self.take() {
            let mut slot = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            *slot = Some((Box::new(HeldStream::new(io, guard)), early));
        }
    }

    /// Takes the connection; the second call gets `None`.
    pub fn take(&self) -> Option<(Box<dyn Duplex>, Bytes)> {
        match self.parts.lock() {
            Ok(mut slot) => slot.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        }
    }
}

impl fmt::Debug for UpgradedIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpgradedIo")
    }
}
