//! [`Table`]: what stores that live in this process are made of, without I/O, tasks or a clock of its own.
//!
//! A change is made in two steps, so that a store can write it down in between: a [`Draft`] judges guards and gathers what
//! would change, the table [accepts](Table::accept) it. Who looks at a table has to end first what has run out by then.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Change, Edit, Edited, Entry, Guard, HistoryBounds, Key, Loaded, StoreError, Transaction};

/// The present, on the clocks of a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// What expiry is reckoned by: since a moment that the store chooses.
    pub(super) elapsed: Duration,
    /// What the history says.
    pub(super) at: SystemTime,
}

/// An item, and when it runs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) entry: Arc<Entry>,
    /// On [`Now::elapsed`].
    pub(super) expires: Option<Duration>,
}

/// An ordered map with a revision, and the changes that led to it as far as they are remembered.
#[derive(Debug)]
pub(super) struct Table {
    slots: BTreeMap<Key, Slot>,
    expiries: BTreeSet<(Duration, Key)>,
    revision: u64,
    /// The last changes; each made the revision behind the one before.
    changes: VecDeque<Arc<Change>>,
    bytes: u64,
    bounds: HistoryBounds,
}

/// What has happened since a revision.
#[derive(Debug, PartialEq)]
pub(super) enum Since {
    /// This, and perhaps more behind it. Nothing if there is nothing.
    Changes(Vec<Arc<Change>>),
    /// It isn't known any more, or the revision is one that never was.
    Compacted,
}

/// Why a transaction does not take place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A guard does not hold.
    Conflict,
    /// This key stands twice.
    Twice(Key),
}

impl Refusal {
    /// The same as the store at `place` says it.
    pub(super) fn at(self, place: &Arc<str>) -> StoreError {
        match self {
            Self::Conflict => StoreError::Conflict,
            Self::Twice(key) => {
                let message = format!("a transaction changes {key} twice: change it once");
                StoreError::Refused { place: place.clone(), message }
            }
        }
    }
}

impl Table {
    pub(super) fn new(bounds: HistoryBounds) -> Self {
        Self::restored(bounds, 0, BTreeMap::new(), Vec::new())
    }

    /// A table as it was: `changes` in order, the last of them the one that made `revision`.
    pub(super) fn restored(
        bounds: HistoryBounds,
        revision: u64,
        slots: BTreeMap<Key, Slot>,
        changes: Vec<Change>,
    ) -> Self {
        let expiries = slots.iter().filter_map(|(key, slot)| Some((slot.expires?, key.clone()))).collect();
        let mut table = Self { slots, expiries, revision, changes: VecDeque::new(), bytes: 0, bounds };
        for change in changes {
            table.remember(Arc::new(change));
        }
        table
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn load(&self) -> Loaded {
        let entry = |(key, slot): (&Key, &Slot)| (key.clone(), Entry::clone(&slot.entry));
        Loaded { revision: self.revision, entries: self.slots.iter().map(entry).collect() }
    }

    /// All changes that are remembered, the oldest first.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.changes.iter()
    }

    /// When the next item runs out.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Up to `most` changes from revision `from` on.
    pub(super) fn since(&self, from: u64, most: usize) -> Since {
        let from = from.max(1);
        if from <= self.forgotten() || from > self.revision.saturating_add(1) {
            return Since::Compacted;
        }
        let start = self.changes.partition_point(|change| change.revision < from);
        Since::Changes(self.changes.range(start..).take(most).cloned().collect())
    }

    /// Makes what a draft of this very table gathered.
    pub(super) fn accept(&mut self, drafted: Drafted) {
        for (key, slot) in drafted.slots {
            if let Some(at) = self.slots.get(&key).and_then(|slot| slot.expires) {
                self.expiries.remove(&(at, key.clone()));
            }
            match slot {
                Some(slot) => {
                    self.expiries.extend(slot.expires.map(|at| (at, key.clone())));
                    self.slots.insert(key, slot);
                }
                None => drop(self.slots.remove(&key)),
            }
        }
        for change in drafted.changes {
            self.revision = change.revision;
            self.remember(change);
        }
    }

    /// Forgets all changes but the last `keep`.
    pub(super) fn forget(&mut self, keep: usize) {
        while self.changes.len() > keep {
            self.forget_oldest();
        }
    }

    /// The first revision whose change is remembered.
    #[cfg(feature = "disk")]
    pub(super) fn oldest(&self) -> u64 {
        self.forgotten() + 1
    }

    /// The last revision whose change is not remembered.
    fn forgotten(&self) -> u64 {
        self.changes.front().map_or(self.revision, |oldest| oldest.revision - 1)
    }

