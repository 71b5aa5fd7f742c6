//! What is kept by host: the buckets of a host-first router, the groups of a pattern in a path-first one.
use std::sync::Arc;

use smallvec::SmallVec;

use super::group::{Change, Group, Leaf, Runs};
use super::host::{HostName, HostPattern};
use super::query::Query;
use super::radix::{Backward, Radix, Vacant};
use super::rule::Entry;

/// Values by host pattern.
#[derive(Clone, Debug, Default)]
pub(super) struct HostTable<B> {
    /// For no host pattern at all.
    any: B,
    named: Option<Arc<Named<B>>>,
}

#[derive(Clone, Debug)]
struct Named<B> {
    plain: Hosts<B>,
    /// Patterns with a port, compared with `host:port`.
    with_port: Hosts<B>,
}

type Hosts<B> = Radix<Slot<B>, Backward>;

#[derive(Clone, Debug, Default)]
struct Slot<B> {
    exact: B,
    /// For any host that ends here.
    wildcard: B,
}

impl<B: Vacant> Vacant for HostTable<B> {
    fn is_vacant(&self) -> bool {
        self.any.is_vacant() && self.named.is_none()
    }
}

impl<B: Vacant> Vacant for Slot<B> {
    fn is_vacant(&self) -> bool {
        self.exact.is_vacant() && self.wildcard.is_vacant()
    }
}

impl<B: Vacant> HostTable<B> {
    /// Changes the value of a host pattern.
    pub(super) fn update(&mut self, host: Option<&HostPattern>, change: impl FnOnce(&mut B)) {
        let Some(host) = host else { return change(&mut self.any) };
        let named =
            self.named.get_or_insert_with(|| Arc::new(Named { plain: Radix::default(), with_port: Radix::default() }));
        let named = Arc::make_mut(named);
        let hosts = if host.has_port { &mut named.with_port } else { &mut named.plain };
        hosts.update(host.text.as_bytes(), |slot| {
            change(if host.is_wildcard { &mut slot.wildcard } else { &mut slot.exact });
        });
        if named.plain.is_vacant() && named.with_port.is_vacant() {
            self.named = None;
        }
    }

    /// Visits the values whose pattern matches `host`, until a visit gives something: exact hosts, then wildcards from
    /// the longest to the shortest, then what has no host. Of each kind those with a port come first.
    #[inline]
    pub(super) fn visit<'r, R>(
        &'r self,
        host: Option<&HostName<'_>>,
        mut visit: impl FnMut(&'r B) -> Option<R>,
    ) -> Option<R> {
        if let (Some(named), Some(host)) = (&self.named, host.filter(|host| !host.name().is_empty())) {
            let (mut exact, mut wildcards) = (Found::new(), Found::new());
            // From the last to the first: `pop` gives them in sequence.
            named.plain.gather(host.name(), &mut exact, &mut wildcards);
            if host.port().is_some() {
                named.with_port.gather(host.authority(), &mut exact, &mut wildcards);
            }
            while let Some(value) = exact.pop().or_else(|| wildcards.pop()) {
                if let Some(result) = visit(value) {
                    return Some(result);
                }
            }
        }
        if self.any.is_vacant() { None } else { visit(&self.any) }
    }

    /// Visits every value, in no particular order.
    pub(super) fn each<'r>(&'r self, visit: &mut dyn FnMut(&'r B)) {
        visit(&self.any);
        if let Some(named) = &self.named {
            for hosts in [&named.plain, &named.with_port] {
                hosts.each(&mut |slot| {
                    visit(&slot.exact);
                    visit(&slot.wildcard);
                });
            }
        }
    }
}

type Found<'r, B> = SmallVec<[&'r B; 4]>;

impl<B: Vacant> Hosts<B> {
    #[inline]
    fn gather<'r>(&'r self, host: &str, exact: &mut Found<'r, B>, wildcards: &mut Found<'r, B>) {
        self.walk(host.as_bytes(), |slot, rest| {
            if rest.is_empty() && !slot.exact.is_vacant() {
                exact.push(&slot.exact);
            }
            if !slot.wildcard.is_vacant() {
                wildcards.push(&slot.wildcard);
            }
        });
    }
}

impl<T> Leaf for HostTable<Group<T>> {
    type Value = T;

    fn change(&mut self, entry: &Arc<Entry<T>>, change: Change) {
        self.update(entry.host.as_ref(), |group| group.change(entry, change));
    }

    fn collect<'r>(&'r self, query: &Query<'_>, runs: &mut Runs<'r, T>) {
        self.visit(query.host, |group| {
            group.collect(query, runs);
            None::<()>
        });
    }

    fn each<'r>(&'r self, visit: &mut dyn FnMut(&'r Arc<Entry<T>>)) {
        HostTable::each(self, &mut |group| group.each(visit));
    }
}
