//! [`Entries`]: everything that a store has, cheap to keep as it was.
use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::{Entry, Key};

/// Items by key, in order. A clone shares all of them, and a change copies what leads to the item alone: every
/// configuration that there was can be kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries(RedBlackTreeMapSync<Key, Arc<Entry>>);

impl Entries {
    /// One item.
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.0.get(key)
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Arc<Entry>)> {
        self.0.iter()
    }

    /// The items whose keys begin with `prefix`, such as `routes/`.
    pub fn range<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Key, &'a Arc<Entry>)> {
        let from: (Bound<&str>, Bound<&str>) = (Bound::Included(prefix), Bound::Unbounded);
        self.0.range::<str, _>(from).take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts an item there, or takes it away. Gives what was there.
    pub fn set(&mut self, key: &Key, entry: Option<Arc<Entry>>) -> Option<Arc<Entry>> {
        let before = self.0.get(key).cloned();
        match entry {
            Some(entry) => self.0.insert_mut(key.clone(), entry),
            None => drop(self.0.remove_mut(key)),
        }
        before
    }
}

impl FromIterator<(Key, Arc<Entry>)> for Entries {
    fn from_iter<I: IntoIterator<Item = (Key, Arc<Entry>)>>(items: I) -> Self {
        let mut map = RedBlackTreeMapSync::new_sync();
        for (key, entry) in items {
            map.insert_mut(key, entry);
        }
        Self(map)
    }
}
