//! [`History`]: what was, as far as it is remembered.
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Change, Edited, Entries, Entry, HistoryBounds, Key};

/// The changes that led to the present configuration: which there were, what was at a revision, and what differs between
/// two. A clone is the same history.
#[derive(Clone, Debug, Default)]
pub struct History(Arc<Mutex<Past>>);

#[derive(Debug, Default)]
struct Past {
    now: Entries,
    revision: u64,
    /// The oldest first.
    changes: VecDeque<Arc<Change>>,
    bytes: u64,
    bounds: HistoryBounds,
}

impl History {
    pub(super) fn new(bounds: HistoryBounds) -> Self {
        Self(Arc::new(Mutex::new(Past { bounds, ..Past::default() })))
    }

    /// The last changes, the newest first: `limit` of them, of those before revision `before` if it is given.
    pub fn list(&self, limit: usize, before: Option<u64>) -> Vec<Arc<Change>> {
        let past = self.lock();
        let older = |change: &&Arc<Change>| before.is_none_or(|before| change.revision < before);
        past.changes.iter().rev().filter(older).take(limit).cloned().collect()
    }

    /// The change that made a revision.
    pub fn change(&self, revision: u64) -> Option<Arc<Change>> {
        let past = self.lock();
        past.changes.iter().rev().find(|change| change.revision == revision).cloned()
    }

    /// The oldest and the newest revision whose configuration is known.
    pub fn revisions(&self) -> (u64, u64) {
        let past = self.lock();
        (past.oldest(), past.revision)
    }

    /// The whole configuration at a revision; `None` when it is not known any more, or not yet. Of revisions that a change
    /// spans, as one does that was found by reading everything anew, it is the one before.
    pub fn state_at(&self, revision: u64) -> Option<Entries> {
        self.lock().state_at(revision)
    }

    /// What differs between the configurations at two revisions, by key; `None` when either is not known. Items that are
    /// the same text in both are not in it, whatever happened in between.
    pub fn diff(&self, from: u64, to: u64) -> Option<Vec<Edited>> {
        let past = self.lock();
        let (before, after) = (past.state_at(from)?, past.state_at(to)?);
        let (low, high) = (from.min(to), from.max(to));
        let between = past.changes.iter().filter(|change| change.revision > low && change.revision <= high);
        let touched: BTreeSet<&Key> = between.flat_map(|change| &change.edits).map(|edit| &edit.key).collect();
        let edited = |key: &Key| {
            let (before, after) = (before.get(key.as_str()).cloned(), after.get(key.as_str()).cloned());
            let text = |entry: &Option<Arc<Entry>>| entry.as_ref().map(|entry| entry.value.clone());
            (text(&before) != text(&after)).then(|| Edited { key: key.clone(), before, after })
        };
        Some(touched.into_iter().filter_map(edited).collect())
    }

    /// All changes, the oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Change>> {
        self.lock().changes.iter().cloned().collect()
    }

    /// Begins with a configuration, and with the changes that are known to have led to it, the oldest first.
    pub(super) fn begin(&self, now: Entries, revision: u64, changes: Vec<Arc<Change>>) {
        let mut past = self.lock();
        past.now = now;
        past.revision = revision;
        past.changes.clear();
        past.bytes = 0;
        for change in changes.into_iter().filter(|change| change.revision <= revision) {
            past.remember(change);
        }
    }

    /// Adds a change that made `now`.
    pub(super) fn add(&self, now: Entries, change: Arc<Change>) {
        let mut past = self.lock();
        if change.revision <= past.revision {
            // The store was set back: what was known of later revisions is no past of this one.
            past.changes.clear();
            past.bytes = 0;
        }
        past.now = now;
        past.revision = change.revision;
        past.remember(change);
    }

    /// The configuration is the same at a later revision.
    pub(super) fn advance(&self, revision: u64) {
        let mut past = self.lock();
        past.revision = past.revision.max(revision);
    }

    fn lock(&self) -> MutexGuard<'_, Past> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn state_at(&self, revision: u64) -> Option<Entries> {
        if revision < self.oldest() || revision > self.revision {
            return None;
        }
        let mut entries = self.now.clone();
        for change in self.changes.iter().rev().take_while(|change| change.revision > revision) {
            for edit in &change.edits {
                entries.set(&edit.key, edit.before.clone());
            }
        }
        Some(entries)
    }

    fn oldest(&self) -> u64 {
        self.changes.front().map_or(self.revision, |oldest| oldest.revision.saturating_sub(1))
    }

    fn remember(&mut self, change: Arc<Change>) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
        while self.changes.len() > self.bounds.changes || self.bytes > self.bounds.bytes {
            let Some(gone) = self.changes.pop_front() else { break };
            self.bytes -= gone.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn entry(value: &'static str, modified: u64) -> Option<Arc<Entry>> {
        Some(Arc::new(Entry { value: value.into(), created: 1, modified }))
    }

    fn change(revision: u64, before: Option<Arc<Entry>>, after: Option<Arc<Entry>>) -> Arc<Change> {
        let key = Key::parse("routes/1").unwrap();
        Arc::new(Change { revision, at: SystemTime::UNIX_EPOCH, by: None, edits: vec![Edited { key, before, after }] })
    }

    /// `a` at 1, `b` at 2, gone at 3, `a` again at 4.
    fn history(bounds: HistoryBounds) -> History {
        let history = History::new(bounds);
        let key = Key::parse("routes/1").unwrap();
        let mut now = Entries::default();
        for (revision, after) in [(1, entry("a", 1)), (2, entry("b", 2)), (3, None), (4, entry("a", 4))] {
            let before = now.set(&key, after.clone());
            history.add(now.clone(), change(revision, before, after));
        }
        history
    }

    fn at(history: &History, revision: u64) -> Option<Option<String>> {
        let text = |entry: &Arc<Entry>| String::from_utf8(entry.value.to_vec()).unwrap();
        Some(history.state_at(revision)?.get("routes/1").map(text))
    }

    #[test]
    fn what_was_can_be_had() {
        let history = history(HistoryBounds::default());
        let all: Vec<_> = (0..6).map(|revision| at(&history, revision)).collect();
        let text = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(all, [Some(None), text("a"), text("b"), Some(None), text("a"), None]);
        assert_eq!(history.diff(1, 4).unwrap(), [], "the same text");
        assert_eq!(history.diff(2, 4).unwrap().len(), 1);
        assert_eq!(history.diff(4, 2).unwrap()[0].after.as_ref().unwrap().value, "b");
        let revisions: Vec<_> = history.list(2, Some(4)).iter().map(|change| change.revision).collect();
        assert_eq!(revisions, [3, 2]);
    }

    #[test]
    fn what_is_forgotten_is_not_known() {
        let history = history(HistoryBounds { changes: 2, ..HistoryBounds::default() });
        assert_eq!(history.revisions(), (2, 4));
        assert_eq!((at(&history, 1), at(&history, 3)), (None, Some(None)));
        assert_eq!(history.diff(1, 4), None);
    }

    #[test]
    fn a_store_that_is_set_back_has_another_past() {
        let history = history(HistoryBounds::default());
        let key = Key::parse("routes/1").unwrap();
        let mut now = history.state_at(4).unwrap();
        let before = now.set(&key, entry("c", 2));
        history.add(now, change(2, before, entry("c", 2)));
        assert_eq!(history.revisions(), (1, 2));
        assert_eq!(at(&history, 2).unwrap().unwrap(), "c");
    }
}
