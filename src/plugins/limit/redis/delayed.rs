//! Fixed windows that are counted here and told to Redis at intervals (`sync_interval`).
//!
//! The first request of a window asks Redis, so that a window begins with what the other gateways have used of it. Further
//! ones are decided here, on what Redis told last and what was admitted here since; each interval the latter is added up in
//! Redis, which tells the sum of all gateways. **Bound**: beyond `count` go at most as many requests as the other gateways
//! admit within one interval and the time that Redis takes to answer; one gateway alone is exact. Where Redis fails, the window goes on with what is known
//! here, so that from there on the limit holds for each gateway by itself until the window ends.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use super::Link;
use crate::plugins::limit::clock::{Clock, millis};
use crate::plugins::limit::hash::Key;
use crate::plugins::limit::store::{DEFAULT_BOUND, Expires, Store};
use crate::plugins::limit::window::Verdict;

/// Keys that wait for the next interval. When there are more, what they have counted waits for room.
const QUEUE: usize = 10_000;
/// Keys that are told to Redis at the same time.
const AT_ONCE: usize = 64;

/// What is asked of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    /// Milliseconds.
    pub(crate) width: u64,
    pub(crate) limit: u64,
}

/// The delayed counting of one plugin by connection and interval.
#[derive(Default)]
pub(crate) struct Delays(Mutex<Vec<Weak<Delayed>>>);

impl Delays {
    /// The counters that are told to this Redis at this interval.
    pub(crate) fn delayed(&self, link: &Arc<Link>, interval: Duration) -> Arc<Delayed> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|delayed| delayed.strong_count() > 0);
        let same = |delayed: &Arc<Delayed>| Arc::ptr_eq(&delayed.0.link, link) && delayed.0.interval == interval;
        let known = all.iter().filter_map(Weak::upgrade).find(same);
        known.unwrap_or_else(|| {
            let delayed = Arc::new(Delayed::new(Arc::clone(link), interval));
            all.push(Arc::downgrade(&delayed));
            delayed
        })
    }
}

/// Counters that are told to one Redis at one interval. When it is dropped, what is still to be told is told.
pub(crate) struct Delayed(Arc<State>);

struct State {
    link: Arc<Link>,
    interval: Duration,
    clock: Clock,
    quotas: Store<Quota>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    keys: VecDeque<Key>,
    task: Option<JoinHandle<()>>,
}

/// What is known of one window.
#[derive(Debug, Default)]
struct Quota {
    name: Box<[u8]>,
    width: u64,
    until: u64,
    /// Whether Redis told of the window, or could not; if not, the state stands for requests that are asking.
    known: bool,
    /// What Redis told last, and what it could not be told.
    used: u64,
    /// On its way to Redis: counted there or not, so that until it answers it is counted here.
    sent: u64,
    /// Admitted here since.
    delta: u64,
    queued: bool,
    /// Redis failed in this window.
    alone: bool,
}

impl Expires for Quota {
    fn until(&self) -> u64 {
        self.until
    }
}

impl Quota {
    /// Takes in what Redis told: that `used` requests are counted, in a window that ends in `left` milliseconds.
    fn learn(&mut self, now: u64, used: u64, left: u64, window: &Ask, name: &[u8]) {
        let until = now.saturating_add(left);
        // Answers of one window may come in another order than Redis gave them, and tell its end up to their delay too late.
        if self.is_known(now) && until.saturating_sub(self.until) <= window.width / 2 {
            self.used = self.used.max(used);
            return;
        }
        self.begin(now, until, window, name);
        self.used = used;
        self.alone = false;
    }

    /// Begins a window. What was admitted here since the last answer belongs to it if the last one seemed to go on.
    fn begin(&mut self, now: u64, until: u64, window: &Ask, name: &[u8]) {
        if !self.is_known(now) {
            (self.delta, self.queued) = (0, false);
        }
        (self.name, self.width, self.until, self.known) = (name.into(), window.width, until, true);
    }

    fn is_known(&self, now: u64) -> bool {
        self.known && self.until > now
    }

    /// Decides one request of a window that is known.
    fn charge(&mut self, now: u64, limit: u64) -> Verdict {
        let used = self.used.saturating_add(self.sent).saturating_add(self.delta);
        let reset = self.until.saturating_sub(now);
        if used >= limit {
            return Verdict { admitted: false, remaining: 0, reset };
        }
        self.delta += 1;
        Verdict { admitted: true, remaining: limit - used - 1, reset }
    }
}

/// Requests on their way to Redis; dropped, they are counted here no longer.
struct Sent<'a> {
    state: &'a State,
    key: Key,
    requests: u64,
}

