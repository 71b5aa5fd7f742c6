//! Counters of this process: many keys in bounded memory, each found, changed and forgotten in a short time.
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

use super::hash::{Key, Namespace, Secret};

/// State that ends by itself.
pub(crate) trait Expires: Default {
    /// The millisecond from which on the state is as good as a new one. One that moves back is forgotten
    /// when the time is over that it had first.
    fn until(&self) -> u64;
}

/// Keys of one store unless the host sets another bound (security.md PLG-04). At this bound a store of windows takes about
/// 80 MB.
pub(crate) const DEFAULT_BOUND: usize = 1 << 20;

/// As many locks, so that tasks that ask for different keys seldom meet, and no table is so large that its growth is felt.
const SHARDS: usize = 128;

/// How many states an operation looks at to see whether their time is over. Since it adds at most one, memory follows the
/// number of live keys, and no operation takes long.
const SWEEP: usize = 2;

/// How often at most an operation looks for the state closest to its end, when those that it finds have moved on.
const EVICT_TRIES: usize = 8;

/// Counters by key, at most a bounded number of them: when there are more, the one closest to its end goes (of its shard).
pub(crate) struct Store<T> {
    secret: Secret,
    shards: Box<[Mutex<Shard<T>>]>,
    evicted: AtomicU64,
}

impl<T: Expires> Default for Store<T> {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect();
        Self { secret: Secret::random(), shards, evicted: AtomicU64::new(0) }
    }
}

impl<T: Expires> Store<T> {
    /// The counters of one owner.
    pub(crate) fn namespace(&self, name: &[u8]) -> Namespace {
        self.secret.namespace(name)
    }

    /// How many states went before their time, because the store was full.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Relaxed)
    }

    /// How many states there are, those included whose time is over and which no operation has come upon yet.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).live()).sum()
    }

    /// Changes the state of a key under its lock; a key without a living state gets a new one. `change` must be short.
    ///
    /// `bound` is the caller's: so it is that of the block that counts, and one that was built to be judged only changes
    /// nothing. A lower one takes effect shard by shard, as they grow.
    pub(crate) fn update<R>(&self, bound: usize, key: Key, now: u64, change: impl FnOnce(&mut T) -> R) -> R {
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let at = key.0 as usize % SHARDS;
        let bound = (bound / SHARDS).clamp(1, MAX_SLOTS);
        match self.shards.get(at) {
            Some(shard) => {
                let (result, evicted) = lock(shard).update(key, now, bound, change);
                if evicted {
                    self.evicted.fetch_add(1, Relaxed);
                }
                result
            }
            // there is one for each remainder
            None => change(&mut T::default()),
        }
    }

    /// As [`Store::update`], for a key that has a living state; `None` for one that has none.
    pub(crate) fn visit<R>(&self, key: Key, now: u64, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let mut shard = lock(self.shards.get(key.0 as usize % SHARDS)?);
        let slot = shard.find(key).filter(|slot| slot.state.until() > now)?;
        Some(change(&mut slot.state))
    }
}

/// A state is whole after every operation, so that a panic in another thread does no harm to it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SLOT_BITS: u32 = 20;
const MAX_SLOTS: usize = 1 << SLOT_BITS;

/// When to look at a slot: the time in the upper bits, the slot in the lower ones. Every slot in use is in the queue once,
/// with a time that its state had at some point: the state's own time may have moved on since, never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due(u64);

impl Due {
    fn new(until: u64, slot: u32) -> Self {
        // 2^44 ms are 557 years
        Self(until.min(u64::MAX >> SLOT_BITS) << SLOT_BITS | u64::from(slot))
    }

    fn until(self) -> u64 {
        self.0 >> SLOT_BITS
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower 20 bits")]
    fn slot(self) -> u32 {
        (self.0 as u32) & (u32::MAX >> (32 - SLOT_BITS))
    }
}

struct Slot<T> {
    key: Key,
    state: T,
}

/// One part of a store: an index of slots by key, the slots, and a queue of them by time.
struct Shard<T> {
    index: HashTable<u32>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    queue: BinaryHeap<Reverse<Due>>,
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self { index: HashTable::new(), slots: Vec::new(), free: Vec::new(), queue: BinaryHeap::new() }
    }
}

impl<T: Expires> Shard<T> {
    fn live(&self) -> usize {
        self.index.len()
    }

    fn update<R>(&mut self, key: Key, now: u64, bound: usize, change: impl FnOnce(&mut T) -> R) -> (R, bool) {
        self.sweep(now);
        if let Some(slot) = self.find(key) {
            if slot.state.until() <= now {
                slot.state = T::default();
            }
            return (change(&mut slot.state), false);
        }
        let evicted = self.live() >= bound && self.evict();
        let mut state = T::default();
        let result = change(&mut state);
        self.insert(key, state);
        (result, evicted)
    }

    fn find(&mut self, key: Key) -> Option<&mut Slot<T>> {
        let slots = &self.slots;
        let found = self.index.find(key.1, |slot| slots.get(*slot as usize).is_some_and(|slot| slot.key == key));
        let slot = *found?;
        self.slots.get_mut(slot as usize)
    }

    fn insert(&mut self, key: Key, state: T) {
        let until = state.until();
        let slot = Slot { key, state };
        let at = match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.slots.get_mut(at as usize) {
                    *place = slot;
                }
                at
            }
            None => {
                self.slots.push(slot);
                // `bound` is at most `MAX_SLOTS`
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(key.1, at, |slot| slots.get(*slot as usize).map_or(0, |slot| slot.key.1));
        self.queue.push(Reverse(Due::new(until, at)));
    }

