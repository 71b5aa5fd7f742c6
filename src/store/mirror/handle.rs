//! [`Mirror`] itself: what it knows, and who is told.
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::assemble::parse;
use super::follow::Follow;
use super::keep::keep;
use super::{MirrorOptions, MirrorSource, MirrorStatus, View};
use crate::store::{Committed, Edit, History, Sealing, Store, StoreError, Transaction};

/// One process's look at a store: one read of everything, then one watch, for all gateways and the Admin API together.
///
/// What it learned last stays when the store cannot be reached. A clone is the same mirror; its task ends with the last
/// clone and the last source.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

/// How long a change that was made is waited for.
const SEEN: Duration = Duration::from_secs(5);
/// After a panic.
const AGAIN: Duration = Duration::from_secs(1);

/// What runs for it.
struct Task(Vec<JoinHandle<()>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// What the task, the sources and the mirror have in common.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    view: ArcSwap<View>,
    status: Mutex<MirrorStatus>,
    pub(super) history: History,
    sealing: Arc<Sealing>,
    /// Counts what there is to look at anew: views and faults.
    told: watch::Sender<u64>,
    /// The revisions that those who follow have applied.
    followers: Mutex<Vec<Weak<AtomicU64>>>,
    applied: watch::Sender<()>,
    pub(super) confirmed: Confirmed,
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.shared.store.place();
        f.debug_struct("Mirror").field("place", &place).field("revision", &self.view().revision()).finish()
    }
}

