//! What is kept, by key, within a weight: what is asked for least goes first.
use std::hash::RandomState;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderName};
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::fetches::{Fetches, Fetching};
use super::key::CacheKey;
use super::slot::Slot;
use super::urls::Urls;

/// Something that is kept.
pub(super) trait Entry: Clone + Send + Sync + 'static {
    /// The bytes that it takes of the zone.
    fn weight(&self) -> u64;
}

/// The table of a zone.
pub(super) struct Index<E: Entry> {
    slots: Cache<CacheKey, Slot<E>, Weigh, RandomState, Gather>,
    /// One for each 64th of the URLs: held while a slot of one of them is changed.
    stripes: [Mutex<Stripe>; STRIPES],
}

/// What is known of URLs beside what is kept of them.
#[derive(Debug, Default)]
struct Stripe {
    fetches: Fetches,
    urls: Urls,
}

const STRIPES: usize = 64;
/// One shard for so many bytes: a lock of its own, and an equal share of the room.
const SHARD: u64 = 256 << 20;
/// What a slot takes beside what is kept in it: its place in the table and among the keys of its URL, and what the table notes of
/// keys that went.
const SLOT: u64 = 112;

/// What a byte of memory weighs: one, or where answers lie on disk as much more as the disk has more room.
#[derive(Clone)]
struct Weigh {
    memory: u64,
}

impl<E: Entry> Weighter<CacheKey, Slot<E>> for Weigh {
    fn weight(&self, _: &CacheKey, slot: &Slot<E>) -> u64 {
        (SLOT + slot.weight()).max((SLOT + slot.upkeep()).saturating_mul(self.memory))
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
        Self::with(capacity, Weigh { memory: 1 })
    }

    /// An empty table of so many bytes on disk, which itself takes about so many bytes of memory at most.
    pub(super) fn on_disk(capacity: u64, memory: u64) -> Self {
        Self::with(capacity, Weigh { memory: capacity.div_ceil(memory.max(1)) })
    }

    fn with(capacity: u64, weigh: Weigh) -> Self {
        let shards = usize::try_from(capacity / SHARD).unwrap_or(1).clamp(1, 16);
        let slots = OptionsBuilder::new()
            .shards(shards)
            .weight_capacity(capacity)
            // only for how many keys that went are remembered
            .estimated_items_capacity(usize::try_from(capacity / 16_384).unwrap_or(usize::MAX).clamp(1024, 1 << 20))
            .build()
            .map(|options| Cache::with_options(options, weigh.clone(), RandomState::new(), Gather));
        // Nothing but numbers that were not given can be missing.
        let slots = slots.unwrap_or_else(|_| Cache::with(1024, capacity, weigh, RandomState::new(), Gather));
        Self { slots, stripes: std::array::from_fn(|_| Mutex::default()) }
    }

    /// The heaviest entry that is kept: a quarter of a shard, so that one answer does not drive out everything else.
    pub(super) fn heaviest(&self) -> u64 {
        self.slots.shard_capacity() / 4
    }

    pub(super) fn get(&self, key: &CacheKey) -> Option<Slot<E>> {
        self.slots.get(key)
    }

    /// Begins a fetch; see [`Index::put`].
    pub(super) fn fetching(&self, key: &CacheKey) -> Fetching {
        self.stripe(key).fetches.begin(key.url())
    }

    /// Keeps an answer, and gives what had to go. `Err`: since its fetch began somebody has taken things out, and this
    /// answer may be one of those that he meant.
    pub(super) fn put(
        &self,
        key: CacheKey,
        names: &[HeaderName],
        variant: u64,
        entry: E,
        fetching: &Fetching,
    ) -> Result<Gone<E>, E> {
        let mut stripe = self.stripe(&key);
        if fetching.is_overtaken() {
            return Err(entry);
        }
        let before = self.slots.peek(&key);
        // With twice the heaviest there is always room for one more.
        let (slot, replaced) = Slot::with(before.as_ref(), names, variant, entry, self.heaviest() * 2);
        let (is_kept, evicted) = self.insert(&mut stripe, key, slot);
        drop(stripe);
        self.forget(&evicted);
        Ok(Gone { is_kept, evicted, replaced: replaced.into_iter().map(|entry| (key, entry)).collect() })
    }

