//! [`Shared`]: a [`Table`] that many look at and watch.
use std::collections::VecDeque;
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use futures_core::Stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::table::{Draft, Now, Since, Table};
use super::{Change, News, NewsStream, StoreError};

/// How many changes a watch takes at once, so that it holds the lock for a moment only.
const AT_ONCE: usize = 256;

/// A table behind a lock that is never held over an await, and the word that it has changed.
pub(super) struct Shared {
    table: Mutex<Table>,
    /// The table's revision; `None` once the store is closed.
    told: watch::Sender<Option<u64>>,
    /// The clock by which whoever looks ends what has run out; `None`: the store itself does.
    clock: Option<Clock>,
}

/// Tokio's clock since a store was made.
#[derive(Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Now {
        Now { elapsed: self.0.elapsed(), at: SystemTime::now() }
    }

    /// Until then, or for ever.
    async fn until(self, elapsed: Duration) {
        match self.0.checked_add(elapsed) {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
    }
}

impl Shared {
    pub(super) fn new(table: Table, clock: Option<Clock>) -> Arc<Self> {
        let told = watch::Sender::new(Some(table.revision()));
        Arc::new(Self { table: Mutex::new(table), told, clock })
    }

    /// Looks at the table, or changes it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = self.clock.map(Clock::now)
            && table.next_expiry().is_some_and(|at| at <= now.elapsed)
        {
            let over = Draft::new(&table, now).finish();
            table.accept(over);
        }
        let result = work(&mut table);
        // under the lock, so that nobody is told an older revision behind a newer one
        self.told.send_if_modified(|told| {
            let changed = told.is_some_and(|told| told != table.revision());
            if changed {
                *told = Some(table.revision());
            }
            changed
        });
        result
    }

    /// Ends all watches.
    #[cfg(feature = "disk")]
    pub(super) fn close(&self) {
        self.told.send_replace(None);
    }

    pub(super) fn watch(self: &Arc<Self>, from: u64) -> NewsStream {
        let watch =
            Watch { shared: self.clone(), told: self.told.subscribe(), from, ready: VecDeque::new(), ended: false };
        Box::pin(Unfold { next: Some(Box::pin(watch.next())) })
    }
}

/// A watch between two changes.
struct Watch {
    shared: Arc<Shared>,
    told: watch::Receiver<Option<u64>>,
    from: u64,
    ready: VecDeque<Arc<Change>>,
    ended: bool,
}

impl Watch {
    async fn next(mut self) -> Option<(News, Self)> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                self.from = change.revision + 1;
                return Some((News::Batch(change.to_batch()), self));
            }
            // Marked as seen before the look at the table: what changes behind the look wakes us up again.
            if self.ended || self.told.borrow_and_update().is_none() {
                return None;
            }
            let (since, expiry) = self.shared.with(|table| (table.since(self.from, AT_ONCE), table.next_expiry()));
            match since {
                Since::Compacted => {
                    self.ended = true;
                    return Some((News::Compacted, self));
                }
                Since::Changes(changes) if !changes.is_empty() => self.ready.extend(changes),
                Since::Changes(_) => {
                    let over = async {
                        match self.shared.clock.zip(expiry) {
                            Some((clock, expiry)) => clock.until(expiry).await,
                            None => pending().await,
                        }
                    };
                    tokio::select! {
                        told = self.told.changed() => told.ok()?,
                        () = over => {}
                    }
                }
            }
        }
    }
}

type Next = Pin<Box<dyn Future<Output = Option<(News, Watch)>> + Send>>;

/// The stream of what [`Watch::next`] gives.
struct Unfold {
    next: Option<Next>,
}

impl Stream for Unfold {
    type Item = Result<News, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let next = ready!(next.as_mut().poll(cx));
        let (news, watch) = next.unzip();
        self.next = watch.map(|watch| Box::pin(watch.next()) as Next);
        Poll::Ready(news.map(Ok))
    }
}
