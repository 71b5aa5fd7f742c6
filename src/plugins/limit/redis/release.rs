//! Places of running requests that are to be given back in Redis.
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};

use super::{BackendError, Link};

/// Places that wait to be given back. When there are more, the rest ends with `key_ttl`.
const QUEUE: usize = 100_000;
/// Places that are given back at the same time.
const AT_ONCE: usize = 64;
/// Before the next try, where Redis failed.
const PAUSE: Duration = Duration::from_millis(500);

/// Gives places back when their requests end, which cannot wait for Redis: one task per block does it, for as long as
/// there are any, and tries again what Redis did not take.
pub(crate) struct Releases {
    link: Arc<Link>,
    /// Tells the places of this gateway from those of others.
    name: String,
    count: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    places: VecDeque<Place>,
    task: Option<JoinHandle<()>>,
}

/// The place of one request.
#[derive(Debug)]
struct Place {
    key: Vec<u8>,
    member: String,
}

/// A running request's place in Redis; given back when it is dropped.
pub(crate) struct RemoteSlot {
    releases: Arc<Releases>,
    place: Option<Place>,
}

impl Drop for RemoteSlot {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.releases.give_back(place);
        }
    }
}

impl Releases {
    pub(crate) fn new(link: Arc<Link>) -> Arc<Self> {
        let word = || RandomState::new().build_hasher().finish();
        let name = format!("{:016x}{:016x}", word(), word());
        Arc::new(Self { link, name, count: AtomicU64::new(0), queue: Mutex::default() })
    }

    /// Takes a place if fewer than `most` are taken: the place, and how many are taken with it. It counts for `ttl`
    /// milliseconds.
    pub(crate) async fn take(
        self: &Arc<Self>,
        key: &[u8],
        most: u64,
        ttl: u64,
    ) -> Result<Option<(RemoteSlot, u64)>, BackendError> {
        let member = format!("{}:{}", self.name, self.count.fetch_add(1, Relaxed));
        // Stands before Redis is asked: a request that is dropped meanwhile, or gets no answer, may have its place already.
        let place = Place { key: key.to_vec(), member: member.clone() };
        let mut slot = RemoteSlot { releases: Arc::clone(self), place: Some(place) };
        match self.link.take(key, &member, most, ttl).await {
            Ok(Some(running)) => Ok(Some((slot, running))),
            Ok(None) => {
                slot.place = None;
                Ok(None)
            }
            Err(error) => {
                if matches!(error, BackendError::Unreachable) {
                    slot.place = None;
                }
                Err(error)
            }
        }
    }

    /// Gives a place back, soon.
    fn give_back(self: &Arc<Self>, place: Place) {
        let mut queue = self.queue();
        if queue.places.len() >= QUEUE {
            return;
        }
        queue.places.push_back(place);
        // a task of a runtime that has ended is finished
        if queue.task.as_ref().is_none_or(JoinHandle::is_finished) {
            // dropped outside of a runtime, a place waits for the next one or for `key_ttl`
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                queue.task = Some(runtime.spawn(Arc::clone(self).run()));
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        while let Some(places) = self.some() {
            let mut running = JoinSet::new();
            for place in places {
                let releases = Arc::clone(&self);
                running.spawn(async move {
                    let told = releases.link.give_back(&place.key, &place.member).await;
                    told.err().map(|_| place)
                });
            }
            let mut failed = false;
            while let Some(told) = running.join_next().await {
                if let Ok(Some(place)) = told {
                    failed = true;
                    self.queue().places.push_back(place);
                }
            }
            if failed {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// The next places; `None` ends the task, and the next place starts another one.
    fn some(&self) -> Option<Vec<Place>> {
        let mut queue = self.queue();
        if queue.places.is_empty() {
            queue.task = None;
            return None;
        }
        let count = queue.places.len().min(AT_ONCE);
        Some(queue.places.drain(..count).collect())
    }
}
