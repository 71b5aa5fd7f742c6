//! Least connections: the member with the fewest requests for its weight.
use std::array;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Weak};

use super::round_robin::{gcd, units};
use super::{Balancer, Load, LoadListener, Member, Pick, Policy};

/// Children of a node of the tree: one cache line.
const WIDTH: usize = 8;

/// The key of nobody.
const NOBODY: u64 = u64::MAX;

/// Bits of a key for the turn, below those for the score.
const TURN_BITS: u32 = 20;
/// Turns until they are counted anew.
const TURNS: u32 = 1 << TURN_BITS;
const MAX_SCORE: u64 = (1 << (u64::BITS - TURN_BITS)) - 2;

/// The largest step that is exact. With it a member can have a million requests before scores are cut off.
const MAX_STEP: u64 = 1 << 24;

/// Least connections (upstream.md §3.3), the policy `least_conn`: the lowest (1 + requests in flight) / weight; among
/// several with the lowest the one whose last pick is longest ago.
///
/// A tournament of the members: each node of a tree holds the least key of its eight children, so a pick goes down from the
/// root by four lines of memory at 1,000 members, and a request that comes or goes brings the nodes above its member up to
/// date, as far as they change. There is no lock and no queue of changes: whoever changes a key brings its node up to date,
/// and whoever changes a node looks at it again until it is the least of its children, so when all have ended all nodes
/// are. That needs one order that all threads agree upon, hence `SeqCst`.
///
/// Members of weight 0 are not in it unless all have 0.
#[derive(Debug)]
pub struct LeastConn {
    leaves: Box<[Leaf]>,
    /// The leaves' keys, then the least of each line of them, and so on up to one line.
    levels: Box<[Box<[Line]>]>,
    /// Picks so far.
    turns: AtomicU32,
}

#[derive(Debug)]
struct Leaf {
    load: Arc<Load>,
    /// What one request adds to the score; 0 without weight.
    step: u64,
    /// When it was picked last.
    turn: AtomicU32,
}

/// Siblings.
#[derive(Debug)]
#[repr(align(64))]
struct Line([AtomicU64; WIDTH]);

impl LeastConn {
    /// A tournament of these members, that hears of their [loads](Member::load).
    pub fn new(members: &[Member]) -> Arc<Self> {
        let weights: Vec<_> = members.iter().map(|member| member.weight).collect();
        let leaves = members.iter().zip(steps(&units(&weights)));
        let leaves: Box<[Leaf]> = leaves
            .map(|(member, step)| Leaf { load: Arc::clone(&member.load), step, turn: AtomicU32::new(0) })
            .collect();
        let mut levels = vec![lines(leaves.iter().map(Leaf::key))];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            levels.push(lines(below.iter().map(Line::least)));
        }
        let tree = Arc::new(Self { leaves, levels: levels.into(), turns: AtomicU32::new(1) });
        for (index, member) in members.iter().enumerate() {
            let listener: Weak<Self> = Arc::downgrade(&tree);
            member.load.listen(listener, index);
            // What came before it listened.
            tree.changed(index);
        }
        tree
    }

    /// The factory of `least_conn`.
    pub(crate) fn build(members: &[Member], _: &Policy) -> Arc<dyn Balancer> {
        Self::new(members)
    }

    /// Puts a member behind its equals. That is part of its key when the request enters, which is next.
    fn take_turn(&self, leaf: &Leaf) {
        let turn = self.turns.fetch_add(1, SeqCst);
        leaf.turn.store(turn % TURNS, SeqCst);
        if turn.is_multiple_of(TURNS) {
            // The count begins anew, and so it does for all: who kept a high one would never be first among equals again.
            for (index, leaf) in self.leaves.iter().enumerate() {
                leaf.turn.store(0, SeqCst);
                self.changed(index);
            }
        } else if self.turns.load(SeqCst) / TURNS != turn / TURNS {
            // It began anew meanwhile.
            leaf.turn.store(0, SeqCst);
        }
    }

    /// Down from the root along the least keys.
    fn least(&self) -> Option<usize> {
        self.levels.iter().rev().try_fold(0, |line, level| {
            let (key, place) = level.get(line)?.first();
            (key != NOBODY).then_some(line * WIDTH + place)
        })
    }

    /// The least among those that are usable, one by one.
    fn least_usable(&self, pick: &Pick<'_>) -> Option<usize> {
        let keys = self.leaves.iter().map(Leaf::key).enumerate().filter(|(_, key)| *key != NOBODY);
        keys.filter(|(index, _)| pick.is_usable(*index)).min_by_key(|(_, key)| *key).map(|(index, _)| index)
    }
}

