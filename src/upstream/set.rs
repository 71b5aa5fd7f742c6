//! One generation of an upstream's endpoints.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use super::balance::{
    Affinity, AffinitySecret, BalancerFactory, Candidate, Groups, Member, Policy, Rank, SlowStart, scaled,
};
use super::config::UpstreamConfig;
use super::endpoint::Endpoint;
use super::node::{Node, Place};
use super::state::{EndpointState, StateKey, States};

/// The endpoints that an upstream has now, and who picks among them. It never changes: whatever changes what may be picked
/// makes another one, and a request uses the one that it began with for all of its attempts.
#[derive(Debug)]
pub(crate) struct EndpointSet {
    pub(crate) slots: Box<[Slot]>,
    pub(crate) groups: Groups,
    /// Sessions that stay with an endpoint, if they do.
    pub(crate) affinity: Option<Affinity>,
    /// There is none yet, but the look-up of a name may bring some.
    pub(crate) awaits_names: bool,
    /// So few are usable that all are used.
    pub(crate) panics: bool,
}

/// What the health of endpoints means to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heed {
    /// Nothing: nobody judges them.
    Nothing,
    /// Those that are not usable are left out, unless fewer than so many of 100 are usable (security.md HC-01).
    Usable(u8),
}

impl Heed {
    fn of(config: &UpstreamConfig) -> Self {
        if config.health.is_some() { Self::Usable(config.panic_threshold) } else { Self::Nothing }
    }

    fn panics(self, slots: &[Slot]) -> bool {
        let Self::Usable(threshold) = self else { return false };
        // Who gets no requests does not count, neither way.
        let counts = |slot: &&Slot| slot.member.weight > 0;
        let of = |slots: &mut dyn Iterator<Item = &Slot>| {
            slots.fold((0, 0), |(usable, all), slot| (usable + usize::from(slot.state.is_usable()), all + 1))
        };
        let (usable, all) = match of(&mut slots.iter().filter(counts)) {
            (_, 0) => of(&mut slots.iter()),
            counted => counted,
        };
        usable * 100 < all * usize::from(threshold)
    }
}

/// What holds for every set of an upstream.
pub(crate) struct Rules<'a> {
    pub(crate) config: &'a UpstreamConfig,
    pub(crate) factory: &'a dyn BalancerFactory,
    /// For cookies of sessions.
    pub(crate) secret: &'a AffinitySecret,
}

/// One endpoint of a set.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Its place in the set.
    pub(crate) index: usize,
    pub(crate) endpoint: Endpoint,
    pub(crate) member: Member,
    pub(crate) rank: Rank,
    pub(crate) state: Arc<EndpointState>,
}

impl Candidate for Slot {
    fn member(&self) -> &Member {
        &self.member
    }

    fn rank(&self) -> Rank {
        self.rank
    }

    fn state(&self) -> &Arc<EndpointState> {
        &self.state
    }
}