    /// Forgets some of the states whose time is over.
    fn sweep(&mut self, now: u64) {
        for _ in 0..SWEEP {
            match self.queue.peek() {
                Some(Reverse(due)) if due.until() <= now => self.pop_if(|until| until <= now),
                _ => return,
            };
        }
    }

    /// Forgets the state that is closest to its end.
    fn evict(&mut self) -> bool {
        for _ in 1..EVICT_TRIES {
            let Some(Reverse(due)) = self.queue.peek() else { return false };
            let recorded = due.until();
            if self.pop_if(|until| until <= recorded) {
                return true;
            }
        }
        self.pop_if(|_| true)
    }

    /// Takes the first of the queue: forgets its state if that is over, else puts it back with the time it has now.
    fn pop_if(&mut self, over: impl FnOnce(u64) -> bool) -> bool {
        let Some(Reverse(due)) = self.queue.pop() else { return false };
        let Some(slot) = self.slots.get(due.slot() as usize) else { return false };
        let until = slot.state.until().min(u64::MAX >> SLOT_BITS);
        if !over(until) {
            self.queue.push(Reverse(Due::new(until, due.slot())));
            return false;
        }
        let hash = slot.key.1;
        if let Ok(entry) = self.index.find_entry(hash, |at| *at == due.slot()) {
            entry.remove();
        }
        self.free.push(due.slot());
        if self.index.is_empty() {
            // gives the memory of a flood back
            *self = Self::default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// A counter that lives for a given time after its last use.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Used {
        until: u64,
        times: u64,
    }

    impl Expires for Used {
        fn until(&self) -> u64 {
            self.until
        }
    }

    impl Used {
        fn again(&mut self, until: u64) -> u64 {
            self.until = self.until.max(until);
            self.times += 1;
            self.times
        }
    }

    fn shard_keys(shard: &Shard<Used>) -> Vec<u64> {
        let used = shard.index.iter().map(|slot| shard.slots[*slot as usize].key.0);
        let mut keys: Vec<_> = used.collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn at_the_bound_the_one_closest_to_its_end_goes() {
        let mut shard = Shard::default();
        let mut put = |key: u64, until| shard.update(Key(key, key), 0, 3, |state: &mut Used| state.again(until)).1;
        assert!(!put(1, 50) && !put(2, 10) && !put(3, 30));
        // 2 lives longer than it seemed to
        assert!(!put(2, 90));
        assert!(put(4, 40));
        assert_eq!(shard_keys(&shard), [1, 2, 4]);
    }

    #[test]
    fn what_is_over_is_forgotten_a_little_at_a_time() {
        let mut shard = Shard::default();
        for key in 0..10 {
            shard.update(Key(key, key), 0, 100, |state: &mut Used| state.again(10));
        }
        shard.update(Key(99, 99), 10, 100, |state| state.again(20));
        assert_eq!(shard.live(), 9);
        for _ in 0..4 {
            shard.update(Key(99, 99), 11, 100, |state| state.again(20));
        }
        assert_eq!(shard_keys(&shard), [99]);
        shard.update(Key(7, 7), 20, 100, |state| state.again(30));
        assert_eq!((shard_keys(&shard), shard.slots.len()), (vec![7], 1));
    }

    #[test]
    fn memory_stays_within_the_bound() {
        let store = Store::<Used>::default();
        let names = store.namespace(b"n");
        for number in 0..20_000_u64 {
            store.update(1280, names.key(&number.to_ne_bytes()), 0, |state| state.again(100));
        }
        assert_eq!(store.len(), 1280);
        assert_eq!(store.evicted(), 20_000 - 1280);
        for number in 0..20_000_u64 {
            store.update(2560, names.key(&number.to_ne_bytes()), 0, |state| state.again(100));
        }
        assert_eq!(store.len(), 2560);
    }

    #[test]
    fn only_a_living_state_is_visited() {
        let store = Store::<Used>::default();
        let key = store.namespace(b"n").key(b"k");
        assert_eq!((store.visit(key, 0, |state| state.times), store.len()), (None, 0));
        store.update(DEFAULT_BOUND, key, 0, |state| state.again(10));
        assert_eq!(store.visit(key, 9, |state| state.again(10)), Some(2));
        assert_eq!(store.visit(key, 10, |state| state.times), None);
    }

    #[test]
    fn threads_that_share_a_key_lose_no_count() {
        let store = Arc::new(Store::<Used>::default());
        let key = store.namespace(b"n").key(b"k");
        let threads = (0..8).map(|_| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                for _ in 0..1000 {
                    store.update(DEFAULT_BOUND, key, 0, |state| state.again(100));
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(store.update(DEFAULT_BOUND, key, 0, |state| state.times), 8000);
    }

    proptest! {
        /// Far from its bound a store is a map from which what is over is gone.
        #[test]
        fn it_is_a_map_with_ends(steps in prop::collection::vec((0_u64..12, 0_u64..6, 1_u64..20), 1..400)) {
            let mut shard = Shard::default();
            let mut model = BTreeMap::<u64, Used>::new();
            let mut now = 0;
            for (key, pause, life) in steps {
                now += pause;
                model.retain(|_, state| state.until > now);
                let expected = model.entry(key).or_default().again(now + life);
                // one hash for several keys: the index has to compare them
                let (told, evicted) = shard.update(Key(key, key / 3), now, 100, |state: &mut Used| state.again(now + life));
                prop_assert_eq!(told, expected);
                prop_assert!(!evicted);
                prop_assert_eq!(shard.queue.len(), shard.live());
                prop_assert!(shard.live() >= model.len());
            }
        }
    }
}
