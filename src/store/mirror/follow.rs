//! The task of a mirror: everything is read once, then the watch tells what changes.
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::assemble::{Assembler, Changed};
use super::handle::Shared;
use super::intake::Intake;
use super::references::resolve;
use super::{MirrorOptions, View};
use crate::model::{Kind, Snapshot, UnknownFields};
use crate::store::{Batch, Change, Copied, Edited, Entries, Entry, Event, Key, Loaded, News, NewsStream, StoreError};

/// How long a start waits for the store before it takes the local copy.
const AT_ONCE: Duration = Duration::from_secs(1);

pub(super) struct Follow {
    shared: Arc<Shared>,
    options: MirrorOptions,
    assembler: Assembler,
    intake: Intake,
    /// What is known, and perhaps not published yet.
    entries: Entries,
    revision: u64,
    /// Whether a snapshot was made.
    assembled: bool,
    /// Whether something is known, from the store or from the local copy.
    begun: bool,
    /// How many reads in a row found nothing where there was something.
    empty_reads: u32,
}

/// Changes that are gathered to be published together.
#[derive(Default)]
struct Gathered {
    changed: Vec<Changed>,
    batches: u64,
    /// What went wrong meanwhile.
    fault: Option<String>,
}

impl Follow {
    pub(super) fn new(shared: Arc<Shared>, options: MirrorOptions) -> Self {
        let unknown_fields: UnknownFields = options.settings.unknown_fields;
        Self {
            shared,
            assembler: Assembler::new(unknown_fields),
            intake: Intake::new(Arc::clone(&options.sealing)),
            options,
            entries: Entries::default(),
            revision: 0,
            assembled: false,
            begun: false,
            empty_reads: 0,
        }
    }

    pub(super) async fn run(mut self) {
        // Re-reads at once since the last pause.
        let mut hurried = 0;
        loop {
            match self.load().await {
                Ok(loaded) => {
                    if self.take_over(loaded).await {
                        let news = self.shared.store.watch(self.revision + 1);
                        let began = Instant::now();
                        self.listen(news).await;
                        // A watch that stood for a while is due at once; one that is lost again and again is not hurried.
                        if began.elapsed() >= self.options.resync_delay {
                            continue;
                        }
                        hurried += 1;
                        if hurried <= 2 {
                            continue;
                        }
                    }
                }
                Err(error) => self.tell_fault(&error.to_string()),
            }
            self.pause().await;
            hurried = 0;
        }
    }

    /// Reads the whole store. As long as nothing is known, the local copy is taken if that fails, or is not done at once.
    async fn load(&mut self) -> Result<Loaded, StoreError> {
        let store = Arc::clone(&self.shared.store);
        let mut load = store.load();
        if self.begun || self.options.copy.is_none() {
            return load.await;
        }
        let loaded = timeout(AT_ONCE, &mut load).await;
        if !matches!(loaded, Ok(Ok(_))) {
            self.take_copy().await;
        }
        match loaded {
            Ok(loaded) => loaded,
            Err(_) => load.await,
        }
    }

    /// Waits before the next read of everything, or until somebody lets an empty one pass.
    async fn pause(&mut self) {
        let delay = self.options.resync_delay;
        let delay = delay + delay.mul_f64(fraction() / 2.0);
        let confirmed = self.shared.confirmed.changed();
        tokio::select! {
            () = sleep(delay) => {}
            () = confirmed, if self.empty_reads > 0 => {}
        }
    }

    /// Takes what was read of the whole store. `false` if it is held back.
    async fn take_over(&mut self, loaded: Loaded) -> bool {
        let Loaded { revision, entries: read } = loaded;
        let is_route = |key: &Key| key.kind() == Kind::Route;
        let had_routes = self.entries.range("routes/").next().is_some();
        if self.options.refuse_empty_resync && had_routes && !read.iter().any(|(key, _)| is_route(key)) {
            self.empty_reads += 1;
            let (reads, needed) = (self.empty_reads, self.options.empty_reads);
            if reads < needed && !self.shared.confirmed.take() {
                self.shared.update(|status| {
                    status.loads += 1;
                    status.holds_empty = true;
                    status.last_error = Some(format!(
                        "has no route any more: held back, found so {reads} times of {needed}; the configuration before \
                         serves on"
                    ));
                });
                return false;
            }
        }
        let mut gathered = Gathered::default();
        let is_first = !self.begun;
        if is_first {
            self.begin_first(revision, &mut gathered).await;
        }
        self.empty_reads = 0;
        let (edits, changed) = self.difference(read).await;
        let unchanged = edits.is_empty();
        self.revision = revision;
        if !unchanged && self.begun {
            self.gather(Change { revision, at: SystemTime::now(), by: None, edits }, changed, &mut gathered);
        } else if !unchanged {
            self.begin(edits, None);
            gathered.changed.extend(changed);
        }
        self.begun = true;
        self.shared.history.advance(revision);
        self.shared.confirmed.take();
        self.publish(gathered, |status| {
            heard(status);
            status.loads += 1;
            status.unchanged_loads += u64::from(unchanged && !is_first);
            status.holds_empty = false;
            status.is_from_copy = false;
        })
        .await;
        true
    }

