//! Consistent hashing: a key stays with its endpoint while others come and go.
use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use super::round_robin::units;
use super::{Balancer, BalancerFactory, HashKey, Member, Pick, Policy};

/// Points of one unit of weight.
const POINTS: u64 = 160;

/// About the most points that a ring has: 8 MiB. Halving them until they fit keeps the proportions, and moves nothing while
/// members come and go below the next halving.
const MAX_POINTS: u64 = 1 << 20;

/// So many points in a row are looked at for a usable member, then all members are.
const MAX_STEPS: usize = 256;

/// Bits of a point that say whose it is; those above are its place.
const OWNER_BITS: u32 = 24;
const OWNER: u64 = (1 << OWNER_BITS) - 1;

/// Weighted consistent hashing (upstream.md §3.2), the policy `chash`.
///
/// Each member owns points on a ring of hashes. A key has two places there and belongs to the point that follows closer on
/// one of them. The points come of the member's name alone: every process finds the same member for the same key, whatever
/// the order of the members. Who is not usable is passed over and the ring stays as it is, so no other key moves.
///
/// With one place the share of a member would be as uneven as the gaps before its points. Of two gaps the smaller one is
/// taken, which makes it as even as with three times the points: of 1,000 equal members the largest has 1.15 of its due
/// (with one place 1.24), and that is what moves when it goes.
#[derive(Debug)]
pub struct Ring {
    /// Place and owner, ascending.
    points: Box<[u64]>,
    /// For each beginning of a place the first point that has it or a higher one. Points are about as many as beginnings,
    /// so a search is one look here and a step or two there: two cache lines, where a binary search takes ten.
    starts: Box<[u32]>,
    shift: u32,
    /// Members that have points.
    owners: Box<[u32]>,
    hash: Option<HashKey>,
}

impl Ring {
    /// Lays out the points. Without a weight above 0 all members have as many. `hash` is what of a request is its key;
    /// without it, or where a request has none, the client's address is.
    pub fn new(members: &[Member], hash: Option<HashKey>) -> Self {
        let weights: Vec<_> = members.iter().map(|member| member.weight).collect();
        let counts = counts(&units(&weights));
        let total: u64 = counts.iter().sum();
        let shift = u64::BITS - total.max(2).ilog2();
        let places = || {
            members.iter().zip(&counts).zip(0..=OWNER).flat_map(|((member, count), owner)| {
                let seed = seed(member);
                (0..*count).map(move |point| place(seed, point) | owner)
            })
        };
        let beginning = |place: u64| (place >> shift) as usize;
        // A counting sort by the beginnings, which are what `starts` is, and then within each, which has one or two.
        let mut starts = vec![0_u32; (u64::MAX >> shift) as usize + 2];
        for point in places() {
            if let Some(next) = starts.get_mut(beginning(point) + 1) {
                *next += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut points = vec![0_u64; total as usize];
        let mut free = starts.clone();
        for point in places() {
            if let Some(free) = free.get_mut(beginning(point)) {
                if let Some(slot) = points.get_mut(*free as usize) {
                    *slot = point;
                }
                *free += 1;
            }
        }
        let name = |point: &u64| members.get((point & OWNER) as usize).map(|member| &member.name);
        for (from, to) in starts.iter().zip(starts.iter().skip(1)) {
            if let Some(range) = points.get_mut(*from as usize..*to as usize) {
                // By name where two meet: the order of the members must not matter.
                range.sort_unstable_by(|a, b| (a & !OWNER).cmp(&(b & !OWNER)).then_with(|| name(a).cmp(&name(b))));
            }
        }
        let owners = (0..).zip(&counts).filter(|(_, count)| **count > 0).map(|(owner, _)| owner).collect();
        Self { points: points.into(), starts: starts.into(), shift, owners, hash }
    }

    /// Which point a key belongs to.
    fn nearest(&self, key: u64) -> usize {
        let [(one, gap), (other, other_gap)] = [key, !key].map(|key| self.follows(mix(key)));
        if other_gap < gap { other } else { one }
    }

    /// The point that follows on a place, and the gap between.
    fn follows(&self, place: u64) -> (usize, u64) {
        let start = self.starts.get((place >> self.shift) as usize).map_or(0, |start| *start as usize);
        let behind = self.points.get(start..).unwrap_or_default();
        let (at, point) = match behind.iter().enumerate().find(|(_, point)| **point >= place) {
            Some((steps, point)) => (start + steps, point),
            None => (0, self.points.first().unwrap_or(&0)),
        };
        (at, point.wrapping_sub(place))
    }

    /// Whose point it is.
    fn owner(point: &u64) -> usize {
        (point & OWNER) as usize
    }
}

/// Makes rings: the factory of `chash`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RingFactory;

impl BalancerFactory for RingFactory {
    fn build(&self, members: &[Member], policy: &Policy) -> Arc<dyn Balancer> {
        Arc::new(Ring::new(members, policy.hash.clone()))
    }

    fn keeps_unusable(&self) -> bool {
        true
    }
}

impl Balancer for Ring {
    fn pick(&self, pick: &Pick<'_>) -> Option<usize> {
        let key = self.hash.as_ref().and_then(|hash| hash.of(pick.request, pick.client));
        let key = key.or_else(|| pick.client.map(hash_address)).unwrap_or_default();
        let (before, behind) = self.points.split_at_checked(self.nearest(key))?;
        let mut near = behind.iter().chain(before).map(Self::owner).take(MAX_STEPS);
        near.find(|member| pick.is_usable(*member)).or_else(|| {
            // Next to nobody is usable. Keys go to the few that are evenly, each to the same one always.
            let turn = usize::try_from(mix(!key)).unwrap_or(usize::MAX).checked_rem(self.owners.len())?;
            let (behind, from) = self.owners.split_at_checked(turn)?;
            from.iter().chain(behind).map(|owner| *owner as usize).find(|member| pick.is_usable(*member))
        })
    }
}

/// Hashes a part of a request to its key on a ring; the same in every process.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The key of a client.
fn hash_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => hash_bytes(&v4.octets()),
        IpAddr::V6(v6) => hash_bytes(&v6.octets()),
    }
}

