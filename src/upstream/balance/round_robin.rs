//! Weighted round robin: exact shares over a cycle, spread evenly within it.
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Balancer, Member, Pick, Policy};

/// The longest cycle. Weights that need a longer one are scaled down to it: shares are then off by less than one turn of
/// so many.
const MAX_CYCLE: u64 = 1 << 16;

/// Smooth weighted round robin (upstream.md §3.1).
///
/// The cycle is laid out once: a member of weight *w* has *w* turns in it (weights divided by their greatest common
/// divisor), at even distances. A pick is one atomic addition. The start is random, so that many gateways don't beat in
/// step.
#[derive(Debug)]
pub struct RoundRobin {
    cycle: Box<[u32]>,
    cursor: AtomicU64,
}

impl RoundRobin {
    /// Lays out the cycle. Without a weight above 0 all members have equal turns.
    pub fn new(weights: &[u32]) -> Self {
        let cycle = lay_out(&turns(weights));
        let start = RandomState::new().hash_one(0u8) >> 32;
        Self { cycle, cursor: AtomicU64::new(start) }
    }

    /// Turns in one cycle.
    pub fn cycle_len(&self) -> usize {
        self.cycle.len()
    }

    /// The factory of `roundrobin`.
    pub(crate) fn build(members: &[Member], _: &Policy) -> Arc<dyn Balancer> {
        let weights: Vec<_> = members.iter().map(|member| member.weight).collect();
        Arc::new(Self::new(&weights))
    }

    /// The member whose turn it is; takes the turn. `None` without members.
    pub fn turn(&self) -> Option<usize> {
        let at = self.cursor.fetch_add(1, Relaxed);
        self.member(at)
    }

    fn member(&self, at: u64) -> Option<usize> {
        let at = at.checked_rem(self.cycle.len() as u64)?;
        self.cycle.get(at as usize).map(|member| *member as usize)
    }
}

impl Balancer for RoundRobin {
    fn pick(&self, pick: &Pick<'_>) -> Option<usize> {
        if !pick.is_retry() {
            return self.turn();
        }
        // A retry goes to whoever is next and takes no turn. Otherwise, beside one of two members that fails, each
        // retry would use up the turn of the other one, and the next request would go to the failing one again.
        let from = self.cursor.load(Relaxed);
        let round = 0..self.cycle.len() as u64;
        round.filter_map(|step| self.member(from + step)).find(|member| pick.is_usable(*member))
    }
}

/// Weights divided by their greatest common divisor; 1 for each if all are 0.
pub(super) fn units(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().fold(0, |divisor, weight| gcd(divisor, u64::from(*weight)));
    if divisor == 0 {
        return vec![1; weights.len()];
    }
    weights.iter().map(|weight| u64::from(*weight) / divisor).collect()
}

/// Turns of each member in one cycle.
fn turns(weights: &[u32]) -> Vec<u64> {
    let mut turns = units(weights);
    let total: u64 = turns.iter().sum();
    let limit = MAX_CYCLE.max(weights.len() as u64);
    if total > limit {
        // Down to the limit, but nobody who had a turn loses the last one.
        for turn in turns.iter_mut().filter(|turn| **turn > 0) {
            *turn = (u128::from(*turn) * u128::from(limit) / u128::from(total)).max(1) as u64;
        }
    }
    turns
}

pub(super) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Orders the turns: the *j*-th of a member's *w* turns is due at (*j* + phase) / *w* of the cycle. The phases are those of
/// the golden ratio, so that members of equal weight do not come due together.
fn lay_out(turns: &[u64]) -> Box<[u32]> {
    let mut due: Vec<(u64, u32)> = Vec::with_capacity(turns.iter().sum::<u64>() as usize);
    for (member, count) in (0u32..).zip(turns) {
        let phase = u64::from(member.wrapping_mul(0x9e37_79b9).wrapping_add(1 << 31));
        due.extend((0..*count).map(|turn| (((turn << 32) | phase) / count, member)));
    }
    due.sort_unstable();
    due.into_iter().map(|(_, member)| member).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts() -> http::request::Parts {
        http::Request::new(()).into_parts().0
    }

    fn counts(balancer: &RoundRobin, members: usize, picks: usize) -> Vec<usize> {
        let parts = parts();
        let mut counts = vec![0; members];
        for _ in 0..picks {
            counts[balancer.pick(&Pick::new(&parts, None, &[])).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn shares_of_the_specification() {
        assert_eq!(counts(&RoundRobin::new(&[1, 1, 1]), 3, 12), [4, 4, 4]);
        assert_eq!(counts(&RoundRobin::new(&[3, 2, 1]), 3, 12), [6, 4, 2]);
        assert_eq!(counts(&RoundRobin::new(&[3, 0, 1]), 3, 12), [9, 0, 3]);
        assert_eq!(counts(&RoundRobin::new(&[0, 0]), 2, 4), [2, 2]);
    }

    #[test]
    fn a_heavy_member_does_not_burst() {
        let balancer = RoundRobin::new(&[5, 1, 1]);
        let twice: Vec<_> = balancer.cycle.iter().chain(&*balancer.cycle).collect();
        let longest = twice.chunk_by(|a, b| a == b).map(<[_]>::len).max();
        assert!(longest <= Some(4), "{twice:?}");
    }

    #[test]
    fn huge_weights_keep_their_proportions() {
        let balancer = RoundRobin::new(&[u32::MAX, u32::MAX - 1, 1]);
        assert!(balancer.cycle_len() <= MAX_CYCLE as usize + 3);
        let counts = counts(&balancer, 3, balancer.cycle_len());
        assert!(counts[0].abs_diff(counts[1]) <= 1 && counts[2] == 1, "{counts:?}");
    }

    #[test]
    fn what_was_tried_is_not_picked() {
        let (balancer, parts) = (RoundRobin::new(&[1000, 1, 1]), parts());
        for _ in 0..20 {
            assert_eq!(balancer.pick(&Pick::new(&parts, None, &[0, 2])), Some(1));
        }
        assert_eq!(balancer.pick(&Pick::new(&parts, None, &[0, 1, 2])), None);
    }

    #[test]
    fn nothing_is_picked_of_nothing() {
        assert_eq!(RoundRobin::new(&[]).pick(&Pick::new(&parts(), None, &[])), None);
    }

    proptest! {
        #[test]
        fn every_cycle_has_exact_counts(weights in prop::collection::vec(0u32..20, 1..12), cycles in 1usize..4) {
            let balancer = RoundRobin::new(&weights);
            let expected = turns(&weights);
            let counts = counts(&balancer, weights.len(), balancer.cycle_len() * cycles);
            for (count, turns) in counts.iter().zip(expected) {
                prop_assert_eq!(*count as u64, turns * cycles as u64);
            }
        }

        #[test]
        fn turns_are_spread(weights in prop::collection::vec(1u32..50, 2..10)) {
            let balancer = RoundRobin::new(&weights);
            let turns = turns(&weights);
            let total: u64 = turns.iter().sum();
            let mut seen = vec![0u64; weights.len()];
            for (at, member) in balancer.cycle.iter().enumerate() {
                seen[*member as usize] += 1;
                // Never further from its share so far than one turn of each member.
                for (seen, turns) in seen.iter().zip(&turns) {
                    let share = (at as u64 + 1) * turns / total;
                    prop_assert!(seen.abs_diff(share) <= weights.len() as u64 + 1);
                }
            }
        }
    }
}
