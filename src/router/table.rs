//! The match table: rules by id, and the index that finds them by host and path.
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use smallvec::SmallVec;

use super::beginnings::Beginnings;
use super::group::{Change, Group};
use super::host_table::HostTable;
use super::path::PathMode;
use super::path_tree::PathTree;
use super::query::{Match, NoMatch, Query};
use super::radix::{Radix, Vacant};
use super::rule::{Entry, Placed, Rule, RuleError};

/// Switches of a [`Router`]; they hold for all its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouterOptions {
    /// Rules of the most specific host are asked first, and only if none wins those of the next (router.md §4.2).
    /// Off: the path decides, and a host is a condition like any other. Default `true`.
    pub host_first: bool,
    /// `:name` at the start of a segment captures it (router.md §3). Off: it is literal text. Default `true`.
    pub parameters: bool,
    /// Answer [`NoMatch::MethodNotAllowed`] when only the method stood against a rule. Default `false`.
    pub method_not_allowed: bool,
    /// How paths are canonicalised, so that patterns can be brought to the same form. Default strict.
    pub path_mode: PathMode,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self { host_first: true, parameters: true, method_not_allowed: false, path_mode: PathMode::Strict }
    }
}

/// Rules, and an index over them. A clone is cheap and independent.
#[derive(Clone)]
pub struct Router<T> {
    pub(super) options: RouterOptions,
    pub(super) index: Index<T>,
    beginnings: Beginnings,
    rules: Radix<Entries<T>>,
    len: usize,
}

/// The entries of one rule, by which it is found when it is removed.
struct Entries<T>(SmallVec<[Arc<Entry<T>>; 1]>);

pub(super) enum Index<T> {
    HostFirst(HostTable<PathTree<Group<T>>>),
    PathFirst(PathTree<HostTable<Group<T>>>),
}

impl<T: Clone> Router<T> {
    /// A router without rules.
    pub fn new(options: RouterOptions) -> Self {
        let index = if options.host_first {
            Index::HostFirst(HostTable::default())
        } else {
            Index::PathFirst(PathTree::default())
        };
        Self { options, index, beginnings: Beginnings::default(), rules: Radix::default(), len: 0 }
    }

    /// A router with all of `rules` that are sound, and the errors of those that are not.
    pub fn from_rules(options: RouterOptions, rules: impl IntoIterator<Item = Rule<T>>) -> (Self, Vec<RuleError>) {
        let mut router = Self::new(options);
        let errors = rules.into_iter().filter_map(|rule| router.insert(rule).err()).collect();
        (router, errors)
    }

    /// Adds a rule, in the place of one of the same id.
    ///
    /// # Errors
    /// [`RuleError`] with all faults of the rule. The router is as before.
    pub fn insert(&mut self, rule: Rule<T>) -> Result<(), RuleError> {
        let id = Arc::clone(&rule.id);
        let placed = rule.compile(&self.options)?;
        self.remove(&id);
        for placed in &placed {
            self.index.change(placed, Change::Add);
            self.beginnings.add(&placed.steps);
        }
        let entries = placed.into_iter().map(|placed| placed.entry).collect();
        self.rules.update(id.as_bytes(), |kept| kept.0 = entries);
        self.len += 1;
        Ok(())
    }

    /// Removes a rule; `false` if there is none of that id.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(entries) = self.rules.get(id.as_bytes()).filter(|entries| !entries.is_vacant()).cloned() else {
            return false;
        };
        for entry in &entries.0 {
            let placed = entry.place(&self.options);
            self.index.change(&placed, Change::Remove);
            self.beginnings.remove(&placed.steps);
        }
        self.rules.update(id.as_bytes(), |kept| kept.0.clear());
        self.len -= 1;
        true
    }
}

impl<T> Router<T> {
    /// The switches.
    pub fn options(&self) -> &RouterOptions {
        &self.options
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is a rule of this id.
    pub fn contains(&self, id: &str) -> bool {
        self.rules.get(id.as_bytes()).is_some_and(|entries| !entries.is_vacant())
    }

    /// Finds the rule that a request belongs to.
    ///
    /// # Errors
    /// [`NoMatch`] if there is none.
    #[inline]
    pub fn find<'r, 'q>(&'r self, query: &Query<'q>) -> Result<Match<'r, 'q, T>, NoMatch> {
        let found = if self.beginnings.allow(query.path) {
            self.index.find(query, &mut |entry| entry.holds(query))
        } else {
            None
        };
        match found {
            Some(entry) => Ok(Match::new(entry, query.path, self.options.path_mode == PathMode::Strict)),
            None if self.options.method_not_allowed => Err(self.refuse_method(query)),
            None => Err(NoMatch::NotFound),
        }
    }

    /// Tells which other methods would have found a rule.
    fn refuse_method(&self, query: &Query<'_>) -> NoMatch {
        let mut allowed = BTreeSet::new();
        self.index.find(query, &mut |entry| {
            if entry.holds_but_for_method(query) {
                allowed.extend(entry.methods.iter().map(|method| method.as_str().to_owned()));
            }
            false
        });
        let allow = allowed.into_iter().collect::<Vec<_>>().join(", ");
        match HeaderValue::try_from(allow) {
            Ok(allow) if !allow.is_empty() => NoMatch::MethodNotAllowed { allow },
            _ => NoMatch::NotFound,
        }
    }
}

impl<T> Index<T> {
    fn change(&mut self, placed: &Placed<T>, change: Change) {
        match self {
            Self::HostFirst(hosts) => hosts.update(placed.host.as_ref(), |paths| paths.change(placed, change)),
            Self::PathFirst(paths) => paths.change(placed, change),
        }
    }

    #[inline]
    fn find<'r>(&'r self, query: &Query<'_>, accept: &mut impl FnMut(&'r Entry<T>) -> bool) -> Option<&'r Entry<T>> {
        match self {
            Self::HostFirst(hosts) => hosts.visit(query.host, |paths| paths.find(query, accept)),
            Self::PathFirst(paths) => paths.find(query, accept),
        }
    }
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        match self {
            Self::HostFirst(hosts) => Self::HostFirst(hosts.clone()),
            Self::PathFirst(paths) => Self::PathFirst(paths.clone()),
        }
    }
}

impl<T> Clone for Entries<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<T> Vacant for Entries<T> {
    fn is_vacant(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("options", &self.options).field("len", &self.len).finish_non_exhaustive()
    }
}