/// Points of each member. None of weight, none on the ring.
fn counts(units: &[u64]) -> Vec<u64> {
    let total = units.iter().map(|units| u128::from(units * POINTS)).sum::<u128>();
    let halvings = (0..u64::BITS).find(|halvings| total >> halvings <= u128::from(MAX_POINTS)).unwrap_or(u64::BITS - 1);
    let count = |units: &u64| if *units == 0 { 0 } else { ((units * POINTS) >> halvings).max(1) };
    units.iter().map(count).collect()
}

/// What a member's points come of: its name, and its address where several have the name.
fn seed(member: &Member) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(member.name.as_bytes());
    if let Some(address) = member.address {
        hasher.write(&hash_address(address).to_le_bytes());
    }
    hasher.finish()
}

/// The place of a member's point. That of more points begins with those of fewer, so that a change of weight moves no more
/// than it must.
fn place(seed: u64, point: u64) -> u64 {
    mix(seed.wrapping_add(point.wrapping_mul(0x9e37_79b9_7f4a_7c15))) & !OWNER
}

/// A bijection that scatters (the finish of SplitMix64).
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(weights: &[u32]) -> Vec<Member> {
        let name = |at: usize| format!("10.0.{}.{}:80", at / 256, at % 256);
        weights.iter().enumerate().map(|(at, weight)| Member::new(name(at), *weight)).collect()
    }

    fn ring(weights: &[u32]) -> Ring {
        Ring::new(&members(weights), None)
    }

    fn owner(ring: &Ring, key: u64) -> usize {
        Ring::owner(&ring.points[ring.nearest(key)])
    }

    /// How much of all keys each member has, exactly: a gap of g is the smaller one of two as often as a second place has a
    /// larger one, or hits the same.
    fn shares(ring: &Ring, members: usize) -> Vec<f64> {
        let before = ring.points.iter().skip(ring.points.len() - 1).chain(&ring.points);
        let gaps: Vec<f64> =
            before.zip(&ring.points).map(|(from, to)| (to.wrapping_sub(*from)) as f64 / u64::MAX as f64).collect();
        let mut order: Vec<usize> = (0..gaps.len()).collect();
        order.sort_by(|a, b| gaps[*a].total_cmp(&gaps[*b]));
        // Of a place at distance x from its point, a second one is further with probability 1 - closer(x), where closer
        // is piecewise linear: the k-th smallest gap and all larger ones have room for x.
        let (mut shares, mut closer, mut from, mut each) = (vec![0.0; members], 0.0, 0.0, 0.0);
        for (rank, at) in order.iter().enumerate() {
            let (width, room) = (gaps[*at] - from, (gaps.len() - rank) as f64);
            let reached = closer + width * room;
            each += 2.0 * width * (1.0 - (closer + reached) / 2.0);
            (from, closer) = (gaps[*at], reached);
            shares[Ring::owner(&ring.points[*at])] += each;
        }
        shares
    }

    fn pick(ring: &Ring, client: u32, tried: &[usize]) -> Option<usize> {
        let parts = http::Request::new(()).into_parts().0;
        ring.pick(&Pick::new(&parts, Some(IpAddr::from(client.to_be_bytes())), tried))
    }

    #[test]
    fn removing_any_of_1000_moves_at_most_1_2_of_1000_keys() {
        let shares = shares(&ring(&[1; 1000]), 1000);
        let most = shares.iter().copied().fold(0.0, f64::max);
        assert!(most <= 1.2e-3, "{most}");
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn keys_of_those_that_stay_do_not_move() {
        let all = members(&[1; 1000]);
        let (before, gone) = (Ring::new(&all, None), 321);
        let mut fewer = all.clone();
        fewer.remove(gone);
        let after = Ring::new(&fewer, None);
        let mut moved = 0;
        for key in 0..200_000 {
            let (was, is) = (owner(&before, key), owner(&after, key));
            if was == gone {
                moved += 1;
            } else {
                assert_eq!(all[was].name, fewer[is].name);
            }
        }
        assert!((160..=240).contains(&moved), "{moved}");
    }

    #[test]
    fn the_same_in_every_process() {
        let ring = ring(&[1; 5]);
        let keys = (0..12).map(|user| format!("user-{user}"));
        let owners: Vec<_> = keys.map(|key| owner(&ring, hash_bytes(key.as_bytes()))).collect();
        assert_eq!(owners, [2, 4, 2, 3, 4, 0, 2, 2, 3, 3, 3, 3]);
    }

    #[test]
    fn addresses_of_one_name_are_different_members() {
        let mut two = vec![Member::new("a.test:80", 1), Member::new("a.test:80", 1)];
        two[0].address = Some(IpAddr::from([10, 0, 0, 1]));
        two[1].address = Some(IpAddr::from([10, 0, 0, 2]));
        let shares = shares(&Ring::new(&two, None), 2);
        assert!(shares.iter().all(|share| (0.45..0.55).contains(share)), "{shares:?}");
    }

    #[test]
    fn shares_go_by_weight_however_large() {
        for weights in [[3, 2, 1, 0], [30_000, 20_000, 10_000, 0], [3 << 30, 2 << 30, 1 << 30, 0]] {
            let shares = shares(&ring(&weights), 4);
            for (share, due) in shares.iter().zip([0.5, 0.333, 0.167, 0.0]) {
                assert!((share - due).abs() < 0.02, "{weights:?} {shares:?}");
            }
        }
        let huge = ring(&[u32::MAX, 1]);
        assert!(huge.points.len() as u64 <= MAX_POINTS + 1 && shares(&huge, 2)[1] > 0.0);
        let zeros = shares(&ring(&[0, 0]), 2);
        assert!(zeros.iter().all(|share| (0.45..0.55).contains(share)), "{zeros:?}");
    }

    #[test]
    fn the_next_one_takes_over_and_nobody_else_moves() {
        let ring = ring(&[1; 50]);
        let mut takers = [0; 50];
        for client in 0..5_000 {
            let first = pick(&ring, client, &[]).unwrap();
            let second = pick(&ring, client, &[first]).unwrap();
            assert_ne!(first, second);
            if first == 7 {
                takers[second] += 1;
            } else {
                assert_eq!(pick(&ring, client, &[7]), Some(first));
            }
        }
        // Not one neighbour but many share what it had.
        assert!(takers.iter().filter(|taken| **taken > 0).count() > 20, "{takers:?}");
    }

    #[test]
    fn one_that_is_left_of_many_is_found() {
        let ring = ring(&[1; 600]);
        let tried: Vec<_> = (0..600).filter(|member| *member != 477).collect();
        for client in 0..10 {
            assert_eq!(pick(&ring, client, &tried), Some(477));
        }
        assert_eq!(pick(&ring, 1, &Vec::from_iter(0..600)), None);
        assert_eq!(pick(&Ring::new(&[], None), 1, &[]), None);
    }

    #[test]
    fn few_that_are_left_share_what_there_is() {
        let ring = ring(&[1; 600]);
        let tried: Vec<_> = (0..600).filter(|member| member % 300 != 0).collect();
        let counts = (0..100).filter(|client| pick(&ring, *client, &tried) == Some(300)).count();
        assert!((30..70).contains(&counts), "{counts}");
    }

    proptest! {
        #[test]
        fn the_order_of_members_does_not_matter(
            weights in prop::collection::vec(0_u32..5, 1..20), by in 0_usize..20, keys in prop::collection::vec(any::<u64>(), 50),
        ) {
            let one = members(&weights);
            let mut other = one.clone();
            other.rotate_left(by % weights.len());
            let (ring, turned) = (Ring::new(&one, None), Ring::new(&other, None));
            for key in keys {
                prop_assert_eq!(&one[owner(&ring, key)].name, &other[owner(&turned, key)].name);
            }
        }

        #[test]
        fn the_search_finds_the_first_point_behind(
            weights in prop::collection::vec(0_u32..5, 1..20), keys in prop::collection::vec(any::<u64>(), 50),
        ) {
            let ring = ring(&weights);
            prop_assert!(ring.points.is_sorted());
            for key in keys {
                let first = ring.points.iter().position(|point| *point >= key).unwrap_or(0);
                prop_assert_eq!(ring.follows(key), (first, ring.points[first].wrapping_sub(key)));
            }
        }
    }
}
