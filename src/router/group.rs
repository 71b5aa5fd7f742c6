//! Entries that one place of the index holds, and how the first that holds is found among them.
use std::sync::Arc;

use smallvec::SmallVec;

use super::query::Query;
use super::radix::{Radix, Vacant};
use super::rule::{Entry, Placed};
use super::vars::{Value, VarName};

/// What a path tree keeps at a pattern.
pub(super) trait Leaf: Vacant {
    /// What a match gives.
    type Value;

    /// Adds or removes an entry.
    fn change(&mut self, placed: &Placed<Self::Value>, change: Change);

    /// Takes the entries that may hold in the sequence of their ranks until one is accepted.
    fn find<'r>(
        &'r self,
        query: &Query<'_>,
        accept: &mut impl FnMut(&'r Entry<Self::Value>) -> bool,
    ) -> Option<&'r Entry<Self::Value>>;

    /// Adds the runs of entries that may hold. An entry that is left out cannot hold.
    fn collect<'r>(&'r self, query: &Query<'_>, runs: &mut Runs<'r, Self::Value>);

    /// Visits every entry, in no particular order.
    fn each<'r>(&'r self, visit: &mut dyn FnMut(&'r Arc<Entry<Self::Value>>));
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Add,
    Remove,
}

/// Entries in the sequence of their ranks.
#[derive(Debug)]
struct Ranked<T>(Vec<Arc<Entry<T>>>);

/// The entries of one pattern (and one host). Those that ask a variable to equal a string are kept by that string, so
/// that ten thousand of them cost one look-up.
#[derive(Debug, Default)]
pub(super) enum Group<T> {
    #[default]
    Empty,
    One(Arc<Entry<T>>),
    Many(Arc<Many<T>>),
}

#[derive(Debug)]
pub(super) struct Many<T> {
    /// Entries that no table has.
    rest: Ranked<T>,
    tables: Vec<Table<T>>,
}

/// Entries by the string that a variable must equal.
#[derive(Debug)]
struct Table<T> {
    name: VarName,
    values: Radix<Ranked<T>>,
}

impl<T> Leaf for Group<T> {
    type Value = T;

    fn change(&mut self, placed: &Placed<T>, change: Change) {
        match change {
            Change::Add => self.add(&placed.entry),
            Change::Remove => self.remove(&placed.entry),
        }
    }

    #[inline]
    fn find<'r>(&'r self, query: &Query<'_>, accept: &mut impl FnMut(&'r Entry<T>) -> bool) -> Option<&'r Entry<T>> {
        match self {
            Self::Empty => None,
            Self::One(entry) => accept(entry).then_some(&**entry),
            Self::Many(many) => {
                let mut runs = Runs::new();
                many.collect(query, &mut runs);
                runs.first(accept)
            }
        }
    }

    #[inline]
    fn collect<'r>(&'r self, query: &Query<'_>, runs: &mut Runs<'r, T>) {
        match self {
            Self::Empty => {}
            Self::One(entry) => runs.push(std::slice::from_ref(entry)),
            Self::Many(many) => many.collect(query, runs),
        }
    }

    fn each<'r>(&'r self, visit: &mut dyn FnMut(&'r Arc<Entry<T>>)) {
        match self {
            Self::Empty => {}
            Self::One(entry) => visit(entry),
            Self::Many(many) => {
                many.rest.0.iter().for_each(&mut *visit);
                for table in &many.tables {
                    table.values.each(&mut |ranked| ranked.0.iter().for_each(&mut *visit));
                }
            }
        }
    }
}

impl<T> Group<T> {
    fn add(&mut self, entry: &Arc<Entry<T>>) {
        match self {
            Self::Empty => *self = Self::One(Arc::clone(entry)),
            Self::One(first) => {
                let mut many = Many { rest: Ranked::default(), tables: Vec::new() };
                many.add(first);
                many.add(entry);
                *self = Self::Many(Arc::new(many));
            }
            Self::Many(many) => Arc::make_mut(many).add(entry),
        }
    }

    fn remove(&mut self, entry: &Arc<Entry<T>>) {
        match self {
            Self::Empty => {}
            Self::One(one) => {
                if Arc::ptr_eq(one, entry) {
                    *self = Self::Empty;
                }
            }
            Self::Many(many) => {
                let many = Arc::make_mut(many);
                many.remove(entry);
                match (many.rest.0.as_slice(), many.tables.is_empty()) {
                    ([], true) => *self = Self::Empty,
                    ([one], true) => *self = Self::One(Arc::clone(one)),
                    _ => {}
                }
            }
        }
    }
}