impl Mirror {
    /// Begins to follow a store. Must be called inside of a tokio runtime.
    pub fn start(store: Arc<dyn Store>, options: MirrorOptions) -> Self {
        let status =
            MirrorStatus { place: store.place(), stale_since: Some(SystemTime::now()), ..MirrorStatus::default() };
        let mut view = View::default();
        view.snapshot.settings = Arc::clone(&options.settings);
        let shared = Arc::new(Shared {
            store,
            view: ArcSwap::from_pointee(view),
            status: Mutex::new(status),
            history: History::new(options.history),
            sealing: Arc::clone(&options.sealing),
            told: watch::Sender::new(0),
            followers: Mutex::default(),
            applied: watch::Sender::new(()),
            confirmed: Confirmed::default(),
        });
        let keep = options.copy.clone().map(|copy| tokio::spawn(keep(Arc::clone(&shared), copy)));
        let follow = tokio::spawn(supervise(Arc::clone(&shared), options));
        Self { shared, _task: Arc::new(Task(keep.into_iter().chain([follow]).collect())) }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// What it knows now. Before the first read: nothing, at revision 0.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Waits until everything is known, from the store or from the local copy.
    pub async fn loaded(&self) {
        let mut told = self.shared.told();
        while self.shared.view_once_loaded().is_none() {
            if told.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until it knows of a revision of the store.
    pub async fn reached(&self, revision: u64) {
        let mut told = self.shared.told();
        while self.shared.view_once_loaded().is_none_or(|view| view.revision() < revision) {
            if told.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until every gateway that follows a source of this mirror has applied a revision, or refused it. `false` when
    /// none follows, or when it took longer than `within`.
    pub async fn applied(&self, revision: u64, within: Duration) -> bool {
        let mut applied = self.shared.applied.subscribe();
        let all = async {
            loop {
                match self.shared.least_applied() {
                    None => return false,
                    Some(least) if least >= revision => return true,
                    Some(_) => {}
                }
                if applied.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(within, all).await.unwrap_or(false)
    }

    /// What encrypts and decrypts secrets.
    pub fn sealing(&self) -> &Sealing {
        &self.shared.sealing
    }

    /// Makes a change of the store, with secrets encrypted where there is a keyring, and waits until this mirror knows of it:
    /// five seconds at most, for the change is made by then.
    ///
    /// # Errors
    /// As [`Store::commit`], and when a secret cannot be encrypted.
    pub async fn commit(&self, mut transaction: Transaction) -> Result<Committed, StoreError> {
        if self.shared.sealing.keyring().is_some() {
            for edit in &mut transaction.edits {
                self.seal(edit)?;
            }
        }
        let committed = self.shared.store.commit(transaction).await?;
        // Whoever waits for news of a store that is away since waits in vain.
        let _ = tokio::time::timeout(SEEN, self.reached(committed.revision)).await;
        Ok(committed)
    }

    fn seal(&self, edit: &mut Edit) -> Result<(), StoreError> {
        let Edit::Put { key, value, .. } = edit else { return Ok(()) };
        let refused = |message: String| StoreError::Refused { place: self.shared.place(), message };
        let mut item = parse(value).map_err(|fault| refused(format!("{key}: {fault}")))?;
        self.shared.sealing.seal(key, &mut item).map_err(|error| refused(error.to_string()))?;
        *value = item.to_string().into();
        Ok(())
    }

    /// How it stands to its store.
    pub fn status(&self) -> MirrorStatus {
        MirrorStatus { traffic: self.shared.store.traffic(), ..self.shared.lock().clone() }
    }

    /// What a gateway follows. Several may.
    pub fn source(&self) -> MirrorSource {
        MirrorSource { mirror: self.clone() }
    }

    /// What was.
    pub fn history(&self) -> History {
        self.shared.history.clone()
    }

    /// Lets a read pass that found no route any more and is held back. `false` when none is.
    pub fn confirm(&self) -> bool {
        let holds = self.status().holds_empty;
        if holds {
            self.shared.confirmed.say();
        }
        holds
    }
}

/// Follows the store, and begins anew if something there panics (security.md PAN-02).
async fn supervise(shared: Arc<Shared>, options: MirrorOptions) {
    loop {
        let mut task = JoinSet::new();
        task.spawn(Follow::new(Arc::clone(&shared), options.clone()).run());
        match task.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                shared.update(|status| {
                    status.last_error = Some("following the store panicked, and is begun anew".to_owned());
                    status.stale_since.get_or_insert_with(SystemTime::now);
                });
                tokio::time::sleep(AGAIN).await;
            }
            _ => return,
        }
    }
}

/// Whether somebody lets an empty read pass.
#[derive(Default)]
pub(super) struct Confirmed {
    said: AtomicBool,
    told: Notify,
}

impl Confirmed {
    fn say(&self) {
        self.said.store(true, SeqCst);
        self.told.notify_waiters();
    }

    /// Takes it back, and tells whether it was said.
    pub(super) fn take(&self) -> bool {
        self.said.swap(false, SeqCst)
    }

    /// Waits until it is said.
    pub(super) async fn changed(&self) {
        let mut told = std::pin::pin!(self.told.notified());
        told.as_mut().enable();
        if !self.said.load(SeqCst) {
            told.await;
        }
    }
}

impl Shared {
    pub(super) fn place(&self) -> Arc<str> {
        self.store.place()
    }

    pub(super) fn told(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// `None` before the first read.
    pub(super) fn view_once_loaded(&self) -> Option<Arc<View>> {
        self.lock().revision.is_some().then(|| self.view())
    }

    pub(super) fn is_from_copy(&self) -> bool {
        self.lock().is_from_copy
    }

    /// How many snapshots were made.
    pub(super) fn made(&self) -> u64 {
        self.lock().snapshots
    }

    /// Notes something that nobody waits for.
    pub(super) fn note(&self, change: impl FnOnce(&mut MirrorStatus)) {
        change(&mut self.lock());
    }

    /// What is wrong with the store at the moment.
    pub(super) fn fault(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// Publishes a view and what is to be said with it.
    pub(super) fn publish(&self, view: View, change: impl FnOnce(&mut MirrorStatus)) {
        let revision = view.revision;
        let entries = view.entries.len();
        self.view.store(Arc::new(view));
        self.update(|status| {
            status.revision = Some(revision);
            status.entries = entries;
            change(status);
        });
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut MirrorStatus)) {
        change(&mut self.lock());
        self.told.send_modify(|count| *count += 1);
    }

    /// A new one of those who say what they have applied.
    pub(super) fn follower(&self) -> Arc<AtomicU64> {
        let follower = Arc::new(AtomicU64::new(0));
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|follower| follower.strong_count() > 0);
        followers.push(Arc::downgrade(&follower));
        follower
    }

    pub(super) fn tell_applied(&self) {
        self.applied.send_replace(());
    }

    fn least_applied(&self) -> Option<u64> {
        let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.iter().filter_map(Weak::upgrade).map(|follower| follower.load(Acquire)).min()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, MirrorStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