    /// Puts a slot in the place of the key's own, and gives what had to go for want of room, perhaps the slot itself.
    fn insert(&self, stripe: &mut Stripe, key: CacheKey, slot: Slot<E>) -> (bool, Vec<(CacheKey, E)>) {
        let mut evicted = Vec::new();
        self.slots.insert_with_lifecycle(key, slot.clone(), &mut evicted);
        // The slot that was there before is named too; most of what stood in it stands in the new one.
        evicted.retain(|(other, _)| *other != key);
        let is_kept = self.slots.peek(&key).is_some();
        if is_kept {
            stripe.urls.add(key);
        } else {
            evicted.push((key, slot));
        }
        let entries = evicted.iter().flat_map(|(key, slot)| slot.entries().map(|entry| (*key, entry.clone())));
        (is_kept, entries.collect())
    }

    /// Forgets that there were keys of what went. Not to be asked with a stripe held.
    fn forget(&self, evicted: &[(CacheKey, E)]) {
        for (key, _) in evicted {
            let mut stripe = self.stripe(key);
            // It may be there again.
            if self.slots.peek(key).is_none() {
                stripe.urls.forget(key);
            }
        }
    }

    /// Whether anything is kept of the URL of a key.
    pub(super) fn has_of_url(&self, key: &CacheKey) -> bool {
        self.stripe(key).urls.of(key).next().is_some()
    }

    /// Takes everything out that stands under the keys of a key's URL.
    pub(super) fn remove(&self, key: &CacheKey) -> Vec<(CacheKey, E)> {
        let mut stripe = self.stripe(key);
        stripe.fetches.overtake(key.url());
        let gone = stripe.urls.take(key).into_iter().filter_map(|key| self.slots.remove(&key));
        gone.flat_map(|(key, slot)| slot.entries().map(|entry| (key, entry.clone())).collect::<Vec<_>>()).collect()
    }

    /// Takes single answers out, and gives what had to go beside them.
    pub(super) fn drop_where(&self, key: &CacheKey, is_gone: impl Fn(&E) -> bool) -> Vec<(CacheKey, E)> {
        let mut stripe = self.stripe(key);
        let evicted = match self.slots.peek(key).map(|slot| slot.without(is_gone)) {
            Some(Some(rest)) => self.insert(&mut stripe, *key, rest).1,
            Some(None) => {
                self.slots.remove(key);
                stripe.urls.forget(key);
                Vec::new()
            }
            None => Vec::new(),
        };
        drop(stripe);
        self.forget(&evicted);
        evicted
    }

    /// Keys, and bytes.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.slots.len(), self.slots.weight())
    }

    fn stripe(&self, key: &CacheKey) -> MutexGuard<'_, Stripe> {
        let [first, ..] = key.as_bytes();
        let stripe = self.stripes.get(usize::from(*first) % STRIPES).unwrap_or(&self.stripes[0]);
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What had to go for something new.
#[derive(Debug)]
pub(super) struct Gone<E> {
    /// Whether the new one is there.
    pub(super) is_kept: bool,
    /// For want of room; the new one itself where it was too heavy.
    pub(super) evicted: Vec<(CacheKey, E)>,
    /// Because the new answer stands in its place, or is one of too many of its URL.
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
        index.put(key(number), &[], 0, Weighty(weight), &index.fetching(&key(number))).unwrap()
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
    fn a_table_of_files_stays_within_its_memory_too() {
        for (capacity, memory, least, most) in [(1 << 30, 50 << 20, 9000, 10_000), (1 << 30, 1 << 20, 5000, 9363)] {
            let index = Index::on_disk(capacity, memory);
            for number in 0..10_000 {
                put(&index, number, 4096);
            }
            let kept = index.size().0;
            assert!(kept >= least && kept <= most, "{memory}: {kept}");
        }
    }

    #[test]
    fn what_was_taken_out_meanwhile_is_not_put_in() {
        let index = Index::new(1 << 20);
        let before = index.fetching(&key(1));
        put(&index, 1, 1);
        assert_eq!(index.remove(&key(1)), [(key(1), Weighty(1))]);
        assert_eq!(index.put(key(1), &[], 0, Weighty(2), &before).unwrap_err(), Weighty(2));
        assert!(index.get(&key(1)).is_none());
    }

