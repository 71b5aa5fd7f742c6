//! The zones of a gateway.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Stats, Zone};
use crate::model::CacheZoneSpec;

/// The zones that plugins share. A clone is the same set.
#[derive(Clone, Debug, Default)]
pub struct Zones(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The host's, by name.
    given: Mutex<HashMap<String, Arc<Zone>>>,
    /// Those of configurations: they live as long as a block of one does.
    configured: Mutex<HashMap<CacheZoneSpec, Weak<Zone>>>,
}

impl Zones {
    /// Adds a zone, which stands above one of its name in a configuration.
    #[must_use]
    pub fn with(self, zone: Arc<Zone>) -> Self {
        lock(&self.0.given).insert(zone.name().to_owned(), zone);
        self
    }

    /// The host's zone of that name.
    pub(crate) fn given(&self, name: &str) -> Option<Arc<Zone>> {
        lock(&self.0.given).get(name).cloned()
    }

    /// The zone that was made by this, as long as it lives, or a new one.
    pub(crate) fn configured(&self, spec: CacheZoneSpec) -> Arc<Zone> {
        let mut zones = lock(&self.0.configured);
        zones.retain(|_, zone| zone.strong_count() > 0);
        if let Some(zone) = zones.get(&spec).and_then(Weak::upgrade) {
            return zone;
        }
        let zone = Zone::new(spec.clone());
        zones.insert(spec, Arc::downgrade(&zone));
        zone
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Zone>> {
        let mut all: Vec<_> = lock(&self.0.given).values().cloned().collect();
        all.extend(lock(&self.0.configured).values().filter_map(Weak::upgrade));
        all
    }

    /// What all of them count together.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.all().iter().for_each(|zone| sum += zone.stats());
        sum
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ByteSize;

    #[test]
    fn a_zone_lives_as_long_as_it_is_held() {
        let zones = Zones::default();
        let spec = CacheZoneSpec::memory("a", ByteSize(1 << 20));
        let zone = zones.configured(spec.clone());
        assert!(Arc::ptr_eq(&zone, &zones.configured(spec.clone())));
        let other = zones.configured(CacheZoneSpec::memory("a", ByteSize(2 << 20)));
        assert!(!Arc::ptr_eq(&zone, &other));
        assert_eq!(zones.all().len(), 2);
        drop((zone, other));
        assert_eq!(zones.all().len(), 0);
        let given = zones.clone().with(Zone::new(spec)).given("a").unwrap();
        assert_eq!((given.name(), zones.all().len()), ("a", 1));
    }
}
