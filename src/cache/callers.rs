//! Which keys of single callers there are, by URL.
use std::collections::{HashMap, HashSet};

use super::CacheKey;

/// The keys of single callers. Everybody's are not among them: they follow from the URL.
#[derive(Debug, Default)]
pub(super) struct Callers(HashMap<u64, HashSet<CacheKey>>);

impl Callers {
    pub(super) fn add(&mut self, key: CacheKey) {
        if key.is_callers() {
            self.0.entry(key.url()).or_default().insert(key);
        }
    }

    pub(super) fn forget(&mut self, key: &CacheKey) {
        if let Some(keys) = self.0.get_mut(&key.url()) {
            keys.remove(key);
            if keys.is_empty() {
                self.0.remove(&key.url());
            }
        }
    }

    /// Those of a URL, which are forgotten.
    pub(super) fn take(&mut self, url: u64) -> HashSet<CacheKey> {
        self.0.remove(&url).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.values().map(HashSet::len).sum()
    }
}
