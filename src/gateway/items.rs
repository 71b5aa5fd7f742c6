//! What is judged of a snapshot as a whole: every item that is new or differs, and ids that stand twice.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::difference::{difference, same};
use super::idle;
use crate::model::{Described, Finding, Fold, Id, Items, Kind, Snapshot, check_item, duplicate};

/// The ids in force. With them one new item of a hundred thousand is compared by one look-up.
#[derive(Default)]
pub(super) struct Ids(HashMap<Kind, HashSet<Id>>);

/// What becomes of the ids once the snapshot is in force.
#[derive(Default)]
pub(super) struct IdChanges(Vec<ListChange>);

/// What differs in one list.
struct ListChange {
    kind: Kind,
    gone: Vec<Id>,
    new: Vec<Id>,
    /// Those of `gone` whose item is not in the list as it was.
    stale: HashSet<Id>,
}

impl IdChanges {
    /// Whether the item that a finding of the snapshot before is about still is what it was.
    pub(super) fn is_current(&self, finding: &Finding) -> bool {
        let id = finding.id.as_ref().map_or("", Id::as_str);
        !self.0.iter().any(|list| list.kind == finding.kind && list.stale.contains(id))
    }
}

impl Ids {
    pub(super) fn commit(&mut self, changes: IdChanges) {
        for ListChange { kind, gone, new, stale: _ } in changes.0 {
            let ids = self.0.entry(kind).or_default();
            for id in &gone {
                ids.remove(id);
            }
            ids.extend(new);
        }
    }
}

/// Judges the lists of a snapshot against those of the one before.
pub(super) struct Judge<'a> {
    /// Whether there is none before.
    everything: bool,
    /// Ids of the snapshot before.
    ids: &'a Ids,
    /// Ids of the routes in code.
    in_code: &'a HashSet<&'a Id>,
    findings: &'a mut Vec<Finding>,
    changes: IdChanges,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        everything: bool,
        ids: &'a Ids,
        in_code: &'a HashSet<&'a Id>,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        Self { everything, ids, in_code, findings, changes: IdChanges::default() }
    }

    pub(super) fn run(mut self, snapshot: &Snapshot, before: &Snapshot) -> IdChanges {
        let _ = snapshot.clone().fold(before, &mut self);
        self.changes
    }
}

impl Fold for Judge<'_> {
    fn items<T: Described>(&mut self, items: Items<T>, before: &Items<T>) -> Items<T> {
        if !self.everything && items.is_same(before) {
            return items;
        }
        let (old, new) = if self.everything { (0..0, 0..items.len()) } else { difference(before, &items) };
        let fresh = items.get(new.clone()).unwrap_or(&[]);
        for item in fresh {
            self.findings.extend(check_item(&**item));
            self.findings.extend(idle::item(&**item));
        }
        // What lies outside of the part that differs has the ids in force, and each of those once.
        let was = before.get(old).unwrap_or(&[]);
        let gone: HashSet<&Id> = was.iter().map(|item| item.id()).collect();
        let in_force = self.ids.0.get(&T::KIND);
        let mut seen = HashSet::new();
        for (index, item) in (new.start..).zip(fresh) {
            let id = item.id();
            let in_code = T::KIND == Kind::Route && self.in_code.contains(id);
            let stays = in_force.is_some_and(|ids| ids.contains(id)) && !gone.contains(id);
            if !seen.insert(id) || stays || in_code {
                self.findings.push(duplicate(T::KIND, id.clone(), index));
            }
        }
        let is: HashMap<&Id, &Arc<T>> = match was {
            [] => HashMap::new(),
            _ => fresh.iter().map(|item| (item.id(), item)).collect(),
        };
        let stale = was.iter().filter(|was| is.get(was.id()).is_none_or(|is| !same(is, was)));
        self.changes.0.push(ListChange {
            kind: T::KIND,
            stale: stale.map(|item| item.id().clone()).collect(),
            gone: gone.into_iter().cloned().collect(),
            new: seen.into_iter().cloned().collect(),
        });
        items
    }
}
