//! What is kept, by key, within a weight: what is asked for least goes first.
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::key::{CacheKey, KeyHashing};
use super::slot::Slot;

/// Something that is kept.
pub(super) trait Entry: Clone + Send + Sync + 'static {
    /// The bytes that it takes of the zone.
    fn weight(&self) -> u64;
}

/// The table of a zone.
pub(super) struct Index<E: Entry> {
    slots: Cache<CacheKey, Slot<E>, Weigh, KeyHashing, Gather>,
    /// One for each 64th of the keys: held while a slot is changed, with how often anything was taken out.
    stripes: [Mutex<u32>; STRIPES],
}

const STRIPES: usize = 64;
/// One shard for so many bytes: a lock of its own, and an equal share of the room.
const SHARD: u64 = 256 << 20;
/// What a slot takes beside what is kept in it: its place in the table, and what the table notes of keys that went.
const SLOT: u64 = 112;
/// What a variant takes beside itself.
const VARIANT: u64 = 32;

#[derive(Clone)]
struct Weigh;

impl<E: Entry> Weighter<CacheKey, Slot<E>> for Weigh {
    fn weight(&self, _: &CacheKey, slot: &Slot<E>) -> u64 {
        slot.entries().fold(SLOT, |sum, entry| sum + entry.weight() + VARIANT)
    }
}

/// Gathers what has to go.
#[derive(Clone)]
struct Gather;

impl<E: Entry> Lifecycle<CacheKey, Slot<E>> for Gather {
    type RequestState = Vec<(CacheKey, Slot<E>)>;

    fn on_evict(&self, gone: &mut Self::RequestState, key: CacheKey, slot: Slot<E>) {
        gone.push((key, slot));
    }
}

impl<E: Entry> Index<E> {
    /// An empty table of so many bytes.
    pub(super) fn new(capacity: u64) -> Self {
        let shards = usize::try_from(capacity / SHARD).unwrap_or(1).clamp(1, 16);
        let slots = OptionsBuilder::new()
            .shards(shards)
            .weight_capacity(capacity)
            // only for how many keys that went are remembered
            .estimated_items_capacity(usize::try_from(capacity / 16_384).unwrap_or(usize::MAX).clamp(1024, 1 << 20))
            .build()
            .map(|options| Cache::with_options(options, Weigh, KeyHashing::default(), Gather));
        // Nothing but numbers that were not given can be missing.
        let slots = slots.unwrap_or_else(|_| Cache::with(1024, capacity, Weigh, KeyHashing::default(), Gather));
        Self { slots, stripes: [const { Mutex::new(0) }; STRIPES] }
    }

    /// The heaviest entry that is kept: a quarter of a shard, so that one answer does not drive out everything else.
    pub(super) fn heaviest(&self) -> u64 {
        self.slots.shard_capacity() / 4
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<Slot<E>> {
        self.slots.get(key)
    }

    /// How often something was taken out among the keys that this one is one of; see [`Index::put`].
    pub(super) fn removals(&self, key: &CacheKey) -> u32 {
        *self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer, and gives what had to go. `Err`: since `removals` were counted somebody has taken things out, and this
    /// answer may be one of those that he meant.
    pub(super) fn put(
        &self,
        key: CacheKey,
        names: &[HeaderName],
        variant: u64,
        entry: E,
        removals: u32,
    ) -> Result<Gone<E>, E> {
        let stripe = self.stripe(&key).lock().unwrap_or_else(PoisonError::into_inner);
        if *stripe != removals {
            return Err(entry);
        }
        let before = self.slots.peek(&key);
        let (slot, replaced) = Slot::with(before.as_ref(), names, variant, entry);
        let mut evicted = Vec::new();
        self.slots.insert_with_lifecycle(key, slot, &mut evicted);
        drop(stripe);
        let gone = evicted.iter().flat_map(|(key, slot)| slot.entries().map(|entry| (*key, entry.clone())));
        Ok(Gone { evicted: gone.collect(), replaced: replaced.into_iter().map(|entry| (key, entry)).collect() })
    }

    /// Notes that the key's answers are not kept, unless one is.
    pub(super) fn refuse(&self, key: CacheKey, until: u64) {
        let _stripe = self.stripe(&key).lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(self.slots.peek(&key), Some(Slot::One(_) | Slot::Many(_))) {
            self.slots.insert(key, Slot::Refused(until));
        }
    }

    /// Takes everything out that stands under a key.
    pub(super) fn remove(&self, key: &CacheKey) -> Vec<E> {
        let mut removals = self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner);
        *removals = removals.wrapping_add(1);
        let gone = self.slots.remove(key);
        gone.map(|(_, slot)| slot.entries().cloned().collect()).unwrap_or_default()
    }

    /// Takes single answers out.
    pub(super) fn drop_where(&self, key: &CacheKey, is_gone: impl Fn(&E) -> bool) {
        let _stripe = self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner);
        match self.slots.peek(key).map(|slot| slot.without(is_gone)) {
            Some(Some(rest)) => self.slots.insert(*key, rest),
            Some(None) => drop(self.slots.remove(key)),
            None => {}
        }
    }