impl Balancer for LeastConn {
    fn pick(&self, pick: &Pick<'_>) -> Option<usize> {
        let picked = if pick.is_retry() { self.least_usable(pick) } else { self.least() }?;
        if let Some(leaf) = self.leaves.get(picked) {
            self.take_turn(leaf);
        }
        Some(picked)
    }

    fn counts_load(&self) -> bool {
        true
    }
}

impl LoadListener for LeastConn {
    fn changed(&self, index: usize) {
        let Some(leaf) = self.leaves.get(index) else { return };
        let mut below: Option<&Line> = None;
        let mut at = index;
        for level in &self.levels {
            let (line, place) = (at / WIDTH, at % WIDTH);
            let Some(siblings) = level.get(line) else { return };
            let Some(node) = siblings.0.get(place) else { return };
            if !update(node, || below.map_or_else(|| leaf.key(), Line::least)) {
                return;
            }
            below = Some(siblings);
            at = line;
        }
    }
}

/// Sets a node to what it should be, until it is; says whether this changed it.
fn update(node: &AtomicU64, due: impl Fn() -> u64) -> bool {
    let mut changed = false;
    loop {
        // In this order: what is due must not be older than what is there.
        let is = node.load(SeqCst);
        let due = due();
        if is == due {
            return changed;
        }
        changed |= node.compare_exchange(is, due, SeqCst, SeqCst).is_ok();
    }
}

impl Leaf {
    fn key(&self) -> u64 {
        if self.step == 0 {
            return NOBODY;
        }
        let score = (1 + u64::from(self.load.in_flight())).saturating_mul(self.step).min(MAX_SCORE);
        let turn = self.turn.load(SeqCst) % TURNS;
        score << TURN_BITS | u64::from(turn)
    }
}

impl Line {
    fn least(&self) -> u64 {
        self.first().0
    }

    /// The least key and its place.
    fn first(&self) -> (u64, usize) {
        let mut first = (NOBODY, 0);
        for (place, key) in self.0.iter().enumerate() {
            first = first.min((key.load(SeqCst), place));
        }
        first
    }
}

fn lines(keys: impl Iterator<Item = u64>) -> Box<[Line]> {
    let mut keys = keys.peekable();
    let mut lines = Vec::new();
    while keys.peek().is_some() {
        lines.push(Line(array::from_fn(|_| AtomicU64::new(keys.next().unwrap_or(NOBODY)))));
    }
    lines.into()
}

