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
        let (is_kept, evicted) = self.insert(key, slot);
        drop(stripe);
        Ok(Gone { is_kept, evicted, replaced: replaced.into_iter().map(|entry| (key, entry)).collect() })
    }

    /// Puts a slot in the place of the key's own, and gives what had to go for want of room, perhaps the slot itself.
    fn insert(&self, key: CacheKey, slot: Slot<E>) -> (bool, Vec<(CacheKey, E)>) {
        let mut evicted = Vec::new();
        self.slots.insert_with_lifecycle(key, slot.clone(), &mut evicted);
        // The slot that was there before is named too; most of what stood in it stands in the new one.
        evicted.retain(|(other, _)| *other != key);
        let is_kept = self.slots.peek(&key).is_some();
        if !is_kept {
            evicted.push((key, slot));
        }
        let entries = evicted.iter().flat_map(|(key, slot)| slot.entries().map(|entry| (*key, entry.clone())));
        (is_kept, entries.collect())
    }

    /// Takes everything out that stands under a key.
    pub(super) fn remove(&self, key: &CacheKey) -> Vec<E> {
        let mut removals = self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner);
        *removals = removals.wrapping_add(1);
        let gone = self.slots.remove(key);
        gone.map(|(_, slot)| slot.entries().cloned().collect()).unwrap_or_default()
    }

    /// Takes single answers out, and gives what had to go beside them.
    pub(super) fn drop_where(&self, key: &CacheKey, is_gone: impl Fn(&E) -> bool) -> Vec<(CacheKey, E)> {
        let _stripe = self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner);
        match self.slots.peek(key).map(|slot| slot.without(is_gone)) {
            Some(Some(rest)) => self.insert(*key, rest).1,
            Some(None) => {
                self.slots.remove(key);
                Vec::new()
            }
            None => Vec::new(),
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
    /// Whether the new one is there.
    pub(super) is_kept: bool,
    /// For want of room; the new one itself where it was too heavy.
    pub(super) evicted: Vec<(CacheKey, E)>,
    /// Because the new answer stands in its place.
    pub(super) replaced: Vec<(CacheKey, E)>,
}

impl<E: Entry> Index<E> {
    /// As [`Slot::find`], with what `variant` the request asks for where nothing answers it.
    pub(super) fn find(&self, key: &CacheKey, request: &HeaderMap) -> Looked<E> {
        match self.slots.get(key) {
            None => Looked::Missing(0),
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
    fn of_several_answers_none_goes_when_another_comes() {
        let index = Index::new(1 << 20);
        let keep = |variant, weight| {
            let entry = Weighty(weight);
            index.put(key(1), &[http::header::ACCEPT], variant, entry, index.removals(&key(1))).unwrap()
        };
        for (variant, replaced) in [(1, None), (2, None), (3, None), (2, Some(2))] {
            let gone = keep(variant, variant);
            assert!(gone.is_kept && gone.evicted.is_empty(), "{gone:?}");
            assert_eq!(gone.replaced, replaced.map(|weight| (key(1), Weighty(weight))).into_iter().collect::<Vec<_>>());
        }
        assert!(index.drop_where(&key(1), |entry| entry.0 == 3).is_empty());
        assert_eq!(index.get(&key(1)).unwrap().entries().count(), 2);
        // a slot that is too heavy goes with all that is in it
        let gone = keep(4, 2 << 20);
        let mut weights: Vec<_> = gone.evicted.iter().map(|(_, entry)| entry.0).collect();
        weights.sort_unstable();
        assert_eq!((gone.is_kept, weights), (false, vec![1, 2, 2 << 20]));
        assert!(index.get(&key(1)).is_none());
    }
}