    /// What is known before the first read: what the store remembers, else what the local copy does, so that the history
    /// goes on behind it.
    async fn begin_first(&mut self, revision: u64, gathered: &mut Gathered) {
        let remembered = self.shared.store.changes();
        if !remembered.is_empty() {
            let remembered = self.intake.remembered(remembered);
            self.shared.history.begin(Entries::default(), revision, remembered);
        } else if let Some(copied) = self.read_copy().await.filter(|copied| copied.loaded.revision <= revision) {
            let (edits, changed) = self.difference(copied.loaded.entries).await;
            self.revision = copied.loaded.revision;
            self.begin(edits, Some(copied.changes));
            self.begun = true;
            gathered.changed = changed;
        }
    }

    /// Begins with the local copy, as long as the store cannot be reached.
    async fn take_copy(&mut self) {
        let Some(copied) = self.read_copy().await else { return };
        let (edits, changed) = self.difference(copied.loaded.entries).await;
        self.revision = copied.loaded.revision;
        self.begin(edits, Some(copied.changes));
        self.begun = true;
        self.publish(Gathered { changed, ..Gathered::default() }, |status| {
            status.is_from_copy = true;
            status.heard_at = Some(copied.at);
        })
        .await;
    }

    /// The local copy, if there is one of this store that can be used.
    async fn read_copy(&self) -> Option<Copied> {
        let copy = self.options.copy.clone()?;
        let fault = match unwound(tokio::task::spawn_blocking(move || copy.load()).await) {
            Ok(None) => return None,
            Ok(Some(copied)) if copied.of == self.shared.store.identity() => return Some(copied),
            Ok(Some(copied)) => {
                format!("the local copy is of {}, not of {}: remove it", copied.of, self.shared.store.identity())
            }
            Err(error) => error.to_string(),
        };
        self.shared.note(|status| status.copy_error = Some(fault));
        None
    }

    /// Takes what was not known at all; the changes that led to it are those, else the ones that are known already.
    fn begin(&mut self, edits: Vec<Edited>, changes: Option<Vec<Arc<Change>>>) {
        for edit in edits {
            self.entries.set(&edit.key, edit.after);
        }
        let changes = changes.unwrap_or_else(|| self.shared.history.all());
        self.shared.history.begin(self.entries.clone(), self.revision, changes);
    }

    /// What differs between what is known and what was read. Many texts are parsed where they hold nobody up.
    async fn difference(&mut self, read: Vec<(Key, Entry)>) -> (Vec<Edited>, Vec<Changed>) {
        let mut intake = std::mem::replace(&mut self.intake, Intake::new(Arc::clone(&self.options.sealing)));
        let known = self.entries.clone();
        let work = tokio::task::spawn_blocking(move || {
            let differs = intake.difference(&known, read);
            (intake, differs)
        });
        let (intake, differs) = unwound(work.await);
        self.intake = intake;
        differs
    }

    /// Follows the watch until it is over.
    async fn listen(&mut self, mut news: NewsStream) {
        loop {
            match next(&mut news).await {
                Some(Ok(News::Batch(batch))) => {
                    let mut gathered = Gathered::default();
                    let over = self.gather_more(batch, &mut gathered, &mut news).await;
                    self.publish(gathered, heard).await;
                    if over {
                        return;
                    }
                }
                Some(Ok(News::Progress(revision))) => self.progress(revision),
                Some(Ok(News::Compacted)) | None => return,
                Some(Err(error)) => self.tell_fault(&error.to_string()),
            }
        }
    }

    fn progress(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
        self.shared.history.advance(self.revision);
        let view = View { revision: self.revision, ..View::clone(&self.shared.view()) };
        self.shared.publish(view, heard);
    }

    fn tell_fault(&self, error: &str) {
        self.shared.update(|status| {
            status.last_error = Some(error.to_owned());
            status.stale_since.get_or_insert_with(SystemTime::now);
        });
    }

