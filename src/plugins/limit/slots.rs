//! Concurrent requests of this process by key, and the arithmetic of `limit-conn`.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::hash::{Key, Namespace, Secret};

/// How many may run at once, and how the excess waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Crowd {
    /// Requests that run at once without waiting, above 0.
    pub(crate) conn: u64,
    /// Requests above `conn` that wait before they run.
    pub(crate) burst: u64,
}

impl Crowd {
    /// How many there may be at all.
    pub(crate) fn most(self) -> u64 {
        self.conn.saturating_add(self.burst)
    }

    /// How many unit delays a request waits that is the `running`th, itself counted.
    pub(crate) fn units(self, running: u64) -> u64 {
        if running <= self.conn { 0 } else { running.saturating_sub(1) / self.conn.max(1) }
    }
}

const SHARDS: usize = 64;

/// A table that is empty gives its memory back when it had room for more than this.
const KEEP: usize = 64;

/// How many requests of each key are running. A key without any takes no memory, so that the requests in flight bound it.
pub(crate) struct Slots {
    secret: Secret,
    shards: Box<[Mutex<Shard>]>,
}

type Shard = HashTable<Running>;

struct Running {
    key: Key,
    requests: u64,
}

impl Slots {
    /// Nothing is running.
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { secret: Secret::random(), shards }
    }

    /// The keys of one owner.
    pub(crate) fn namespace(&self, name: &[u8]) -> Namespace {
        self.secret.namespace(name)
    }

    /// Takes a slot if fewer than `most` are taken: the slot, and how many are taken with it.
    pub(crate) fn take(self: &Arc<Self>, key: Key, most: u64) -> Option<(Slot, u64)> {
        let mut shard = self.shard(key)?;
        let requests = match shard.entry(key.1, |running| running.key == key, |running| running.key.1) {
            Entry::Occupied(mut entry) => {
                let running = entry.get_mut();
                if running.requests >= most {
                    return None;
                }
                running.requests += 1;
                running.requests
            }
            Entry::Vacant(_) if most == 0 => return None,
            Entry::Vacant(entry) => {
                entry.insert(Running { key, requests: 1 });
                1
            }
        };
        Some((Slot { slots: Arc::clone(self), key }, requests))
    }

    /// How many keys have something running.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn shard(&self, key: Key) -> Option<MutexGuard<'_, Shard>> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let shard = self.shards.get(key.0 as usize % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running request's place; given back when it is dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    key: Key,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(mut shard) = self.slots.shard(self.key) else { return };
        let Ok(mut entry) = shard.find_entry(self.key.1, |running| running.key == self.key) else { return };
        entry.get_mut().requests -= 1;
        if entry.get().requests == 0 {
            entry.remove();
            if shard.is_empty() && shard.capacity() > KEEP {
                *shard = Shard::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excess_waits_by_the_share_it_is_over() {
        let crowd = Crowd { conn: 2, burst: 3 };
        assert_eq!(crowd.most(), 5);
        assert_eq!([1, 2, 3, 4, 5].map(|running| crowd.units(running)), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn slots_come_back_and_leave_nothing() {
        let slots = Arc::new(Slots::new());
        let (a, b) = (slots.namespace(b"n").key(b"a"), slots.namespace(b"n").key(b"b"));
        let first = slots.take(a, 2).unwrap();
        let second = slots.take(a, 2).unwrap();
        assert_eq!((first.1, second.1), (1, 2));
        assert!(slots.take(a, 2).is_none());
        assert_eq!(slots.take(b, 2).unwrap().1, 1);
        drop(first);
        assert_eq!(slots.take(a, 2).unwrap().1, 2);
        drop(second);
        assert_eq!(slots.len(), 0);
    }

    #[test]
    fn a_lowered_limit_holds_for_who_comes_next() {
        let slots = Arc::new(Slots::new());
        let key = slots.namespace(b"").key(b"");
        let running: Vec<_> = (0..5).map(|_| slots.take(key, 5).unwrap()).collect();
        assert!(slots.take(key, 3).is_none());
        drop(running);
        assert!(slots.take(key, 3).is_some());
        assert!(slots.take(key, 0).is_none());
    }

    #[test]
    fn threads_never_hold_more_than_the_limit() {
        let slots = Arc::new(Slots::new());
        let key = slots.namespace(b"").key(b"");
        let threads = (0..8).map(|_| {
            let slots = Arc::clone(&slots);
            std::thread::spawn(move || {
                for _ in 0..2000 {
                    if let Some((_slot, running)) = slots.take(key, 3) {
                        assert!(running <= 3);
                    }
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(slots.len(), 0);
    }
}