impl<T> Many<T> {
    fn collect<'r>(&'r self, query: &Query<'_>, runs: &mut Runs<'r, T>) {
        runs.push(&self.rest.0);
        for table in &self.tables {
            let Some(Value::Text(text)) = query.vars.get(&table.name) else { continue };
            if let Some(ranked) = table.values.get(&text) {
                runs.push(&ranked.0);
            }
        }
    }

    /// An entry goes into a table that is there already, else into one for its first equality.
    fn add(&mut self, entry: &Arc<Entry<T>>) {
        let Some(vars) = entry.vars() else { return self.rest.add(entry) };
        for table in &mut self.tables {
            if let Some((_, value)) = vars.equalities().find(|(name, _)| **name == table.name) {
                return table.values.update(value, |ranked| ranked.add(entry));
            }
        }
        let Some((name, value)) = vars.equalities().next() else { return self.rest.add(entry) };
        let mut table = Table { name: name.clone(), values: Radix::default() };
        table.values.update(value, |ranked| ranked.add(entry));
        self.tables.push(table);
    }

    fn remove(&mut self, entry: &Arc<Entry<T>>) {
        self.rest.remove(entry);
        let Some(vars) = entry.vars() else { return };
        for table in &mut self.tables {
            for (_, value) in vars.equalities().filter(|(name, _)| **name == table.name) {
                table.values.update(value, |ranked| ranked.remove(entry));
            }
        }
        self.tables.retain(|table| !table.values.is_vacant());
    }
}

impl<T> Ranked<T> {
    fn add(&mut self, entry: &Arc<Entry<T>>) {
        let at = self.0.partition_point(|other| !entry.precedes(other));
        self.0.insert(at, Arc::clone(entry));
    }

    fn remove(&mut self, entry: &Arc<Entry<T>>) {
        self.0.retain(|other| !Arc::ptr_eq(other, entry));
    }
}

/// Entries in the sequence of their ranks, borrowed.
type Run<'r, T> = &'r [Arc<Entry<T>>];

/// Runs that are read as one.
pub(super) struct Runs<'r, T>(SmallVec<[Run<'r, T>; 4]>);

impl<'r, T> Runs<'r, T> {
    pub(super) fn new() -> Self {
        Self(SmallVec::new())
    }

    #[inline]
    fn push(&mut self, run: Run<'r, T>) {
        if !run.is_empty() {
            self.0.push(run);
        }
    }

    /// Takes entries in the sequence of their ranks until one is accepted.
    #[inline]
    pub(super) fn first(&mut self, accept: &mut impl FnMut(&'r Entry<T>) -> bool) -> Option<&'r Entry<T>> {
        if let [run] = self.0.as_slice() {
            let found = run.iter().map(|entry| &**entry).find(|entry| accept(entry));
            self.0.clear();
            return found;
        }
        self.first_of_many(accept)
    }

    fn first_of_many(&mut self, accept: &mut impl FnMut(&'r Entry<T>) -> bool) -> Option<&'r Entry<T>> {
        let mut found = None;
        while found.is_none() {
            let Some(entry) = self.next() else { break };
            found = accept(entry).then_some(entry);
        }
        self.0.clear();
        found
    }

    /// Takes the entry of least rank off the run that begins with it.
    fn next(&mut self) -> Option<&'r Entry<T>> {
        let mut least: Option<(&'r Entry<T>, &mut Run<'r, T>)> = None;
        for run in &mut self.0 {
            let Some(first) = run.first() else { continue };
            if least.as_ref().is_none_or(|(entry, _)| first.precedes(entry)) {
                least = Some((first, run));
            }
        }
        let (entry, run) = least?;
        *run = run.get(1..).unwrap_or_default();
        Some(entry)
    }
}

// Derived, these would ask the same of `T`.
impl<T> Clone for Group<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::One(entry) => Self::One(Arc::clone(entry)),
            Self::Many(many) => Self::Many(Arc::clone(many)),
        }
    }
}

impl<T> Vacant for Group<T> {
    fn is_vacant(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl<T> Clone for Many<T> {
    fn clone(&self) -> Self {
        Self { rest: self.rest.clone(), tables: self.tables.clone() }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), values: self.values.clone() }
    }
}

impl<T> Clone for Ranked<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Ranked<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Vacant for Ranked<T> {
    fn is_vacant(&self) -> bool {
        self.0.is_empty()
    }
}
