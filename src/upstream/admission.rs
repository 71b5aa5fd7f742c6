//! How many requests an upstream serves at once, and the queue before it (security.md LIM-12).
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::adaptive::Adaptive;
use super::config::AdmissionConfig;

/// The gate before an upstream. The usual way in and out are three atomic operations; the queue has a lock, which only
/// those touch who wait, or who leave while others wait.
#[derive(Debug)]
pub(crate) struct Admission {
    config: AdmissionConfig,
    /// The limit that follows latency, below `max_requests`.
    adaptive: Option<Adaptive>,
    active: AtomicUsize,
    waiting: AtomicUsize,
    /// First come, first served. Those who have gone stay until their turn comes, or the queue is long.
    queue: Mutex<VecDeque<oneshot::Sender<OwnedPermit>>>,
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
        Arc::new(Self {
            adaptive: config.adaptive.as_ref().map(|adaptive| Adaptive::new(adaptive, config.max_requests)),
            config,
            active: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        })
    }

    pub(crate) fn config(&self) -> &AdmissionConfig {
        &self.config
    }

    /// Requests inside.
    pub(crate) fn active(&self) -> usize {
        self.active.load(SeqCst)
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// How many may be inside now.
    pub(crate) fn limit(&self) -> usize {
        self.adaptive.as_ref().map_or(self.config.max_requests, Adaptive::limit)
    }

    /// Lets a request in, at once or after its turn has come.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<Permit<'_>, Refused> {
        // Whoever comes while others wait goes behind them. Where nobody may wait, those counted are being turned away.
        let others_wait = self.config.max_pending > 0 && self.waiting() > 0;
        if others_wait || !self.try_enter() {
            Box::pin(self.queue()).await?;
        }
        Ok(Permit(self))
    }

    /// The time at which a request went to an endpoint, if it is of interest.
    pub(crate) fn clock(&self) -> Option<Instant> {
        self.adaptive.as_ref().map(|_| Instant::now())
    }

    /// Takes note that an endpoint answered what it was sent at `began`, or was too slow to.
    pub(crate) fn answered(self: &Arc<Self>, began: Option<Instant>) {
        let Some((adaptive, began)) = self.adaptive.as_ref().zip(began) else { return };
        if adaptive.ended(began) && self.waiting() > 0 {
            self.hand_out();
        }
    }

    /// Waits for a turn; then a place inside is taken.
    async fn queue(self: &Arc<Self>) -> Result<(), Refused> {
        let _place = Place::take(self).ok_or(Refused::Full)?;
        let (turn, granted) = oneshot::channel();
        {
            let mut queue = self.lock();
            if queue.len() >= self.config.max_pending {
                queue.retain(|turn| !turn.is_closed());
            }
            queue.push_back(turn);
        }
        // A place that was given back before this one stood in the queue is seen here, any later one by `leave`.
        self.hand_out();
        let granted = tokio::time::timeout(self.config.queue_timeout, granted).await;
        let mut permit = granted.map_err(|_| Refused::Waited)?.map_err(|_| Refused::Waited)?;
        // The caller's own permit stands for it from here on.
        permit.0 = None;
        Ok(())
    }

    /// Gives free places to those who have waited longest.
    fn hand_out(self: &Arc<Self>) {
        let mut refused = None;
        let mut queue = self.lock();
        while queue.front().is_some() && (refused.is_some() || self.try_enter()) {
            let permit = refused.take().unwrap_or_else(|| OwnedPermit(Some(Arc::clone(self))));
            // Whoever has gone gives it back, for the next one.
            refused = queue.pop_front().and_then(|turn| turn.send(permit).err());
        }
        // Its drop may look at the queue again.
        drop(queue);
        drop(refused);
    }

    fn try_enter(&self) -> bool {
        let limit = self.limit();
        let entered = self.active.fetch_update(SeqCst, SeqCst, |active| (active < limit).then_some(active + 1));
        if let (Ok(before), Some(adaptive)) = (entered, &self.adaptive) {
            adaptive.entered(before + 1);
        }
        entered.is_ok()
    }

    fn leave(self: &Arc<Self>) {
        self.active.fetch_sub(1, SeqCst);
        if self.waiting() > 0 {
            self.hand_out();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<OwnedPermit>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
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
        let permit = OwnedPermit(Some(Arc::clone(self.0)));
        mem::forget(self);
        permit
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// As [`Permit`], for a body, or for one who waits.
#[derive(Debug)]
pub(crate) struct OwnedPermit(Option<Arc<Admission>>);

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if let Some(admission) = self.0.take() {
            admission.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    use crate::upstream::AdaptiveConfig;

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

    #[tokio::test(start_paused = true)]
    async fn sec_lim_12_first_come_first_served() {
        let admission = admission(1, 100);
        let inside = admission.enter().await.unwrap().into_owned();
        let served: Arc<Mutex<Vec<u32>>> = Arc::default();
        let mut waiting = Vec::new();
        for number in 0..50 {
            let (admission, served) = (Arc::clone(&admission), Arc::clone(&served));
            let task = tokio::spawn(async move {
                let inside = admission.enter().await.unwrap();
                served.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                drop(inside);
            });
            tokio::task::yield_now().await;
            // Some lose their patience in between.
            if number % 3 == 0 { task.abort() } else { waiting.push(task) }
        }
        drop(inside);
        for task in waiting {
            task.await.unwrap();
        }
        let expected: Vec<_> = (0..50).filter(|number| number % 3 > 0).collect();
        assert_eq!(*served.lock().unwrap(), expected);
        assert_eq!((admission.active(), admission.waiting(), Arc::strong_count(&admission)), (0, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_of_those_who_have_gone_stays_short() {
        let admission = admission(1, 4);
        let _inside = admission.enter().await.unwrap();
        for _ in 0..100 {
            assert_eq!(admission.enter().await.unwrap_err(), Refused::Waited);
        }
        assert!(admission.lock().len() <= 4);
    }

    /// Many threads come, wait, lose patience and go: no place is lost, and none is given twice.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_place_is_lost_and_none_is_given_twice() {
        let admission = Admission::new(AdmissionConfig {
            max_requests: 3,
            max_pending: 1000,
            queue_timeout: Duration::from_micros(200),
            ..AdmissionConfig::default()
        });
        let most = Arc::new(AtomicUsize::new(0));
        let tasks = (0..16).map(|_| {
            let (admission, most) = (Arc::clone(&admission), Arc::clone(&most));
            tokio::spawn(async move {
                for _ in 0..500 {
                    if let Ok(permit) = admission.enter().await {
                        most.fetch_max(admission.active(), SeqCst);
                        tokio::task::yield_now().await;
                        drop(permit);
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!((admission.active(), admission.waiting(), most.load(SeqCst)), (0, 0, 3));
    }

    /// A server with room for 40 at once and 20 ms for each, 300 clients that want it without a pause.
    #[tokio::test(start_paused = true)]
    async fn an_adaptive_limit_keeps_the_queue_out_of_the_server() {
        let admission = Admission::new(AdmissionConfig {
            adaptive: Some(AdaptiveConfig::default()),
            queue_timeout: Duration::from_secs(100),
            ..AdmissionConfig::default()
        });
        let server = Arc::new(tokio::sync::Semaphore::new(40));
        let clients: Vec<_> = (0..300)
            .map(|_| {
                let (admission, server) = (Arc::clone(&admission), Arc::clone(&server));
                tokio::spawn(async move {
                    loop {
                        let permit = admission.enter().await.unwrap();
                        let began = admission.clock();
                        let work = server.acquire().await.unwrap();
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        drop(work);
                        admission.answered(began);
                        drop(permit);
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let mut limits = Vec::new();
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(admission.active() <= admission.limit().max(*limits.last().unwrap_or(&1024)));
            limits.push(admission.limit());
        }
        clients.iter().for_each(tokio::task::JoinHandle::abort);
        // At half of it, for a moment, the baseline is looked for.
        limits.sort_unstable();
        assert!(limits[20] >= 36 && limits[399] <= 84, "{limits:?}");
    }
}