impl Sent<'_> {
    /// Takes Redis's answer in.
    fn arrived<R>(mut self, now: u64, answer: impl FnOnce(&mut Quota) -> R) -> R {
        let requests = std::mem::take(&mut self.requests);
        self.state.quotas.update(DEFAULT_BOUND, self.key, now, |quota| {
            quota.sent = quota.sent.saturating_sub(requests);
            answer(quota)
        })
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.requests > 0 {
            let now = self.state.clock.now();
            self.state
                .quotas
                .update(DEFAULT_BOUND, self.key, now, |quota| quota.sent = quota.sent.saturating_sub(self.requests));
        }
    }
}

impl Delayed {
    fn new(link: Arc<Link>, interval: Duration) -> Self {
        let (quotas, queue) = (Store::default(), Mutex::default());
        Self(Arc::new(State { link, interval, clock: Clock::new(), quotas, queue }))
    }

    /// How often Redis is told, in milliseconds.
    pub(crate) fn interval_ms(&self) -> u64 {
        millis(self.0.interval)
    }

    /// Decides on what is known here; `None` when Redis has to be asked, by [`Delayed::ask`].
    pub(crate) fn decide(self: &Arc<Self>, ask: Ask) -> Option<Verdict> {
        let now = self.0.clock.now();
        let (verdict, queue) = self.0.quotas.update(DEFAULT_BOUND, ask.key, now, |quota| {
            if !quota.is_known(now) {
                return (None, false);
            }
            let verdict = quota.charge(now, ask.limit);
            let queue = verdict.admitted && !quota.queued && !quota.alone;
            quota.queued |= queue;
            (Some(verdict), queue)
        });
        if queue && !self.queue(ask.key) {
            self.0.quotas.update(DEFAULT_BOUND, ask.key, now, |quota| quota.queued = false);
        }
        verdict
    }

    /// Begins a window with what Redis says of it, or by itself if Redis does not answer.
    pub(crate) async fn ask(self: &Arc<Self>, ask: Ask, name: &[u8]) -> Verdict {
        let now = self.0.clock.now();
        let answered = now.saturating_add(millis(self.0.link.timeout())).saturating_add(1000);
        self.0.quotas.update(DEFAULT_BOUND, ask.key, now, |quota| {
            quota.sent += 1;
            quota.until = quota.until.max(answered);
        });
        let sent = Sent { state: &self.0, key: ask.key, requests: 1 };
        let told = self.0.link.fixed(name, 1, ask.width).await;
        let now = self.0.clock.now();
        sent.arrived(now, |quota| match told {
            Ok((used, left)) => {
                quota.learn(now, used, left, &ask, name);
                Verdict { admitted: used <= ask.limit, remaining: ask.limit.saturating_sub(used), reset: left }
            }
            Err(_) => {
                if !quota.is_known(now) {
                    quota.begin(now, now.saturating_add(ask.width), &ask, name);
                    (quota.used, quota.alone) = (0, true);
                }
                quota.charge(now, ask.limit)
            }
        })
    }

    /// Has a key told to Redis with the next interval, if there is room.
    fn queue(self: &Arc<Self>, key: Key) -> bool {
        let mut queue = self.0.queue();
        if queue.keys.len() >= QUEUE {
            return false;
        }
        queue.keys.push_back(key);
        // a task of a runtime that has ended is finished
        if queue.task.as_ref().is_none_or(JoinHandle::is_finished) {
            queue.task = Some(tokio::spawn(Arc::clone(&self.0).tell_at_intervals(Arc::downgrade(self))));
        }
        true
    }
}

impl State {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until nobody counts here any more, and then once more.
    async fn tell_at_intervals(self: Arc<Self>, owner: Weak<Delayed>) {
        loop {
            tokio::time::sleep(self.interval).await;
            let last = owner.strong_count() == 0;
            self.tell().await;
            if last {
                return;
            }
        }
    }

    /// Tells Redis what was admitted here since, key by key, many at a time.
    async fn tell(self: &Arc<Self>) {
        let keys = std::mem::take(&mut self.queue().keys);
        let mut running = JoinSet::new();
        for key in keys {
            if running.len() >= AT_ONCE {
                running.join_next().await;
            }
            running.spawn(Arc::clone(self).tell_one(key));
        }
        while running.join_next().await.is_some() {}
    }

    async fn tell_one(self: Arc<Self>, key: Key) {
        let now = self.clock.now();
        let (name, width, delta) = self.quotas.update(DEFAULT_BOUND, key, now, |quota| {
            quota.queued = false;
            let delta = std::mem::take(&mut quota.delta);
            quota.sent += delta;
            (quota.name.clone(), quota.width, delta)
        });
        // the window has ended
        if delta == 0 {
            return;
        }
        let sent = Sent { state: &self, key, requests: delta };
        let told = self.link.fixed(&name, delta, width).await;
        let now = self.clock.now();
        sent.arrived(now, |quota| match told {
            Ok((used, left)) => quota.learn(now, used, left, &Ask { key, width, limit: 0 }, &name),
            Err(_) if quota.is_known(now) => {
                quota.used = quota.used.saturating_add(delta);
                quota.alone = true;
            }
            Err(_) => {}
        });
    }
}
