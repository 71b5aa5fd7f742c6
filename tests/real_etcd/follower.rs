//! Somebody who follows a store as a gateway does: a full read, a watch, and anew when the watch says so.
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use tollgate::store::{Entry, Key, News, NewsStream, Store, StoreError};

/// Nothing that a test waits for takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

/// What it has, and what it heard.
pub(crate) struct Follower {
    store: Arc<dyn Store>,
    watch: NewsStream,
    pub(crate) state: BTreeMap<Key, Entry>,
    pub(crate) revision: u64,
    /// The watch is over, and the full read not yet done.
    reads: bool,
    /// Full reads behind the first.
    pub(crate) resyncs: u32,
    pub(crate) errors: Vec<StoreError>,
}

impl Follower {
    pub(crate) async fn new(store: &(impl Store + Clone)) -> Self {
        let store: Arc<dyn Store> = Arc::new(store.clone());
        let loaded = within("the first full read", store.load()).await.unwrap();
        let watch = store.watch(loaded.revision + 1);
        let state = loaded.entries.into_iter().collect();
        Self { store, watch, state, revision: loaded.revision, reads: false, resyncs: 0, errors: Vec::new() }
    }

    /// Takes one piece of news. Revisions never go back, but by a full read. May be given up at any time.
    pub(crate) async fn step(&mut self) {
        if self.reads {
            self.read().await;
            return self.judge();
        }
        match poll_fn(|cx| self.watch.as_mut().poll_next(cx)).await {
            Some(Ok(News::Batch(batch))) => {
                assert!(batch.revision > self.revision, "{} behind {}", batch.revision, self.revision);
                self.revision = batch.revision;
                for event in batch.events {
                    match event.entry {
                        Some(entry) => drop(self.state.insert(event.key, entry)),
                        None => drop(self.state.remove(&event.key)),
                    }
                }
            }
            Some(Ok(News::Progress(revision))) => {
                assert!(revision >= self.revision, "{revision} behind {}", self.revision);
                self.revision = revision;
            }
            Some(Ok(_)) => self.reads = true,
            Some(Err(error)) => self.errors.push(error),
            None => panic!("the watch ended without a word"),
        }
        self.judge();
    }

    async fn read(&mut self) {
        match self.store.load().await {
            Ok(loaded) => {
                self.resyncs += 1;
                self.reads = false;
                self.revision = loaded.revision;
                self.state = loaded.entries.into_iter().collect();
                self.watch = self.store.watch(loaded.revision + 1);
            }
            Err(error) => {
                self.errors.push(error);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Half of a transaction is never seen: those of these tests that write `services/a` write the same to
    /// `services/b`.
    fn judge(&self) {
        assert_eq!(self.value("services/a"), self.value("services/b"), "a state that never was");
    }

    /// An item's text.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.state.get(key).map(|entry| std::str::from_utf8(&entry.value).unwrap())
    }

    /// Follows until something holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        within(what, async {
            while !holds(self) {
                self.step().await;
            }
        })
        .await;
    }

    /// Follows until it has what the store has.
    pub(crate) async fn catch_up(&mut self) {
        let loaded = within("a full read", async {
            loop {
                if let Ok(loaded) = self.store.load().await {
                    return loaded;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let expected: BTreeMap<_, _> = loaded.entries.into_iter().collect();
        self.until("what the store has", |follower| follower.state == expected).await;
    }
}
