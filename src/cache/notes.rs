//! What was found out about keys, for a while.
use std::fmt;
use std::hash::RandomState;

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::CacheKey;

/// Keys of which something was found out that holds for a while. So many at most, whatever the zone may hold, and beside it, so
/// that they drive nothing out.
pub(super) struct Notes {
    until: Cache<CacheKey, u64, UnitWeighter, RandomState>,
    /// In milliseconds.
    a_while: u64,
}

const MOST: usize = 16_384;

impl Notes {
    pub(super) fn new(a_while: u64) -> Self {
        let until = Cache::with(MOST, MOST as u64, UnitWeighter, RandomState::new(), DefaultLifecycle::default());
        Self { until, a_while }
    }

    pub(super) fn note(&self, key: CacheKey, now: u64) {
        self.until.insert(key, now + self.a_while);
    }

    pub(super) fn hold(&self, key: CacheKey, now: u64) -> bool {
        self.until.get(&key).is_some_and(|until| until > now)
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Notes({})", self.until.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::KeyBuilder;
    use super::*;

    #[test]
    fn they_take_no_room_of_the_zone() {
        use super::super::Zone;
        use crate::model::{ByteSize, CacheZoneSpec};
        let zone = Zone::new(CacheZoneSpec::memory("test", ByteSize(1 << 20)));
        let key = |number: u32| KeyBuilder::default().part(&number.to_le_bytes()).finish();
        (0..20_000).for_each(|number| zone.refuse(key(number)));
        assert_eq!((zone.stats().entries, zone.stats().bytes), (0, 0));
        assert!(zone.refuses(key(19_999)));
    }

    #[test]
    fn they_lapse_and_are_bounded() {
        let notes = Notes::new(10_000);
        let key = |number: usize| KeyBuilder::default().part(&number.to_le_bytes()).finish();
        notes.note(key(0), 5);
        assert!(notes.hold(key(0), 10_004) && !notes.hold(key(0), 10_005) && !notes.hold(key(1), 5));
        (0..2 * MOST).for_each(|number| notes.note(key(number), 5));
        assert!(notes.until.len() <= MOST, "{notes:?}");
    }
}
