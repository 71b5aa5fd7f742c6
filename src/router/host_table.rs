//! What is kept by host: the buckets of a host-first router, the groups of a pattern in a path-first one.
use std::sync::Arc;

use smallvec::SmallVec;

use super::group::{Change, Group, Leaf, Runs};
use super::host::{HostName, HostPattern};
use super::query::Query;
use super::radix::{Backward, Radix, Vacant};
use super::rule::{Entry, Placed};

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
        if let (Some(named), Some(host)) = (&self.named, host) {
            // Wildcards from the last to the first: `pop` gives them in sequence.
            let mut wildcards = SmallVec::new();
            let exact = named.plain.gather(host.name(), &mut wildcards);
            let exact_with_port = if named.with_port.is_vacant() || host.port().is_none() || host.name().is_empty() {
                None
            } else {
                named.with_port.gather(host.authority(), &mut wildcards)
            };
            for value in [exact_with_port, exact].into_iter().flatten() {
                if let Some(result) = visit(value) {
                    return Some(result);
                }
            }
            while let Some(value) = wildcards.pop() {
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

impl<B: Vacant> Hosts<B> {
    /// Gives what is kept for exactly this host and adds what is kept for its wildcards. An empty name is no host.
    #[inline]
    fn gather<'r>(&'r self, host: &str, wildcards: &mut SmallVec<[&'r B; 4]>) -> Option<&'r B> {
        let mut exact = None;
        if host.is_empty() {
            return exact;
        }
        self.walk(host.as_bytes(), |slot, rest| {
            if rest.is_empty() && !slot.exact.is_vacant() {
                exact = Some(&slot.exact);
            }
            if !slot.wildcard.is_vacant() {
                wildcards.push(&slot.wildcard);
            }
        });
        exact
    }
}

impl<T> Leaf for HostTable<Group<T>> {
    type Value = T;

    fn change(&mut self, placed: &Placed<T>, change: Change) {
        self.update(placed.host.as_ref(), |group| group.change(placed, change));
    }

    fn find<'r>(&'r self, query: &Query<'_>, accept: &mut impl FnMut(&'r Entry<T>) -> bool) -> Option<&'r Entry<T>> {
        let mut runs = Runs::new();
        self.collect(query, &mut runs);
        runs.first(accept)
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
