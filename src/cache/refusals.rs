//! What is not kept, for a while (RFC 9111 §4, "collapsed requests").
use std::fmt;
use std::hash::RandomState;

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::CacheKey;

/// Keys whose last answer was not to be kept: nobody waits for another's. So many at most, whatever the zone may
/// hold, and beside it, so that they drive nothing out.
pub(super) struct Refusals(Cache<CacheKey, u64, UnitWeighter, RandomState>);

const MOST: usize = 16_384;
/// For so many milliseconds.
const A_WHILE: u64 = 10_000;

impl Refusals {
    pub(super) fn new() -> Self {
        let cache = Cache::with(MOST, MOST as u64, UnitWeighter, RandomState::new(), DefaultLifecycle::default());
        Self(cache)
    }

    pub(super) fn note(&self, key: CacheKey, now: u64) {
        self.0.insert(key, now + A_WHILE);
    }

    pub(super) fn hold(&self, key: CacheKey, now: u64) -> bool {
        self.0.get(&key).is_some_and(|until| until > now)
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusals({})", self.0.len())
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
        let refusals = Refusals::new();
        let key = |number: usize| KeyBuilder::default().part(&number.to_le_bytes()).finish();
        refusals.note(key(0), 5);
        assert!(refusals.hold(key(0), 10_004) && !refusals.hold(key(0), 10_005) && !refusals.hold(key(1), 5));
        (0..2 * MOST).for_each(|number| refusals.note(key(number), 5));
        assert!(refusals.0.len() <= MOST, "{refusals:?}");
    }
}