    /// Gathers what is there already, and what the changes refer to if it comes soon. Tells whether the watch is over.
    async fn gather_more(&mut self, first: Batch, gathered: &mut Gathered, news: &mut NewsStream) -> bool {
        let deadline = Instant::now() + self.options.batch_deadline;
        self.gather_batch(first, gathered);
        loop {
            let waits = !self.is_resolved(gathered);
            let until = match waits {
                true => deadline.min(Instant::now() + self.options.batch_idle),
                false => Instant::now(),
            };
            match timeout_at(until, next(news)).await {
                Err(_) => return false,
                Ok(Some(Ok(News::Batch(batch)))) => self.gather_batch(batch, gathered),
                Ok(Some(Ok(News::Progress(revision)))) => self.revision = self.revision.max(revision),
                Ok(Some(Ok(News::Compacted)) | None) => return true,
                Ok(Some(Err(error))) => gathered.fault = Some(error.to_string()),
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }

    fn is_resolved(&self, gathered: &Gathered) -> bool {
        gathered.changed.iter().all(|changed| match &changed.value {
            Some(Ok(value)) => resolve(&changed.key, value, &self.entries),
            _ => true,
        })
    }

    fn gather_batch(&mut self, batch: Batch, gathered: &mut Gathered) {
        let (intake, entries) = (&mut self.intake, &self.entries);
        let new = batch.events.into_iter().filter_map(|Event { key, entry }| intake.event(entries, key, entry));
        let (edits, changed) = new.unzip();
        self.revision = self.revision.max(batch.revision);
        gathered.batches += 1;
        self.gather(Change { revision: batch.revision, at: batch.at, by: batch.by, edits }, changed, gathered);
    }

    fn gather(&mut self, change: Change, changed: Vec<Changed>, gathered: &mut Gathered) {
        if change.edits.is_empty() {
            return;
        }
        for edit in &change.edits {
            self.entries.set(&edit.key, edit.after.clone());
        }
        gathered.changed.extend(changed);
        self.shared.history.add(self.entries.clone(), Arc::new(change));
    }

    /// Makes the next view of what was gathered.
    async fn publish(&mut self, gathered: Gathered, more: impl FnOnce(&mut super::MirrorStatus)) {
        // What was assembled before this task is none of the assembler's.
        let before = match std::mem::replace(&mut self.assembled, true) {
            true => self.shared.view().snapshot.clone(),
            false => Snapshot { settings: Arc::clone(&self.options.settings), ..Snapshot::default() },
        };
        let Gathered { changed, batches, fault } = gathered;
        let made = !changed.is_empty();
        let snapshot = match made {
            true => self.assemble(before, changed).await,
            false => before,
        };
        let rejected = self.assembler.rejected();
        let view = View { revision: self.revision, entries: self.entries.clone(), snapshot };
        self.shared.publish(view, |status| {
            status.rejected = rejected;
            status.batches += batches;
            status.snapshots += u64::from(made);
            more(status);
        });
        if let Some(fault) = fault {
            self.tell_fault(&fault);
        }
    }

    /// Many items are read where they hold nobody up.
    async fn assemble(&mut self, before: Snapshot, changed: Vec<Changed>) -> Snapshot {
        // Of an item that changed twice the last one counts.
        let mut last = std::collections::BTreeMap::new();
        for changed in changed {
            last.insert(changed.key.clone(), changed);
        }
        let changed: Vec<Changed> = last.into_values().collect();
        if changed.len() < 200 {
            return self.assembler.apply(&before, changed);
        }
        let mut assembler = std::mem::replace(&mut self.assembler, Assembler::new(UnknownFields::default()));
        let work = tokio::task::spawn_blocking(move || {
            let snapshot = assembler.apply(&before, changed);
            (assembler, snapshot)
        });
        let (assembler, snapshot) = unwound(work.await);
        self.assembler = assembler;
        snapshot
    }
}

fn heard(status: &mut super::MirrorStatus) {
    status.heard_at = Some(SystemTime::now());
    status.stale_since = None;
    status.last_error = None;
}

/// What work on another thread gave; its panic goes on here, where the task is begun anew for it.
fn unwound<T>(done: Result<T, tokio::task::JoinError>) -> T {
    done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

async fn next(news: &mut NewsStream) -> Option<Result<News, StoreError>> {
    poll_fn(|cx| news.as_mut().poll_next(cx)).await
}

/// Between 0 and 1, another one each time.
fn fraction() -> f64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let bits = std::collections::hash_map::RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_fractions() {
        assert!((0..1000).map(|_| fraction()).all(|fraction| (0.0..1.0).contains(&fraction)));
    }
}
