//! The task of a mirror: everything is read once, then the watch tells what changes.
use std::future::poll_fn;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::{Instant, sleep, timeout_at};

use super::assemble::{Assembler, Changed, parse};
use super::handle::Shared;
use super::references::resolve;
use super::{MirrorOptions, View};
use crate::model::{Snapshot, UnknownFields};
use crate::store::{Batch, Change, Edited, Entries, Entry, Event, Key, Loaded, News, NewsStream};

pub(super) struct Follow {
    shared: Arc<Shared>,
    options: MirrorOptions,
    assembler: Assembler,
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
                    let error = error.to_string();
                    self.shared.update(|status| {
                        status.last_error = Some(error);
                        status.stale_since.get_or_insert_with(SystemTime::now);
                    });
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
        let edits = self.difference(read);
        let unchanged = edits.is_empty();
        self.revision = revision;
        let mut gathered = Gathered::default();
        if is_first {
            let remembered = self.shared.store.changes();
            let now = std::mem::take(&mut self.entries);
            let (now, changed) = apply_all(now, edits).await;
            self.entries = now;
            gathered.changed = changed;
            self.shared.history.begin(self.entries.clone(), revision, remembered);
        } else if !unchanged {
            let change = Change { revision, at: SystemTime::now(), by: None, edits };
            self.gather(change, &mut gathered);
        } else {
            self.shared.history.advance(revision);
        }
        self.publish(gathered, |status| {
            status.loads += 1;
            status.unchanged_loads += u64::from(unchanged && !is_first);
            status.holds_empty = false;
            status.is_from_copy = false;
        })
        .await;
        true
    }

    /// What differs between what is known and what was read.
    fn difference(&self, read: Vec<(Key, Entry)>) -> Vec<Edited> {
        let mut edits = Vec::new();
        let mut old = self.entries.iter().peekable();
        for (key, entry) in read {
            while let Some((gone, before)) = old.next_if(|(old, _)| **old < key) {
                edits.push(Edited { key: gone.clone(), before: Some(Arc::clone(before)), after: None });
            }
            let before = old.next_if(|(old, _)| **old == key).map(|(_, before)| before);
            if before.is_none_or(|before| **before != entry) {
                edits.push(Edited { key, before: before.cloned(), after: Some(Arc::new(entry)) });
            }
        }
        edits.extend(old.map(|(key, before)| Edited {
            key: key.clone(),
            before: Some(Arc::clone(before)),
            after: None,
        }));
        edits
    }

    /// Follows the watch until it is over.
    async fn listen(&mut self, mut news: NewsStream) {
        loop {
            match next(&mut news).await {
                Some(Ok(News::Batch(batch))) => {
                    let mut gathered = Gathered::default();
                    let over = self.gather_more(batch, &mut gathered, &mut news).await;
                    self.publish(gathered, |_| {}).await;
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
        let edit = |Event { key, entry }: Event| Edited {
            before: self.entries.get(key.as_str()).cloned(),
            key,
            after: entry.map(Arc::new),
        };
        let edits = batch.events.into_iter().map(edit).filter(|edit| edit.before != edit.after).collect();
        self.revision = self.revision.max(batch.revision);
        gathered.batches += 1;
        self.gather(Change { revision: batch.revision, at: batch.at, by: batch.by, edits }, gathered);
    }

    fn gather(&mut self, change: Change, gathered: &mut Gathered) {
        if change.edits.is_empty() {
            return;
        }
        for edit in &change.edits {
            self.entries.set(&edit.key, edit.after.clone());
            gathered.changed.push(changed(edit));
        }
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
            heard(status);
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

fn changed(edit: &Edited) -> Changed {
    let value = edit.after.as_ref().map(|entry| parse(&entry.value));
    Changed { key: edit.key.clone(), value }
}

/// Applies a first read; many texts are parsed where they hold nobody up.
async fn apply_all(entries: Entries, edits: Vec<Edited>) -> (Entries, Vec<Changed>) {
    let work = move || {
        let mut entries = entries;
        for edit in &edits {
            entries.set(&edit.key, edit.after.clone());
        }
        let changed = edits.iter().map(changed).collect();
        (entries, changed)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => std::future::pending().await,
    }
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