/// What a request adds to the score of each member, in proportion to 1 / weight.
///
/// Exact where the least common multiple of the weights is small enough, else to one part in 4,096.
fn steps(units: &[u64]) -> Vec<u64> {
    let least_common = units.iter().filter(|units| **units > 0).try_fold(1, |multiple, units| {
        let multiple = multiple / gcd(multiple, *units) * units;
        (multiple <= MAX_STEP).then_some(multiple)
    });
    let most = units.iter().max().copied().unwrap_or(1);
    let step = |units: &u64| match (*units, least_common) {
        (0, _) => 0,
        (units, Some(multiple)) => multiple / units,
        (units, None) => (most << 12) / units,
    };
    units.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use proptest::prelude::*;

    use super::*;

    fn members(weights: &[u32]) -> Vec<Member> {
        weights.iter().map(|weight| Member::new("m", *weight)).collect()
    }

    fn pick(balancer: &LeastConn, tried: &[usize]) -> Option<usize> {
        balancer.pick(&Pick::new(&http::Request::new(()).into_parts().0, None, tried))
    }

    /// Whether nobody has a lower score.
    fn is_least(members: &[Member], picked: usize) -> bool {
        let all_zero = members.iter().all(|member| member.weight == 0);
        let weight = |member: &Member| if all_zero { 1 } else { u64::from(member.weight) };
        let requests = |member: &Member| u64::from(member.load.in_flight()) + 1;
        let it = &members[picked];
        weight(it) > 0
            && members
                .iter()
                .filter(|other| weight(other) > 0)
                .all(|other| requests(it) * weight(other) <= requests(other) * weight(it))
    }

    #[test]
    fn turns_that_are_counted_anew_are_counted_anew_for_all() {
        let members = members(&[1; 3]);
        let balancer = LeastConn::new(&members);
        for before in [TURNS - 3, TURNS - 1, u32::MAX - 4] {
            balancer.turns.store(before, SeqCst);
            for index in 0..members.len() {
                balancer.leaves[index].turn.store(before % TURNS - 3 + index as u32, SeqCst);
                balancer.changed(index);
            }
            let mut counts = [0; 3];
            for _ in 0..30 {
                let picked = pick(&balancer, &[]).unwrap();
                counts[picked] += 1;
                drop(members[picked].load.enter());
            }
            assert!(counts.iter().all(|count| (8..=12).contains(count)), "{before}: {counts:?}");
        }
    }

    #[test]
    fn equals_take_turns() {
        let members = members(&[1; 20]);
        let balancer = LeastConn::new(&members);
        for _ in 0..3 {
            let picks: Vec<_> =
                members.iter().map(|_| pick(&balancer, &[]).map(|at| members[at].load.enter())).collect();
            assert!(picks.iter().all(Option::is_some));
            assert!(members.iter().all(|member| member.load.in_flight() == 1));
            drop(picks);
            let mut one_by_one: Vec<_> = members
                .iter()
                .map(|_| {
                    let at = pick(&balancer, &[]).unwrap();
                    drop(members[at].load.enter());
                    at
                })
                .collect();
            one_by_one.sort_unstable();
            assert_eq!(one_by_one, Vec::from_iter(0..20));
        }
    }

    #[test]
    fn requests_that_stay_are_shared_by_weight() {
        let members = members(&[3, 2, 1, 0]);
        let balancer = LeastConn::new(&members);
        let _busy: Vec<_> = (0..60).map(|_| members[pick(&balancer, &[]).unwrap()].load.enter()).collect();
        let counts: Vec<_> = members.iter().map(|member| member.load.in_flight()).collect();
        assert_eq!(counts, [30, 20, 10, 0]);
    }

    #[test]
    fn a_new_tree_knows_what_is_in_flight_and_hears_of_its_end() {
        let members = members(&[1, 1]);
        let before = LeastConn::new(&members);
        let busy: Vec<_> = (0..4).map(|_| members[0].load.enter()).collect();
        let balancer = LeastConn::new(&members);
        let _other = [members[1].load.enter(), members[1].load.enter()];
        assert_eq!(pick(&balancer, &[]), Some(1));
        drop(busy);
        assert_eq!((pick(&balancer, &[]), pick(&before, &[])), (Some(0), Some(0)));
    }

    #[test]
    fn a_tree_that_is_dropped_takes_no_word_from_the_one_in_use() {
        let members = members(&[1, 1]);
        let balancer = LeastConn::new(&members);
        drop(LeastConn::new(&members));
        let _busy = members[0].load.enter();
        let _second = members[1].load.enter();
        let _third = members[0].load.enter();
        assert_eq!(pick(&balancer, &[]), Some(1));
    }

    #[test]
    fn what_was_tried_is_not_picked() {
        let members = members(&[1, 5, 1, 0]);
        let balancer = LeastConn::new(&members);
        let _busy = members[0].load.enter();
        assert_eq!(pick(&balancer, &[1]), Some(2));
        assert_eq!(pick(&balancer, &[1, 2]), Some(0));
        assert_eq!(pick(&balancer, &[1, 2, 0]), None);
        assert_eq!(pick(&LeastConn::new(&[]), &[]), None);
    }

    #[test]
    fn weights_without_a_small_multiple_are_close() {
        let weights = [1_000_003, 999_983, 1];
        let steps = steps(&units(&weights));
        for (step, weight) in steps.iter().zip(weights) {
            let ratio = *step as f64 * f64::from(weight) / (steps[0] as f64 * f64::from(weights[0]));
            assert!((ratio - 1.0).abs() < 1.0 / 4096.0, "{steps:?}");
        }
        let members = members(&[u32::MAX, 1]);
        let balancer = LeastConn::new(&members);
        let _busy: Vec<_> = (0..1000).map(|_| members[0].load.enter()).collect();
        assert_eq!(pick(&balancer, &[]), Some(0));
    }

    #[test]
    fn an_exchange_that_was_too_late_is_mended() {
        // While one reads what is due, others make it something else and the node what it was when he began.
        let (node, looks) = (AtomicU64::new(7), AtomicU32::new(0));
        let due = || if looks.fetch_add(1, SeqCst) == 0 { 5 } else { 7 };
        assert!(update(&node, due));
        assert_eq!(node.load(SeqCst), 7);
        assert!(!update(&node, || 7));
    }

    proptest! {
        #[test]
        fn the_least_is_picked_whatever_came_before(
            weights in prop::collection::vec(0_u32..12, 1..80),
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..200),
        ) {
            let members = members(&weights);
            let balancer = LeastConn::new(&members);
            let mut busy = Vec::new();
            for (comes, which) in steps {
                if comes || busy.is_empty() {
                    let picked = pick(&balancer, &[]).unwrap();
                    prop_assert!(is_least(&members, picked));
                    busy.push(members[picked].load.enter());
                } else {
                    busy.swap_remove(which.index(busy.len()));
                }
            }
        }
    }

    fn is_settled(balancer: &LeastConn) -> bool {
        let above = balancer.levels.iter().skip(1);
        balancer.levels.iter().zip(above).all(|(level, above)| {
            level.iter().enumerate().all(|(at, line)| line.least() == above[at / WIDTH].0[at % WIDTH].load(SeqCst))
        })
    }

    #[test]
    fn when_threads_are_done_every_node_is_the_least_of_its_children() {
        const THREADS: usize = 4;
        let members = members(&[1, 2, 3].repeat(31));
        let balancer = LeastConn::new(&members);
        for round in 0..100 {
            let barrier = Barrier::new(THREADS + 1);
            let right = std::thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (members, balancer, barrier) = (&members, &balancer, &barrier);
                    scope.spawn(move || {
                        let mut busy = Vec::new();
                        barrier.wait();
                        for step in 0..50 {
                            busy.push(members[pick(balancer, &[]).unwrap()].load.enter());
                            if (step + thread + round) % 3 > 0 {
                                busy.swap_remove(step % busy.len());
                            }
                        }
                        barrier.wait();
                        // Some requests stay until it has been looked at the tree.
                        barrier.wait();
                    });
                }
                barrier.wait();
                barrier.wait();
                let right = is_settled(&balancer) && is_least(&members, pick(&balancer, &[]).unwrap());
                barrier.wait();
                right
            });
            assert!(right, "{balancer:?}");
            assert!(is_settled(&balancer) && members.iter().all(|member| member.load.in_flight() == 0));
        }
    }
}