    #[test]
    fn of_several_answers_none_goes_when_another_comes() {
        let index = Index::new(1 << 20);
        let keep = |variant, weight| {
            let entry = Weighty(weight);
            index.put(key(1), &[http::header::ACCEPT], variant, entry, &index.fetching(&key(1))).unwrap()
        };
        for (variant, replaced) in [(1, None), (2, None), (3, None), (2, Some(2))] {
            let gone = keep(variant, variant);
            assert!(gone.is_kept && gone.evicted.is_empty(), "{gone:?}");
            assert_eq!(gone.replaced, replaced.map(|weight| (key(1), Weighty(weight))).into_iter().collect::<Vec<_>>());
        }
        assert!(index.drop_where(&key(1), |entry| entry.0 == 3).is_empty());
        assert_eq!(index.get(&key(1)).unwrap().entries().count(), 2);
    }

    #[test]
    fn of_several_large_answers_the_oldest_go_and_not_all() {
        let index = Index::new(1 << 20);
        let large = index.heaviest() - 200;
        for number in 1..20 {
            let key = key(1);
            let entry = Weighty(large + number);
            let gone = index.put(key, &[http::header::ACCEPT], number, entry, &index.fetching(&key)).unwrap();
            assert!(gone.is_kept && gone.evicted.is_empty(), "{gone:?}");
            let left: Vec<_> = index.get(&key).unwrap().entries().map(|entry| entry.0 - large).collect();
            assert_eq!(left, if number == 1 { vec![1] } else { vec![number - 1, number] });
            assert_eq!(gone.replaced.len(), usize::from(number > 2));
        }
        // one that is too heavy by itself goes by itself
        let gone = index.put(key(2), &[], 0, Weighty(2 << 20), &index.fetching(&key(2))).unwrap();
        assert_eq!((gone.is_kept, gone.evicted), (false, vec![(key(2), Weighty(2 << 20))]));
    }

    #[test]
    fn a_removal_voids_fetches_of_its_own_url_alone() {
        let index = Index::new(1 << 20);
        let numbers: Vec<_> = (0..1000).collect();
        let begun: Vec<_> = numbers.iter().map(|number| index.fetching(&key(*number))).collect();
        assert!(index.remove(&key(0)).is_empty());
        let kept = numbers.iter().zip(&begun).filter(|(number, fetching)| {
            index.put(key(**number), &[], 0, Weighty(1), fetching).is_ok_and(|gone| gone.is_kept)
        });
        assert_eq!(kept.count(), 999);
    }

    fn own(number: u32, caller: u32) -> CacheKey {
        KeyBuilder::default().part(&number.to_le_bytes()).end_url().part(&caller.to_le_bytes()).finish()
    }

    #[test]
    fn a_removal_takes_all_answers_of_the_url() {
        let index = Index::new(1 << 20);
        let keep = |key: CacheKey| index.put(key, &[], 0, Weighty(1), &index.fetching(&key)).unwrap();
        let begun = index.fetching(&own(1, 9));
        for caller in 0..3 {
            keep(own(1, caller));
            keep(own(2, caller));
        }
        keep(key(1));
        assert!(index.has_of_url(&own(1, 7)));
        assert_eq!(index.remove(&own(1, 7)).len(), 4);
        assert!(!index.has_of_url(&own(1, 0)) && index.has_of_url(&key(2)));
        assert!(index.put(own(1, 9), &[], 0, Weighty(1), &begun).is_err());
        keep(own(2, 3));
        index.drop_where(&own(2, 3), |_| true);
        assert_eq!((index.size().0, index.remove(&key(2)).len(), index.size().0), (3, 3, 0));
    }

    #[test]
    fn keys_that_go_for_want_of_room_leave_nothing_behind() {
        let index = Index::new(1 << 16);
        let known = || index.stripes.iter().map(|stripe| stripe.lock().unwrap().urls.count()).sum::<usize>();
        for number in 0..1000 {
            let key = own(number % 10, number);
            index.put(key, &[], 0, Weighty(1000), &index.fetching(&key)).unwrap();
            assert_eq!(known(), index.size().0);
        }
        assert!(index.size().0 < 100);
    }
}
