//! What is kept by path pattern.
//!
//! A pattern is a literal key, and behind it nothing, a capture or anything. Keys stand in a radix tree; one walk along
//! a path finds the key that is the whole path and all that are prefixes of it. Behind a capture of one segment
//! stands another such tree, for what follows the segment. So the many patterns of one key (`/repos/:owner/…`) are not
//! tried one by one.
use std::sync::Arc;

use smallvec::SmallVec;

use super::group::{Change, Leaf, Runs};
use super::pattern::{Step, segment_end};
use super::query::Query;
use super::radix::{Radix, Vacant};
use super::rule::{Entry, Placed};

/// Values by path pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct PathTree<L> {
    keys: Radix<Slot<L>>,
}

/// What stands at a key.
#[derive(Clone, Debug, Default)]
struct Slot<L> {
    /// Patterns that end here.
    exact: L,
    /// Patterns that take whatever follows, or look at it themselves.
    anything: L,
    /// Patterns that go on with one segment: what stands behind it.
    segment: PathTree<L>,
}

impl<L: Vacant> Vacant for PathTree<L> {
    fn is_vacant(&self) -> bool {
        self.keys.is_vacant()
    }
}

impl<L: Vacant> Vacant for Slot<L> {
    fn is_vacant(&self) -> bool {
        self.exact.is_vacant() && self.is_closed()
    }
}

impl<L: Vacant> Slot<L> {
    /// Whether nothing follows the key.
    #[inline]
    fn is_closed(&self) -> bool {
        self.anything.is_vacant() && self.segment.is_vacant()
    }
}

impl<L: Leaf> PathTree<L> {
    /// Adds or removes an entry.
    pub(super) fn change(&mut self, placed: &Placed<L::Value>, change: Change) {
        self.change_at(&placed.steps, placed, change);
    }

    fn change_at(&mut self, steps: &[Step], placed: &Placed<L::Value>, change: Change) {
        let (key, rest): (&[u8], _) = match steps {
            [Step::Literal(literal), rest @ ..] => (literal, rest),
            rest => (&[], rest),
        };
        self.keys.update(key, |slot| match rest {
            [] => slot.exact.change(placed, change),
            [Step::Segment, behind @ ..] => slot.segment.change_at(behind, placed, change),
            [Step::Literal(_) | Step::Run | Step::Anything, ..] => slot.anything.change(placed, change),
        });
    }

    /// Takes entries whose pattern may match in the sequence of router.md §4.1 until one is accepted.
    #[inline]
    pub(super) fn find<'r>(
        &'r self,
        query: &Query<'_>,
        accept: &mut impl FnMut(&'r Entry<L::Value>) -> bool,
    ) -> Option<&'r Entry<L::Value>> {
        let mut exact = None;
        let mut open: SmallVec<[(&'r Slot<L>, &[u8]); 6]> = SmallVec::new();
        self.keys.walk(query.path, |slot, rest| {
            if rest.is_empty() {
                exact = Some(&slot.exact);
            }
            if !slot.is_closed() {
                open.push((slot, rest));
            }
        });
        if let Some(entry) = exact.and_then(|leaf| leaf.find(query, accept)) {
            return Some(entry);
        }
        while let Some((slot, rest)) = open.pop() {
            if let Some(entry) = slot.find_behind(rest, query, accept) {
                return Some(entry);
            }
        }
        None
    }

    /// All entries whose literal key matches, in the sequence of router.md §4.1, whatever their conditions.
    pub(super) fn candidates<'r>(&'r self, path: &[u8]) -> Vec<&'r Arc<Entry<L::Value>>> {
        let mut keys: Vec<Vec<&'r Arc<Entry<L::Value>>>> = Vec::new();
        let mut exact = Vec::new();
        self.keys.walk(path, |slot, rest| {
            if rest.is_empty() {
                slot.exact.each(&mut |entry| exact.push(entry));
            }
            let mut entries = Vec::new();
            slot.each_behind(&mut |entry| entries.push(entry));
            keys.push(entries);
        });
        keys.push(exact);
        for entries in &mut keys {
            entries.sort_by(|left, right| left.rank().cmp(&right.rank()));
        }
        keys.into_iter().rev().flatten().collect()
    }

    /// Visits the entries of each key on its own: within one of these lists ranks decide.
    pub(super) fn each_key<'r>(&'r self, visit: &mut dyn FnMut(Vec<&'r Arc<Entry<L::Value>>>)) {
        self.keys.each(&mut |slot| {
            let mut entries = Vec::new();
            slot.exact.each(&mut |entry| entries.push(entry));
            visit(std::mem::take(&mut entries));
            slot.each_behind(&mut |entry| entries.push(entry));
            visit(entries);
        });
    }

    fn each<'r>(&'r self, visit: &mut dyn FnMut(&'r Arc<Entry<L::Value>>)) {
        self.keys.each(&mut |slot| {
            slot.exact.each(visit);
            slot.each_behind(visit);
        });
    }

    /// Adds every entry that matches all of `text`.
    fn collect<'r>(&'r self, text: &[u8], query: &Query<'_>, runs: &mut Runs<'r, L::Value>) {
        self.keys.walk(text, |slot, rest| {
            if rest.is_empty() {
                slot.exact.collect(query, runs);
            }
            slot.collect_behind(rest, query, runs);
        });
    }
}

impl<L: Leaf> Slot<L> {
    #[inline]
    fn find_behind<'r>(
        &'r self,
        text: &[u8],
        query: &Query<'_>,
        accept: &mut impl FnMut(&'r Entry<L::Value>) -> bool,
    ) -> Option<&'r Entry<L::Value>> {
        if self.segment.is_vacant() {
            return self.anything.find(query, accept);
        }
        let mut runs = Runs::new();
        self.collect_behind(text, query, &mut runs);
        runs.first(accept)
    }

    /// Adds every entry that goes on behind the key and matches all of `text`.
    fn collect_behind<'r>(&'r self, text: &[u8], query: &Query<'_>, runs: &mut Runs<'r, L::Value>) {
        self.anything.collect(query, runs);
        if self.segment.is_vacant() {
            return;
        }
        if let Some(end) = segment_end(text) {
            self.segment.collect(text.get(end..).unwrap_or_default(), query, runs);
        }
    }

    fn each_behind<'r>(&'r self, visit: &mut dyn FnMut(&'r Arc<Entry<L::Value>>)) {
        self.anything.each(visit);
        self.segment.each(visit);
    }
}