    fn remember(&mut self, change: Arc<Change>) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
        while self.changes.len() > 1 && (self.changes.len() > self.bounds.changes || self.bytes > self.bounds.bytes) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.changes.pop_front() {
            self.bytes -= oldest.bytes();
        }
    }

    /// Items below `prefix` that were made or changed after `since`. Costs what was changed since then, as long as that
    /// is remembered.
    fn touched<'t>(&'t self, prefix: &'t str, since: u64) -> Box<dyn Iterator<Item = &'t Key> + 't> {
        let newer = move |key: &Key| self.slots.get(key).is_some_and(|slot| slot.entry.modified > since);
        if since >= self.forgotten() {
            let recent = self.changes.iter().rev().take_while(move |change| change.revision > since);
            let keys = recent.flat_map(|change| &change.edits).map(|edit| &edit.key);
            return Box::new(keys.filter(move |key| key.as_str().starts_with(prefix) && newer(key)));
        }
        let all = self.slots.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)).map(|(key, _)| key);
        Box::new(all.take_while(move |key| key.as_str().starts_with(prefix)).filter(move |key| newer(key)))
    }
}

/// Changes that are judged and not yet made: of one transaction or of several, each seeing those before it.
pub(super) struct Draft<'t> {
    table: &'t Table,
    now: Now,
    drafted: Drafted,
    revision: u64,
}

/// What a [`Draft`] gathered.
#[derive(Debug, Default)]
pub(super) struct Drafted {
    /// The items that change; `None`: gone.
    pub(super) slots: BTreeMap<Key, Option<Slot>>,
    /// The changes in order.
    pub(super) changes: Vec<Arc<Change>>,
}

impl<'t> Draft<'t> {
    /// Begins with what has run out.
    pub(super) fn new(table: &'t Table, now: Now) -> Self {
        let mut draft = Self { table, now, drafted: Drafted::default(), revision: table.revision };
        let over = table.expiries.iter().take_while(|(at, _)| *at <= now.elapsed);
        let over: Vec<_> = over.map(|(_, key)| Edit::Delete { key: key.clone() }).collect();
        draft.make(&over, None);
        draft
    }

    /// Adds a transaction if its guards hold, and tells the revision with it.
    pub(super) fn take(&mut self, transaction: &Transaction) -> Result<u64, Refusal> {
        let mut keys = BTreeSet::new();
        if let Some(twice) = transaction.edits.iter().map(Edit::key).find(|key| !keys.insert(*key)) {
            return Err(Refusal::Twice(twice.clone()));
        }
        if !transaction.guards.iter().all(|guard| self.holds(guard)) {
            return Err(Refusal::Conflict);
        }
        self.make(&transaction.edits, transaction.by.as_ref());
        Ok(self.revision)
    }

    pub(super) fn finish(self) -> Drafted {
        self.drafted
    }

    fn get(&self, key: &Key) -> Option<&Slot> {
        match self.drafted.slots.get(key) {
            Some(drafted) => drafted.as_ref(),
            None => self.table.slots.get(key),
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::Modified { key, at } => self.get(key).map_or(0, |slot| slot.entry.modified) == *at,
            Guard::Exists(key) => self.get(key).is_some(),
            Guard::Unchanged { prefix, since } => {
                let drafted = &self.drafted.slots;
                let below = drafted.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
                let mut below = below.take_while(|(key, _)| key.as_str().starts_with(prefix));
                let newer = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.entry.modified > *since);
                !below.any(|(_, slot)| newer(slot))
                    && self.table.touched(prefix, *since).all(|key| drafted.contains_key(key))
            }
        }
    }

    fn make(&mut self, edits: &[Edit], by: Option<&Arc<str>>) {
        let revision = self.revision + 1;
        let mut edited = Vec::new();
        for edit in edits {
            let key = edit.key().clone();
            let before = self.get(&key).map(|slot| slot.entry.clone());
            let slot = match edit {
                Edit::Delete { .. } if before.is_none() => continue,
                Edit::Delete { .. } => None,
                Edit::Put { value, ttl, .. } => {
                    let created = before.as_ref().map_or(revision, |before| before.created);
                    let entry = Arc::new(Entry { value: value.clone(), created, modified: revision });
                    // a time that cannot be reached is as good as none
                    Some(Slot { entry, expires: ttl.and_then(|ttl| self.now.elapsed.checked_add(ttl)) })
                }
            };
            edited.push(Edited { key: key.clone(), before, after: slot.as_ref().map(|slot| slot.entry.clone()) });
            self.drafted.slots.insert(key, slot);
        }
        if !edited.is_empty() {
            self.revision = revision;
            let change = Change { revision, at: self.now.at, by: by.cloned(), edits: edited };
            self.drafted.changes.push(Arc::new(change));
        }
    }
}

#[cfg(test)]
mod tests;
