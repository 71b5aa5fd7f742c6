//! What is due when: of a hundred thousand things the next one is found without a look at the others.
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::SystemTime;

/// Things by the moment at which they are due, each at most once.
#[derive(Clone, Debug)]
pub(crate) struct Agenda<K> {
    at: HashMap<K, SystemTime>,
    order: BTreeSet<(SystemTime, K)>,
}

impl<K> Default for Agenda<K> {
    fn default() -> Self {
        Self { at: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Agenda<K> {
    /// Sets when something is due, or that it is not.
    pub(crate) fn set(&mut self, key: &K, at: Option<SystemTime>) {
        let before = match at {
            Some(at) => self.at.insert(key.clone(), at),
            None => self.at.remove(key),
        };
        if let Some(before) = before.filter(|before| Some(*before) != at) {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, key.clone()));
        }
    }

    /// When the first one is due.
    pub(crate) fn first(&self) -> Option<SystemTime> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out what is due first, if it is by now.
    pub(crate) fn take(&mut self, now: SystemTime) -> Option<K> {
        if self.first()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_due_comes_out_in_its_order_and_once(
            sets in prop::collection::vec((0_u8..8, prop::option::of(0_u64..20)), 0..60),
            now in 0_u64..20,
        ) {
            let moment = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let (mut agenda, mut model) = (Agenda::default(), HashMap::new());
            for (key, at) in sets {
                agenda.set(&key, at.map(moment));
                match at {
                    Some(at) => model.insert(key, at),
                    None => model.remove(&key),
                };
            }
            let mut wanted: Vec<_> = model.iter().filter(|(_, at)| **at <= now).map(|(key, at)| (*at, *key)).collect();
            wanted.sort_unstable();
            let taken: Vec<_> = std::iter::from_fn(|| agenda.take(moment(now))).collect();
            prop_assert_eq!(taken, wanted.iter().map(|(_, key)| *key).collect::<Vec<_>>());
            let left = model.values().filter(|at| **at > now).min();
            prop_assert_eq!(agenda.first(), left.copied().map(moment));
            prop_assert_eq!(agenda.at.len(), agenda.order.len());
        }
    }
}
