//! Priority groups, and what one request has tried of them (upstream.md §3.5).
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;

use super::{Balancer, BalancerFactory, Member, Pick};

/// The endpoints of an upstream by priority, each group with its balancer.
pub(crate) struct Groups {
    /// Highest priority first.
    groups: Box<[Group]>,
    /// Set when there is one endpoint in all: balancing and the memory of what was tried are skipped (upstream.md §2).
    single: bool,
}

struct Group {
    /// Indices of the upstream's endpoints.
    members: Box<[usize]>,
    balancer: Arc<dyn Balancer>,
}

/// Where one request stands.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    group: usize,
    /// Members of the current group that were tried before the last one. Empty, thus unallocated, without retries.
    tried: Vec<usize>,
    last: Option<usize>,
}

impl Groups {
    /// Groups `members`, given with their priorities in the order of the endpoints.
    pub(crate) fn new(members: &[(Member, i32)], factory: &dyn BalancerFactory) -> Self {
        let mut by_priority: BTreeMap<Reverse<i32>, Vec<usize>> = BTreeMap::new();
        for (index, (_, priority)) in members.iter().enumerate() {
            by_priority.entry(Reverse(*priority)).or_default().push(index);
        }
        let groups = by_priority
            .into_values()
            .map(|indices| {
                let of_group: Vec<Member> =
                    indices.iter().filter_map(|index| members.get(*index)).map(|(member, _)| member.clone()).collect();
                Group { members: indices.into(), balancer: factory.build(&of_group) }
            })
            .collect();
        Self { groups, single: members.len() == 1 }
    }

    /// The next endpoint for a request; `None` when all were tried, or there is none.
    pub(crate) fn next(&self, walk: &mut Walk, request: &Parts, client: Option<IpAddr>) -> Option<usize> {
        if self.single {
            return Some(0);
        }
        walk.tried.extend(walk.last.take());
        loop {
            let group = self.groups.get(walk.group)?;
            let picked = group.balancer.pick(&Pick::new(request, client, &walk.tried));
            if let Some(member) = picked {
                walk.last = Some(member);
                return group.members.get(member).copied();
            }
            walk.group += 1;
            walk.tried.clear();
        }
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.groups.iter().map(|group| &group.members)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::RoundRobin;
    use super::*;

    fn groups(priorities: &[i32]) -> Groups {
        let members: Vec<_> = priorities.iter().map(|priority| (Member::new("m", 1), *priority)).collect();
        Groups::new(&members, &RoundRobin::build)
    }

    fn walk(groups: &Groups, picks: usize) -> Vec<Option<usize>> {
        let (parts, mut walk) = (http::Request::new(()).into_parts().0, Walk::default());
        (0..picks).map(|_| groups.next(&mut walk, &parts, None)).collect()
    }

    #[test]
    fn a_lower_group_serves_when_the_higher_was_tried() {
        let order = walk(&groups(&[0, 5, 5, -1]), 5);
        let mut first = vec![order[0], order[1]];
        first.sort();
        assert_eq!(first, [Some(1), Some(2)]);
        assert_eq!(order[2..], [Some(0), Some(3), None]);
    }

    #[test]
    fn one_endpoint_is_tried_again() {
        assert_eq!(walk(&groups(&[3]), 3), [Some(0); 3]);
        assert_eq!(walk(&groups(&[]), 1), [None]);
    }
}
