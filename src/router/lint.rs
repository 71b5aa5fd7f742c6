//! Rules that are sound and yet not what their author can have meant.
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::pattern::Step;
use super::rule::{Entry, Placed};
use super::table::{Index, Router};

/// Something suspicious about one path of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// The rule.
    pub id: Arc<str>,
    /// The path pattern, as written.
    pub pattern: Arc<str>,
    /// The host pattern, as written.
    pub host: Option<Arc<str>>,
    /// What is suspicious.
    pub finding: Finding,
}

/// What is suspicious.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// It can never win: another rule comes first and takes whatever it would.
    Shadowed {
        /// That rule.
        by: Arc<str>,
        /// Its path pattern.
        pattern: Arc<str>,
    },
    /// A prefix that ends inside a segment: `/admin*` takes `/administrator` too (security.md PATH-08).
    EndsInsideSegment,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {} path {}", self.id, self.pattern)?;
        if let Some(host) = &self.host {
            write!(f, " host {host}")?;
        }
        match &self.finding {
            Finding::Shadowed { by, pattern } => {
                write!(f, " can never win: route {by} path {pattern} comes first and takes whatever it would")
            }
            Finding::EndsInsideSegment => f.write_str(
                " ends inside a segment and takes longer names too: write /* at its end to take only what is below",
            ),
        }
    }
}

impl<T> Router<T> {
    /// Looks at all rules for paths that can never win and for prefixes that end inside a segment, in the sequence of
    /// ids.
    ///
    /// A path is only said never to win if a single other one takes all of its requests. For the time of a load, not
    /// of a request: the work grows with the number of rules, and with the number of patterns that share a literal
    /// beginning, host and `vars`.
    pub fn lint(&self) -> Vec<Lint> {
        let mut lints = Vec::new();
        let mut visit = |entries: Vec<&Arc<Entry<T>>>| {
            let placed = entries.into_iter().map(|entry| entry.place(&self.options)).collect();
            lint_key(placed, &mut lints);
        };
        match &self.index {
            Index::HostFirst(hosts) => hosts.each(&mut |paths| paths.each_key(&mut visit)),
            Index::PathFirst(paths) => paths.each_key(&mut visit),
        }
        lints.sort_by(|left, right| {
            (&left.id, &left.pattern, &left.host).cmp(&(&right.id, &right.pattern, &right.host))
        });
        lints
    }
}

/// What an entry that covers another has in common with it, or lacks: its host pattern and its `vars`.
type Kind<'e> = (Option<(&'e str, bool)>, Option<&'e str>);

/// Looks at the entries of one literal key, where rank alone decides.
fn lint_key<T>(mut entries: Vec<Placed<T>>, lints: &mut Vec<Lint>) {
    entries.sort_by(|left, right| left.entry.rank().cmp(&right.entry.rank()));
    let mut earlier: HashMap<Kind<'_>, Vec<&Placed<T>>> = HashMap::new();
    for placed in &entries {
        let entry = &placed.entry;
        let note = |finding| Lint {
            id: Arc::clone(&entry.id),
            pattern: Arc::clone(&entry.pattern.source),
            host: entry.host.clone(),
            finding,
        };
        if entry.pattern.ends_inside_segment() {
            lints.push(note(Finding::EndsInsideSegment));
        }
        let covering =
            covering_kinds(placed).find_map(|kind| earlier.get(&kind)?.iter().find(|other| covers(other, placed)));
        match covering {
            Some(other) => lints.push(note(Finding::Shadowed {
                by: Arc::clone(&other.entry.id),
                pattern: Arc::clone(&other.entry.pattern.source),
            })),
            None => earlier.entry(kind_of(placed)).or_default().push(placed),
        }
    }
}

fn kind_of<T>(placed: &Placed<T>) -> Kind<'_> {
    let host = placed.host.as_ref().map(|host| (&*host.text, host.is_wildcard));
    (host, placed.entry.vars().map(|vars| vars.source()))
}

/// The kinds that an entry must have to cover this one: any host, the same, or a wildcard over it; no `vars` or the
/// same.
fn covering_kinds<T>(placed: &Placed<T>) -> impl Iterator<Item = Kind<'_>> {
    let vars = placed.entry.vars().map(|vars| vars.source());
    let text = placed.host.as_ref().map_or("", |host| &*host.text);
    let suffixes = (0..=text.len()).filter_map(move |at| text.get(at..)).map(|suffix| Some((suffix, true)));
    let suffixes = suffixes.filter(|_| placed.host.is_some());
    let hosts = [None, kind_of(placed).0].into_iter().chain(suffixes);
    hosts.flat_map(move |host| [(host, None), (host, vars)])
}

/// Whether `first`, which comes first and is of a covering kind, takes every request that `second` would.
fn covers<T>(first: &Placed<T>, second: &Placed<T>) -> bool {
    let is_wider = match (&first.entry.conditions, &second.entry.conditions) {
        (None, _) => true,
        (Some(first), None) => first.addresses.is_empty() && first.vars.is_none() && first.predicate.is_none(),
        (Some(first), Some(second)) => {
            let addresses = |network| first.addresses.iter().any(|wider| wider.contains(network));
            let predicate = match (&first.predicate, &second.predicate) {
                (None, _) => true,
                (Some(first), Some(second)) => first.is(second),
                (Some(_), None) => false,
            };
            let is_anywhere = first.addresses.is_empty();
            predicate && (is_anywhere || (!second.addresses.is_empty() && second.addresses.iter().all(addresses)))
        }
    };
    is_wider && first.entry.methods.cover(&second.entry.methods) && steps_cover(&first.steps, &second.steps)
}

/// Whether every path that matches `second` matches `first`; both have the same literal key. May say no where the
/// answer is yes, never the other way.
fn steps_cover(first: &[Step], second: &[Step]) -> bool {
    match (first, second) {
        ([], []) | ([Step::Run | Step::Anything], _) => true,
        ([left, first @ ..], [right, second @ ..]) => left == right && steps_cover(first, second),
        _ => false,
    }
}
