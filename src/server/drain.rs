//! The end in good order (DRN-01).
use std::fmt;
use std::time::Duration;

use tokio::sync::watch;

/// How a server ends in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drain {
    /// For how long connections are still accepted, and everything is as before, while [`DrainHandle::has_begun`] says that
    /// the end has begun: a balancer that asks for readiness sees it and leads no more traffic here. Default none.
    pub grace: Duration,
    /// After that, how long what runs may take; what is left is cut. Default 30 s.
    pub deadline: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { grace: Duration::ZERO, deadline: Duration::from_secs(30) }
    }
}

impl Drain {
    /// Without a grace period.
    pub const fn within(deadline: Duration) -> Self {
        Self { grace: Duration::ZERO, deadline }
    }

    /// Sets for how long connections are still accepted.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Serving,
    /// It is told to whoever asks; connections are still accepted.
    Announced,
    Draining,
    /// What is left is cut.
    Cut,
}

/// Sees a server's end, from anywhere; a clone is of the same server.
#[derive(Clone)]
pub struct DrainHandle {
    phase: watch::Sender<Phase>,
}

impl DrainHandle {
    pub(super) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }

    pub(super) fn raise(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let raised = *now < phase;
            *now = phase.max(*now);
            raised
        });
    }

    pub(super) fn is(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase
    }

    pub(super) async fn reached(&self, phase: Phase) {
        // An error means that the server is gone, and `self` is of it.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Whether the end has begun: no longer ready for traffic, though there may still be some.
    pub fn has_begun(&self) -> bool {
        self.is(Phase::Announced)
    }

    /// Waits for the end to begin.
    pub async fn begun(&self) {
        self.reached(Phase::Announced).await;
    }

    /// Ends grace and patience of a drain that runs: what is left is cut at once. Without a drain, one that comes is so.
    pub fn cut(&self) {
        self.raise(Phase::Cut);
    }
}

impl fmt::Debug for DrainHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrainHandle({:?})", *self.phase.borrow())
    }
}
