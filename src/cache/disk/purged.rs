//! What has been taken out while files of earlier runs were not all known.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::CacheKey;

/// Up to which number the files of a URL are taken out: the reading of the folder, which meets them later, takes none of
/// them in.
#[derive(Debug, Default)]
pub(super) struct Purged(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    urls: HashMap<u64, u64>,
    /// Up to which those of all URLs are.
    all: u64,
}

/// With more URLs than this all of them are taken out: the reading may have to wait for long, while others hold the folder.
const MOST: usize = 64 * 1024;

impl Purged {
    pub(super) fn note(&self, key: CacheKey, id: u64) {
        let mut known = self.known();
        if known.urls.len() >= MOST {
            *known = Known { urls: HashMap::new(), all: id };
        }
        known.urls.insert(key.url(), id);
    }

    /// Whether a file has been taken out.
    pub(super) fn holds(&self, key: CacheKey, id: u64) -> bool {
        let known = self.known();
        id <= known.all || known.urls.get(&key.url()).is_some_and(|last| id <= *last)
    }

    /// All files are known.
    pub(super) fn forget(&self) {
        *self.known() = Known::default();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::KeyBuilder;
    use super::*;

    #[test]
    fn what_came_before_is_out_and_what_comes_after_is_not() {
        let key = |number: usize| KeyBuilder::default().part(&number.to_le_bytes()).finish();
        let purged = Purged::default();
        purged.note(key(0), 7);
        assert!(purged.holds(key(0), 7) && !purged.holds(key(0), 8) && !purged.holds(key(1), 1));
        for number in 1..=MOST {
            purged.note(key(number), 9);
        }
        assert!(purged.holds(key(0), 7) && purged.holds(key(MOST + 1), 9) && !purged.holds(key(0), 10));
        assert!(purged.known().urls.len() <= MOST);
        purged.forget();
        assert!(!purged.holds(key(0), 1));
    }
}
