//! How many requests an upstream serves at once, and the queue before it (security.md LIM-12).
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::Notify;

use super::config::AdmissionConfig;

/// The gate before an upstream. The usual way in and out are three atomic operations.
#[derive(Debug)]
pub(crate) struct Admission {
    config: AdmissionConfig,
    active: AtomicUsize,
    waiting: AtomicUsize,
    turn: Notify,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The queue is full.
    Full,
    /// It waited for its turn as long as one waits.
    Waited,
}

impl Admission {
    pub(crate) fn new(config: AdmissionConfig) -> Arc<Self> {
        Arc::new(Self { config, active: AtomicUsize::new(0), waiting: AtomicUsize::new(0), turn: Notify::new() })
    }

    pub(crate) fn config(&self) -> &AdmissionConfig {
        &self.config
    }

    /// Requests inside.
    pub(crate) fn active(&self) -> usize {
        self.active.load(SeqCst)
    }

    /// Lets a request in, at once or after its turn has come.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<Permit<'_>, Refused> {
        // Whoever comes while others wait goes behind them.
        if self.waiting.load(SeqCst) > 0 || !self.try_enter() {
            Box::pin(self.queue()).await?;
        }
        Ok(Permit(self))
    }

    /// Waits for a turn; then a place inside is taken.
    async fn queue(&self) -> Result<(), Refused> {
        let _place = Place::take(self).ok_or(Refused::Full)?;
        tokio::time::timeout(self.config.queue_timeout, self.turn()).await.map_err(|_| Refused::Waited)
    }

    async fn turn(&self) {
        loop {
            let notified = self.turn.notified();
            // Looked at after the place was taken and before waiting: a permit that was given back in between either is
            // seen here or has notified.
            if self.try_enter() {
                return;
            }
            notified.await;
        }
    }

    fn try_enter(&self) -> bool {
        let below = |active| (active < self.config.max_requests).then_some(active + 1);
        self.active.fetch_update(SeqCst, SeqCst, below).is_ok()
    }

    fn leave(&self) {
        self.active.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.turn.notify_one();
        }
    }
}

/// A place in the queue.
struct Place<'a>(&'a Admission);

impl<'a> Place<'a> {
    fn take(admission: &'a Admission) -> Option<Self> {
        let place = Self(admission);
        let before = admission.waiting.fetch_add(1, SeqCst);
        (before < admission.config.max_pending).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

/// A request inside; given back on drop.
#[derive(Debug)]
pub(crate) struct Permit<'a>(&'a Arc<Admission>);

impl Permit<'_> {
    /// For what outlives the call: a response body.
    pub(crate) fn into_owned(self) -> OwnedPermit {
        let permit = OwnedPermit(Arc::clone(self.0));
        std::mem::forget(self);
        permit
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// As [`Permit`], for a body.
#[derive(Debug)]
pub(crate) struct OwnedPermit(Arc<Admission>);

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admission(max_requests: usize, max_pending: usize) -> Arc<Admission> {
        Admission::new(AdmissionConfig { max_requests, max_pending, ..AdmissionConfig::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn sec_lim_12_the_queue_is_bounded_in_length_and_time() {
        let admission = admission(1, 1);
        let inside = admission.enter().await.unwrap();
        let started = tokio::time::Instant::now();
        let (waited, full) = tokio::join!(admission.enter(), admission.enter());
        assert_eq!(waited.unwrap_err(), Refused::Waited);
        assert_eq!(full.unwrap_err(), Refused::Full);
        assert_eq!(started.elapsed().as_secs(), 1);
        drop(inside);
        drop(admission.enter().await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_is_given_back_wakes_the_next() {
        let admission = admission(1, 8);
        let inside = admission.enter().await.unwrap().into_owned();
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let admission = Arc::clone(&admission);
                tokio::spawn(async move { admission.enter().await.is_ok() })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(admission.waiting.load(SeqCst), 5);
        drop(inside);
        for task in waiting {
            assert!(task.await.unwrap());
        }
        assert_eq!((admission.active.load(SeqCst), admission.waiting.load(SeqCst)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stops_waiting_leaves_nothing_behind() {
        let admission = admission(1, 1);
        let inside = admission.enter().await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(10), admission.enter()).await;
        assert!(waiting.is_err());
        drop(inside);
        assert_eq!((admission.active.load(SeqCst), admission.waiting.load(SeqCst)), (0, 0));
    }
}
