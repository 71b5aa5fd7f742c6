//! Two random members, and of them the faster one.
use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::latency::Score;
use super::{Balancer, Load, Member, Pick, Policy};

/// Peers by decayed latency, the better of two random ones (upstream.md §3.4), the policy `ewma`.
///
/// Weights don't count, except that members of weight 0 are left out unless all have 0. Two, not all: the best of all would
/// be where every request goes until its latency shows.
#[derive(Debug)]
pub struct Ewma {
    candidates: Box<[Candidate]>,
}

#[derive(Debug)]
struct Candidate {
    index: usize,
    load: Arc<Load>,
    /// When its clock began, in milliseconds since the first one's did.
    began: u32,
}

impl Ewma {
    /// Chooses among these members, by their [loads](Member::load).
    pub fn new(members: &[Member]) -> Self {
        let all_zero = members.iter().all(|member| member.weight == 0);
        let first = members.iter().map(|member| member.load.latency().began()).min();
        let candidates = members.iter().enumerate().filter(|(_, member)| all_zero || member.weight > 0);
        let candidates = candidates.map(|(index, member)| {
            let began = member.load.latency().began();
            let since_first = first.map_or(0, |first| began.saturating_duration_since(first).as_millis() as u32);
            Candidate { index, load: Arc::clone(&member.load), began: since_first }
        });
        Self { candidates: candidates.collect() }
    }

    /// The factory of `ewma`.
    pub(crate) fn build(members: &[Member], _: &Policy) -> Arc<dyn Balancer> {
        Arc::new(Self::new(members))
    }
}

impl Balancer for Ewma {
    fn pick(&self, pick: &Pick<'_>) -> Option<usize> {
        if !pick.is_retry() {
            let (one, other) = two_of(self.candidates.len(), random())?;
            return faster(self.candidates.get(one)?, self.candidates.get(other)?);
        }
        let usable = || self.candidates.iter().filter(|candidate| pick.is_usable(candidate.index));
        let (one, other) = two_of(usable().count(), random())?;
        faster(usable().nth(one)?, usable().nth(other)?)
    }

    fn heeds_latency(&self) -> bool {
        true
    }
}

fn faster(one: &Candidate, other: &Candidate) -> Option<usize> {
    let score = |candidate: &Candidate| -> Score { candidate.load.latency().score() };
    let below = score(other).is_below(score(one), one.began.wrapping_sub(other.began));
    Some(if below { other.index } else { one.index })
}

/// Two distinct numbers below `count`, each pair as likely as any other; the same twice if there is one only.
fn two_of(count: usize, random: u64) -> Option<(usize, usize)> {
    let below = |random: u64, bound: usize| (((random & 0xffff_ffff) * bound as u64) >> 32) as usize;
    if count < 2 {
        return (count == 1).then_some((0, 0));
    }
    let one = below(random, count);
    let other = below(random >> 32, count - 1);
    Some((one, if other >= one { other + 1 } else { other }))
}

/// Random enough to spread requests (SplitMix64), of a state that no other thread touches.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0_u8));
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    super::ring::mix(state)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    fn picks(balancer: &Ewma, tried: &[usize], picks: usize) -> Vec<usize> {
        let parts = http::Request::new(()).into_parts().0;
        let mut counts = vec![0; 8];
        for index in (0..picks).filter_map(|_| balancer.pick(&Pick::new(&parts, None, tried))) {
            counts[index] += 1;
        }
        counts
    }

    fn members(latencies: &[u64]) -> Vec<Member> {
        let members: Vec<_> = latencies.iter().map(|_| Member::new("m", 1)).collect();
        let now = Instant::now();
        for (member, latency) in members.iter().zip(latencies) {
            member.load.latency().record(Duration::from_millis(*latency), now);
        }
        members
    }

    #[test]
    fn of_two_the_faster_one_is_picked() {
        let balancer = Ewma::new(&members(&[20, 10]));
        assert_eq!(picks(&balancer, &[], 100)[..2], [0, 100]);
        assert_eq!(picks(&balancer, &[1], 100)[..2], [100, 0]);
        assert_eq!(picks(&balancer, &[0, 1], 100)[..2], [0, 0]);
    }

    #[test]
    fn the_slowest_of_several_is_never_picked_and_the_rest_share() {
        let balancer = Ewma::new(&members(&[40, 30, 20, 10]));
        let counts = picks(&balancer, &[], 60_000);
        // A member wins the pairs in which the other one is slower: 0, 1, 2 and 3 of 6.
        for (count, pairs) in counts.iter().zip([0_usize, 1, 2, 3]) {
            assert!(count.abs_diff(pairs * 10_000) < 600, "{counts:?}");
        }
    }

    #[test]
    fn weight_0_is_left_out_unless_all_have_it() {
        let weighted = |weights: &[u32]| {
            let members: Vec<_> = weights.iter().map(|weight| Member::new("m", *weight)).collect();
            picks(&Ewma::new(&members), &[], 1000)
        };
        let counts = weighted(&[0, 7, 1]);
        assert!(counts[0] == 0 && counts[1] > 300 && counts[2] > 300, "{counts:?}");
        let counts = weighted(&[0, 0]);
        assert!(counts[0] > 300 && counts[1] > 300, "{counts:?}");
        assert_eq!(weighted(&[1])[0], 1000);
        assert_eq!(weighted(&[]), [0; 8]);
    }

    #[test]
    fn pairs_are_distinct_and_even() {
        let mut counts = [[0_usize; 5]; 5];
        for _ in 0..100_000 {
            let (one, other) = two_of(5, random()).unwrap();
            counts[one][other] += 1;
        }
        for (one, row) in counts.iter().enumerate() {
            for (other, count) in row.iter().enumerate() {
                let expected = if one == other { 0 } else { 5_000 };
                assert!(count.abs_diff(expected) < 500, "{counts:?}");
            }
        }
    }
}