    /// Keys, and bytes.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.slots.len(), self.slots.weight())
    }

    fn stripe(&self, key: &CacheKey) -> &Mutex<u32> {
        let [first, ..] = key.as_bytes();
        self.stripes.get(usize::from(*first) % STRIPES).unwrap_or(&self.stripes[0])
    }
}

/// What had to go for something new.
#[derive(Debug)]
pub(super) struct Gone<E> {
    /// For want of room.
    pub(super) evicted: Vec<(CacheKey, E)>,
    /// Because the new answer stands in its place.
    pub(super) replaced: Vec<(CacheKey, E)>,
}

impl<E: Entry> Index<E> {
    /// As [`Slot::find`], with what `variant` the request asks for where nothing answers it.
    pub(super) fn find(&self, key: &CacheKey, request: &HeaderMap, now: u64) -> Looked<E> {
        match self.slots.get(key) {
            None => Looked::Missing(0),
            Some(Slot::Refused(until)) if until > now => Looked::Refused,
            Some(slot) => match slot.find(request) {
                Some(entry) => Looked::Kept(entry.clone()),
                None => Looked::Missing(slot.variant(request)),
            },
        }
    }
}

/// What a look into the table finds.
#[derive(Debug)]
pub(super) enum Looked<E> {
    Kept(E),
    /// Nothing, for this variant.
    Missing(u64),
    Refused,
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyBuilder;
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Weighty(u64);

    impl Entry for Weighty {
        fn weight(&self) -> u64 {
            self.0
        }
    }

    fn key(number: u32) -> CacheKey {
        KeyBuilder::default().part(&number.to_le_bytes()).finish()
    }

    fn put(index: &Index<Weighty>, number: u32, weight: u64) -> Gone<Weighty> {
        index.put(key(number), &[], 0, Weighty(weight), index.removals(&key(number))).unwrap()
    }

    #[test]
    fn it_stays_within_its_weight_and_names_what_goes() {
        let index = Index::new(1 << 20);
        let mut gone = 0;
        for number in 0..1000 {
            gone += put(&index, number, 10_000).evicted.len();
            assert!(index.size().1 <= 1 << 20);
        }
        assert_eq!(gone + index.size().0, 1000);
        assert!(index.size().0 > 90, "{:?}", index.size());
    }

    #[test]
    fn what_was_taken_out_meanwhile_is_not_put_in() {
        let index = Index::new(1 << 20);
        let before = index.removals(&key(1));
        put(&index, 1, 1);
        assert_eq!(index.remove(&key(1)), [Weighty(1)]);
        assert_eq!(index.put(key(1), &[], 0, Weighty(2), before).unwrap_err(), Weighty(2));
        assert!(index.get(&key(1)).is_none());
    }

    #[test]
    fn a_refusal_gives_way_to_what_is_kept() {
        let index = Index::new(1 << 20);
        index.refuse(key(1), 10);
        let found = |now| index.find(&key(1), &HeaderMap::new(), now);
        assert!(matches!(found(9), Looked::Refused) && matches!(found(10), Looked::Missing(0)));
        put(&index, 1, 1);
        index.refuse(key(1), 10);
        assert!(matches!(found(9), Looked::Kept(Weighty(1))));
        index.drop_where(&key(1), |entry| entry.0 == 1);
        assert!(matches!(found(9), Looked::Missing(0)));
    }
}
