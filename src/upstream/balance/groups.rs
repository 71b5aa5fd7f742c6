//! Priority groups, and what one request has tried of them (upstream.md §3.5).
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;

use super::{Balancer, BalancerFactory, Member, Pick, Policy};
use crate::upstream::state::EndpointState;

/// Which group an endpoint is in: by its priority, higher first; then by what its address is second to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    priority: Reverse<i32>,
    /// Addresses of a name that are only used when the others were tried: 0 is the first choice.
    choice: u32,
}

impl Rank {
    pub(crate) fn new(priority: i32, choice: u32) -> Self {
        Self { priority: Reverse(priority), choice }
    }

    /// The node's priority.
    pub(crate) fn priority(self) -> i32 {
        self.priority.0
    }
}

/// An endpoint that may be picked.
pub(crate) trait Candidate {
    fn member(&self) -> &Member;
    fn rank(&self) -> Rank;
    fn state(&self) -> &Arc<EndpointState>;
}

/// The endpoints of an upstream by rank, each group with its balancer.
pub(crate) struct Groups {
    /// First choice first.
    groups: Box<[Group]>,
    /// Set when there is one endpoint in all: balancing and the memory of what was tried are skipped (upstream.md §2).
    single: bool,
    counts_load: bool,
    heeds_latency: bool,
}

struct Group {
    rank: Rank,
    /// Indices of the set's endpoints.
    indices: Box<[usize]>,
    members: Box<[Member]>,
    /// With a balancer that has unusable members to leave out.
    states: Box<[Arc<EndpointState>]>,
    balancer: Arc<dyn Balancer>,
}

/// Where one request stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    group: usize,
    /// Members of the current group that were tried before the last one. Empty, thus unallocated, without retries.
    tried: Vec<usize>,
    last: Option<usize>,
}

impl Groups {
    /// Groups candidates, given in the order of the set. With `heed_health` those that are not usable are left out. A
    /// group of `before` whose members are the same passes its balancer on.
    pub(crate) fn new<C: Candidate>(
        candidates: &[C],
        factory: &dyn BalancerFactory,
        policy: &Policy,
        heed_health: bool,
        before: Option<&Self>,
    ) -> Self {
        let filters = heed_health && factory.keeps_unusable();
        let has_weight = |candidate: &&C| candidate.member().weight > 0;
        let weighted: BTreeSet<Rank> = candidates.iter().filter(has_weight).map(Candidate::rank).collect();
        let mut by_rank: BTreeMap<Rank, Vec<usize>> = BTreeMap::new();
        for (index, candidate) in candidates.iter().enumerate() {
            // Who has no weight must not come into use because the others fail.
            let is_idle = !has_weight(&candidate) && weighted.contains(&candidate.rank());
            if !is_idle && (!heed_health || filters || candidate.state().is_usable()) {
                by_rank.entry(candidate.rank()).or_default().push(index);
            }
        }
        let groups: Box<[Group]> = by_rank
            .into_iter()
            .map(|(rank, indices)| {
                let of_group = || indices.iter().filter_map(|index| candidates.get(*index));
                let members: Box<[Member]> = of_group().map(|candidate| candidate.member().clone()).collect();
                let states = of_group().filter(|_| filters).map(|candidate| Arc::clone(candidate.state())).collect();
                let balancer = before
                    .and_then(|before| before.balancer_of(rank, &members))
                    .unwrap_or_else(|| factory.build(&members, policy));
                Group { rank, indices: indices.into(), members, states, balancer }
            })
            .collect();
        let counts_load = groups.iter().any(|group| group.balancer.counts_load());
        let heeds_latency = groups.iter().any(|group| group.balancer.heeds_latency());
        Self { groups, single: candidates.len() == 1, counts_load, heeds_latency }
    }

    fn balancer_of(&self, rank: Rank, members: &[Member]) -> Option<Arc<dyn Balancer>> {
        let group = self.groups.iter().find(|group| group.rank == rank)?;
        let same = group.members.len() == members.len()
            && group.members.iter().zip(members).all(|(old, new)| old.is_same(new));
        same.then(|| Arc::clone(&group.balancer))
    }

    /// Whether endpoint `index` of the set may be picked.
    pub(crate) fn uses(&self, index: usize) -> bool {
        self.single
            || self.groups.iter().any(|group| {
                let member = group.indices.binary_search(&index);
                member.is_ok_and(|member| group.states.get(member).is_none_or(|state| state.is_usable()))
            })
    }

    /// Whether a balancer wants to know what endpoints are busy with.
    pub(crate) fn counts_load(&self) -> bool {
        self.counts_load
    }

    /// Whether a balancer wants to know how long endpoints take.
    pub(crate) fn heeds_latency(&self) -> bool {
        self.heeds_latency
    }