impl EndpointSet {
    /// The endpoints that `nodes` lead to now.
    pub(crate) fn new(nodes: &[Node], states: &States, rules: &Rules<'_>, before: Option<&Self>) -> Self {
        let places: Vec<(&Node, Place, u32)> = shares(nodes);
        let keys = places.iter().map(|(node, place, _)| StateKey {
            name: Arc::clone(place.endpoint.name()),
            address: place.address,
            priority: node.priority,
        });
        let states = states.of(keys.collect());
        let mut slots: Box<[Slot]> = places
            .into_iter()
            .zip(states)
            .enumerate()
            .map(|(index, ((node, place, weight), state))| Slot {
                index,
                member: Member {
                    name: Arc::clone(place.endpoint.name()),
                    address: place.address,
                    weight,
                    load: Arc::clone(state.load()),
                },
                rank: Rank::new(node.priority, place.choice),
                endpoint: place.endpoint,
                state,
            })
            .collect();
        if let Some(slow_start) = &rules.config.slow_start
            && !rules.factory.keeps_unusable()
        {
            slow_down(&mut slots, slow_start);
        }
        let heed = Heed::of(rules.config);
        let panics = heed.panics(&slots);
        let heed_health = heed != Heed::Nothing && !panics;
        let policy = Policy { hash: rules.config.hash.clone() };
        let groups = Groups::new(&slots, rules.factory, &policy, heed_health, before.map(|before| &before.groups));
        let affinity = rules.config.affinity.as_ref().map(|config| {
            let names = slots.iter().map(|slot| (&*slot.member.name, slot.member.address));
            Affinity::new(config, rules.secret, rules.config.key.as_str(), names)
        });
        let awaits_names = slots.is_empty() && nodes.iter().any(Node::is_pending);
        Self { slots, groups, affinity, awaits_names, panics }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The endpoint that the client of a request wants to come back to.
    pub(crate) fn wanted(&self, headers: &HeaderMap) -> Option<usize> {
        self.affinity.as_ref().and_then(|affinity| affinity.wanted(headers))
    }

    /// When the next endpoint that starts slowly gets more.
    pub(crate) fn next_step(&self, slow_start: &SlowStart) -> Option<Duration> {
        let now = Instant::now();
        self.slots.iter().filter_map(|slot| slow_start.next_step(slot.state.age(now)?)).min()
    }
}

/// Gives endpoints that have not been usable for long less than their weight.
fn slow_down(slots: &mut [Slot], slow_start: &SlowStart) {
    let now = Instant::now();
    let percent = |slot: &Slot| slot.state.age(now).map_or(100, |age| slow_start.percent(age));
    let weights: Vec<_> = slots.iter().map(|slot| (slot.member.weight, percent(slot))).collect();
    for (slot, weight) in slots.iter_mut().zip(scaled(&weights)) {
        slot.member.weight = weight;
    }
}

/// Every place with its weight. The places of a name share its weight (upstream.md §2): all weights are scaled to a common
/// multiple of the numbers of parts that nodes are divided into.
fn shares(nodes: &[Node]) -> Vec<(&Node, Place, u32)> {
    /// Beyond it shares are rounded: exactness is not worth a balancer's cycle of that many turns.
    const MOST: u64 = 5040;
    let mut divided = Vec::new();
    for node in nodes {
        let mut by_choice = BTreeMap::<_, Vec<_>>::new();
        for place in node.places() {
            by_choice.entry(place.choice).or_default().push(place);
        }
        divided.extend(by_choice.into_values().map(|places| (node, Parts::of(&places), places)));
    }
    let lcm = |a: u64, b: u64| a / gcd(a, b) * b;
    let scale = divided.iter().map(|(_, parts, _)| parts.sum).fold(1, |all, own| lcm(all, own).min(MOST));
    let heaviest = nodes.iter().map(|node| u64::from(node.weight)).max().unwrap_or(0);
    let shrink = (heaviest * scale).div_ceil(u64::from(u32::MAX)).max(1);
    let mut shares = Vec::new();
    for (node, parts, places) in divided {
        for (part, place) in parts.each.into_iter().zip(places) {
            let share = u128::from(u64::from(node.weight) * scale / shrink) * u128::from(part) / u128::from(parts.sum);
            // Who has a weight keeps one.
            let share = share.max(u128::from(node.weight > 0 && part > 0));
            shares.push((node, place, u32::try_from(share).unwrap_or(u32::MAX)));
        }
    }
    shares
}

/// The parts that places of the same choice have of their node's weight, by the smallest numbers that say so.
struct Parts {
    each: Vec<u64>,
    /// At least 1.
    sum: u64,
}

impl Parts {
    fn of(places: &[Place]) -> Self {
        let common = places.iter().fold(0, |all, place| gcd(all, place.weight.into()));
        // Without any weight all are alike.
        let part = |place: &Place| u64::from(place.weight).checked_div(common).unwrap_or(1);
        let each: Vec<_> = places.iter().map(part).collect();
        Self { sum: each.iter().sum::<u64>().max(1), each }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
