//! Which keys there are, by URL.
use std::collections::BTreeSet;

use super::CacheKey;

/// The keys of what is kept, in order, so that those of one URL stand side by side. A tree takes some 28 bytes for each of them;
/// a table of lists would take several times that, since most URLs have one key.
#[derive(Debug, Default)]
pub(super) struct Urls(BTreeSet<CacheKey>);

impl Urls {
    pub(super) fn add(&mut self, key: CacheKey) {
        self.0.insert(key);
    }

    pub(super) fn forget(&mut self, key: &CacheKey) {
        self.0.remove(key);
    }

    /// Those of the URL of a key, that one among them or not.
    pub(super) fn of(&self, key: &CacheKey) -> impl Iterator<Item = CacheKey> {
        self.0.range(key.of_url()).copied()
    }

    /// As [`Urls::of`]; they are forgotten.
    pub(super) fn take(&mut self, key: &CacheKey) -> Vec<CacheKey> {
        let keys: Vec<_> = self.of(key).collect();
        keys.iter().for_each(|key| self.forget(key));
        keys
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}
