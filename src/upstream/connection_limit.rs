//! How many connections an upstream has at most, to all of its endpoints together.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Upstream;
use super::endpoint::Endpoint;
use super::error::Error;

/// The limit, over reloads that leave it as it is.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    most: u32,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl ConnectionLimit {
    pub(super) fn new(most: u32) -> Arc<Self> {
        let free = Semaphore::new((most as usize).min(Semaphore::MAX_PERMITS));
        Arc::new(Self { most, free: Arc::new(free), waiting: AtomicUsize::new(0) })
    }

    /// Whether `most` is what it was made with.
    pub(super) fn is(&self, most: u32) -> bool {
        self.most == most
    }

    /// Whether there is room for no more.
    #[cfg(feature = "http2")]
    pub(crate) fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// Whether somebody waits for a connection to end, so that none is to be kept for later.
    pub(crate) fn is_wanted(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }
}

/// The limit that holds for one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) limit: &'a Arc<ConnectionLimit>,
    pub(crate) upstream: &'a Upstream,
}

impl Bound<'_> {
    /// The right to one more connection, for as long as it lives. Those who wait for it are served in turn; connections
    /// that wait for a request themselves make room for them.
    pub(crate) async fn place(self, until: Instant) -> Result<OwnedSemaphorePermit, Error> {
        let ConnectionLimit { free, waiting, .. } = &**self.limit;
        if let Ok(place) = Arc::clone(free).try_acquire_owned() {
            return Ok(place);
        }
        // From here on connections that get free end, so that none is missed between those that are idle now and later.
        let _waiting = Waiting::new(waiting);
        self.upstream.close_idle();
        let place = timeout_at(until, Arc::clone(free).acquire_owned()).await;
        // The semaphore is never closed.
        place.ok().and_then(Result::ok).ok_or_else(|| self.none_left())
    }

    /// There was no place in time.
    pub(crate) fn none_left(self) -> Error {
        Error::Connections { upstream: self.upstream.config.key.clone() }
    }
}

impl Upstream {
    /// Closes one connection that waits for a request, if there is one.
    fn close_idle(&self) {
        let set = self.set.load();
        let _ = set.slots.iter().any(|slot| match &slot.endpoint {
            Endpoint::Remote(remote) => remote.close_idle(),
            Endpoint::Service(_) => false,
        });
    }
}

/// Counts one who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