    /// The endpoint that a session has come back for, if the group which is to serve has it and it is usable. For the first
    /// attempt.
    pub(crate) fn stay(&self, walk: &mut Walk, index: usize) -> Option<usize> {
        let group = self.groups.first()?;
        let member = group.indices.binary_search(&index).ok()?;
        if group.states.get(member).is_some_and(|state| !state.is_usable()) {
            return None;
        }
        walk.last = Some(member);
        Some(index)
    }

    /// The next endpoint for a request; `None` when all were tried, or there is none.
    pub(crate) fn next(&self, walk: &mut Walk, request: &Parts, client: Option<IpAddr>) -> Option<usize> {
        if self.single {
            return Some(0);
        }
        walk.tried.extend(walk.last.take());
        loop {
            let group = self.groups.get(walk.group)?;
            let picked = group.balancer.pick(&Pick::new(request, client, &walk.tried).among(&group.states));
            if let Some(member) = picked {
                walk.last = Some(member);
                return group.indices.get(member).copied();
            }
            walk.group += 1;
            walk.tried.clear();
        }
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.groups.iter().map(|group| &group.indices)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::RoundRobin;
    use super::*;

    struct Node(Member, Rank, Arc<EndpointState>);

    impl Candidate for Node {
        fn member(&self) -> &Member {
            &self.0
        }
        fn rank(&self) -> Rank {
            self.1
        }
        fn state(&self) -> &Arc<EndpointState> {
            &self.2
        }
    }

    fn nodes(ranks: &[(i32, u32)]) -> Vec<Node> {
        let node = |(priority, choice): &(i32, u32)| {
            Node(Member::new("m", 1), Rank::new(*priority, *choice), EndpointState::of_test())
        };
        ranks.iter().map(node).collect()
    }

    fn groups(nodes: &[Node], before: Option<&Groups>) -> Groups {
        Groups::new(nodes, &RoundRobin::build, &Policy::default(), true, before)
    }

    fn walk(groups: &Groups, picks: usize) -> Vec<Option<usize>> {
        let (parts, mut walk) = (http::Request::new(()).into_parts().0, Walk::default());
        (0..picks).map(|_| groups.next(&mut walk, &parts, None)).collect()
    }

    #[test]
    fn a_lower_group_serves_when_the_higher_was_tried() {
        let order = walk(&groups(&nodes(&[(0, 1), (0, 0), (5, 0), (5, 0), (-1, 0)]), None), 6);
        let mut first = vec![order[0], order[1]];
        first.sort();
        assert_eq!(first, [Some(2), Some(3)]);
        assert_eq!(order[2..], [Some(1), Some(0), Some(4), None]);
    }

    #[test]
    fn one_endpoint_is_tried_again() {
        assert_eq!(walk(&groups(&nodes(&[(3, 0)]), None), 3), [Some(0); 3]);
        assert_eq!(walk(&groups(&nodes(&[]), None), 1), [None]);
    }

    #[test]
    fn weight_0_gets_nothing_even_if_nobody_else_is_usable() {
        let mut nodes = nodes(&[(1, 0), (1, 0), (0, 0), (0, 0)]);
        nodes[0].0.weight = 0;
        (nodes[2].0.weight, nodes[3].0.weight) = (0, 0);
        nodes[1].2.health().eject("test");
        let mut order = walk(&groups(&nodes, None), 3);
        order.sort();
        assert_eq!(order, [None, Some(2), Some(3)]);
    }

    #[test]
    fn a_session_stays_as_long_as_its_endpoint_may_serve() {
        let nodes = nodes(&[(0, 0), (1, 0), (1, 0), (1, 0)]);
        let groups = groups(&nodes, None);
        let (parts, mut other) = (http::Request::new(()).into_parts().0, Walk::default());
        assert_eq!(groups.stay(&mut other, 2), Some(2));
        let rest: Vec<_> = (0..3).map(|_| groups.next(&mut other, &parts, None)).collect();
        assert!(!rest.contains(&Some(2)) && rest[2] == Some(0), "{rest:?}");
        // Of a lower group, and none at all.
        assert_eq!(groups.stay(&mut Walk::default(), 0), None);
        assert_eq!(groups.stay(&mut Walk::default(), 9), None);
        nodes[2].2.health().eject("test");
        assert_eq!(super::tests::groups(&nodes, None).stay(&mut Walk::default(), 2), None);
    }

    #[test]
    fn a_group_that_stays_the_same_keeps_its_balancer() {
        let nodes = nodes(&[(0, 0), (0, 0), (1, 0), (1, 0)]);
        let before = groups(&nodes, None);
        nodes[3].2.health().eject("test");
        let after = groups(&nodes, Some(&before));
        let same = |at: usize| Arc::ptr_eq(&before.groups[at].balancer, &after.groups[at].balancer);
        assert!(!same(0) && same(1));
        assert_eq!(walk(&after, 2)[0], Some(2));
    }
}
