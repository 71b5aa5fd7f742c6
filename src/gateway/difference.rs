//! What differs between two lists of items, and tables of what was compiled of them.
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::model::{Id, Resource};

/// A table before, and what changes in it: `None` removes.
pub(super) struct Tables<T> {
    pub(super) changes: HashMap<Id, Option<T>>,
}

impl<T> Default for Tables<T> {
    fn default() -> Self {
        Self { changes: HashMap::new() }
    }
}

impl<T: Clone> Tables<T> {
    pub(super) fn get(&self, before: &HashMap<Id, T>, id: &Id) -> Option<T> {
        match self.changes.get(id) {
            Some(change) => change.clone(),
            None => before.get(id).cloned(),
        }
    }

    /// Whether nothing changes.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn touches(&self, id: Option<&Id>) -> bool {
        id.is_some_and(|id| self.changes.contains_key(id))
    }

    pub(super) fn commit(self, table: &mut HashMap<Id, T>) {
        for (id, change) in self.changes {
            match change {
                Some(value) => table.insert(id, value),
                None => table.remove(&id),
            };
        }
    }
}

/// Ids that are gone, and items that are new or differ; with `everything`, all that there are now.
pub(super) fn changed<'s, T: Resource>(
    everything: bool,
    old: &[Arc<T>],
    new: &'s [Arc<T>],
) -> (Vec<Id>, Vec<&'s Arc<T>>) {
    let (old_range, new_range) = if everything { (0..old.len(), 0..new.len()) } else { difference(old, new) };
    let (old, new) = (old.get(old_range).unwrap_or(&[]), new.get(new_range).unwrap_or(&[]));
    let was: HashMap<&Id, &Arc<T>> = old.iter().map(|item| (item.id(), item)).collect();
    let ids: HashSet<&Id> = new.iter().map(|item| item.id()).collect();
    let gone = old.iter().map(|item| item.id()).filter(|id| !ids.contains(id)).cloned().collect();
    let differs = |item: &&Arc<T>| everything || was.get(item.id()).is_none_or(|was| !same(was, item));
    (gone, new.iter().filter(differs).collect())
}

pub(super) fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// The parts of two lists between their common beginning and their common end.
pub(super) fn difference<T: PartialEq>(old: &[Arc<T>], new: &[Arc<T>]) -> (Range<usize>, Range<usize>) {
    // Most lists of most changes are the very same one: a million consumers beside a route that changes.
    if std::ptr::eq(old, new) {
        return (old.len()..old.len(), new.len()..new.len());
    }
    let begin = old.iter().zip(new).take_while(|(old, new)| same(old, new)).count();
    let rest = old.len().min(new.len()) - begin;
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(old, new)| same(old, new)).count();
    (begin..old.len() - end, begin..new.len() - end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[u32]) -> Vec<Arc<u32>> {
        items.iter().copied().map(Arc::new).collect()
    }

    #[test]
    fn differences_are_found_between_common_ends() {
        for (old, new, left, right) in [
            (&[1, 2, 3][..], &[1, 2, 3][..], 3..3, 3..3),
            (&[1, 2, 3], &[1, 9, 3], 1..2, 1..2),
            (&[1, 3], &[1, 2, 3], 1..1, 1..2),
            (&[1, 2, 3], &[1, 3], 1..2, 1..1),
            (&[1, 1], &[1], 1..2, 1..1),
            (&[], &[1], 0..0, 0..1),
        ] {
            assert_eq!(difference(&list(old), &list(new)), (left, right), "{old:?} {new:?}");
        }
    }
}
