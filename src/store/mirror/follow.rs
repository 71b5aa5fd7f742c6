//! The task of a mirror: everything is read once, then the watch tells what changes.
use std::future::poll_fn;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{Instant, sleep, timeout_at};

use super::assemble::{Assembler, Changed};
use super::handle::Shared;
use super::intake::Intake;
use super::references::resolve;
use super::{MirrorOptions, View};
use crate::model::{Snapshot, UnknownFields};
use crate::store::{Batch, Change, Edited, Entries, Entry, Event, Key, Loaded, News, NewsStream};

pub(super) struct Follow {
    shared: Arc<Shared>,
    options: MirrorOptions,
    assembler: Assembler,
    intake: Intake,
    /// What is known, and perhaps not published yet.
    entries: Entries,
    revision: u64,
    /// How many reads in a row found nothing where there was something.
    empty_reads: u32,
}

/// Changes that are gathered to be published together.
#[derive(Default)]
struct Gathered {
    changed: Vec<Changed>,
    batches: u64,
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
            empty_reads: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let mut is_first = true;
        // Re-reads at once since the last pause.
        let mut hurried = 0;
        loop {
            match self.shared.store.load().await {
                Ok(loaded) => {
                    if self.take_over(loaded, is_first).await {
                        is_first = false;
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
                Err(error) => {
                    self.tell_fault(&error.to_string());
                    if is_first && self.take_copy().await {
                        is_first = false;
                    }
                }
            }
            self.pause().await;
            hurried = 0;
        }
    }

    /// Waits before the next read of everything, or until somebody lets an empty one pass.
    async fn pause(&mut self) {
        let delay = self.options.resync_delay;
        let more = delay.mul_f64(fraction() / 2.0);
        tokio::select! {
            () = sleep(delay + more) => {}
            () = self.shared.confirmed.notified() => self.empty_reads = self.options.empty_reads,
        }
    }

    /// Takes what was read of the whole store. `false` if it is held back.
    async fn take_over(&mut self, loaded: Loaded, is_first: bool) -> bool {
        let Loaded { revision, entries: read } = loaded;
        let is_route = |key: &Key| key.kind() == crate::model::Kind::Route;
        let had_routes = self.entries.range("routes/").next().is_some();
        if self.options.refuse_empty_resync && had_routes && !read.iter().any(|(key, _)| is_route(key)) {
            self.empty_reads += 1;
            if self.empty_reads < self.options.empty_reads {
                let reads = (self.empty_reads, self.options.empty_reads);
                self.shared.update(|status| {
                    status.loads += 1;
                    status.holds_empty = true;
                    status.last_error = Some(format!(
                        "has no route any more: held back, found so {} times of {}; the configuration before serves on",
                        reads.0, reads.1
                    ));
                });
                return false;
            }
        }
        self.empty_reads = 0;
        let (edits, changed) = self.difference(read).await;
        let unchanged = edits.is_empty();
        self.revision = revision;
        let mut gathered = Gathered::default();
        if is_first {
            let remembered = self.intake.remembered(self.shared.store.changes());
            self.begin(edits, remembered);
            gathered.changed = changed;
        } else if !unchanged {
            let change = Change { revision, at: SystemTime::now(), by: None, edits };
            self.gather(change, changed, &mut gathered);
        } else {
            self.shared.history.advance(revision);
        }
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

    /// Begins with the local copy, as long as the store cannot be reached. `false` if there is none that can be used.
    async fn take_copy(&mut self) -> bool {
        let Some(copy) = self.options.copy.clone() else { return false };
        let copied = match tokio::task::spawn_blocking(move || copy.load()).await {
            Ok(Ok(Some(copied))) => copied,
            Ok(Ok(None)) | Err(_) => return false,
            Ok(Err(error)) => {
                self.shared.note(|status| status.copy_error = Some(error.to_string()));
                return false;
            }
        };
        let place = self.shared.place();
        if copied.of != place {
            let fault = format!("the local copy is of {}, not of {place}: remove it", copied.of);
            self.shared.note(|status| status.copy_error = Some(fault));
            return false;
        }
        let (edits, changed) = self.difference(copied.loaded.entries).await;
        self.revision = copied.loaded.revision;
        self.begin(edits, copied.changes);
        self.publish(Gathered { changed, batches: 0 }, |status| {
            status.is_from_copy = true;
            status.heard_at = Some(copied.at);
        })
        .await;
        true
    }

    fn begin(&mut self, edits: Vec<Edited>, remembered: Vec<Arc<Change>>) {
        for edit in edits {
            self.entries.set(&edit.key, edit.after);
        }
        self.shared.history.begin(self.entries.clone(), self.revision, remembered);
    }

    /// What differs between what is known and what was read. Many texts are parsed where they hold nobody up.
    async fn difference(&mut self, read: Vec<(Key, Entry)>) -> (Vec<Edited>, Vec<Changed>) {
        let mut intake = std::mem::replace(&mut self.intake, Intake::new(Arc::clone(&self.options.sealing)));
        let known = self.entries.clone();
        let work = tokio::task::spawn_blocking(move || {
            let differs = intake.difference(&known, read);
            (intake, differs)
        });
        match work.await {
            Ok((intake, differs)) => {
                self.intake = intake;
                differs
            }
            // Nothing here panics; the runtime that ends ends this task, too.
            Err(_) => std::future::pending().await,
        }
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
                Ok(Some(Err(error))) => self.tell_fault(&error.to_string()),
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
        let before = self.shared.view();
        let Gathered { changed, batches } = gathered;
        let made = !changed.is_empty();
        let snapshot = match made {
            true => self.assemble(before.snapshot.clone(), changed).await,
            false => before.snapshot.clone(),
        };
        let rejected = self.assembler.rejected();
        let view = View { revision: self.revision, entries: self.entries.clone(), snapshot };
        self.shared.publish(view, |status| {
            status.rejected = rejected;
            status.batches += batches;
            status.snapshots += u64::from(made);
            more(status);
        });
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
        match work.await {
            Ok((assembler, snapshot)) => {
                self.assembler = assembler;
                snapshot
            }
            // Nothing here panics; the runtime that ends ends this task, too.
            Err(_) => std::future::pending().await,
        }
    }
}

fn heard(status: &mut super::MirrorStatus) {
    status.heard_at = Some(SystemTime::now());
    status.stale_since = None;
    status.last_error = None;
}

async fn next(news: &mut NewsStream) -> Option<Result<News, crate::store::StoreError>> {
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
