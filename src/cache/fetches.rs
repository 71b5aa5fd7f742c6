//! Fetches under way: what is taken out meanwhile is not put back by them.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A fetch that began at some time. What was taken out of its URL since then makes its answer one that is not kept.
#[derive(Clone, Debug)]
pub(crate) struct Fetching(Arc<AtomicBool>);

impl Fetching {
    /// Whether something was taken out since.
    pub(super) fn is_overtaken(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// The fetches that are under way, by URL.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    /// With some that have ended.
    begun: HashMap<u64, Fetching>,
    /// How many were under way when those that had ended were last taken out.
    left: usize,
}

/// So many may have ended before anybody looks.
const ENDED: usize = 64;

impl Fetches {
    pub(super) fn begin(&mut self, url: u64) -> Fetching {
        if self.begun.len() >= 2 * self.left + ENDED {
            self.begun.retain(|_, fetching| Arc::strong_count(&fetching.0) > 1);
            self.left = self.begun.len();
        }
        self.begun.entry(url).or_insert_with(|| Fetching(Arc::default())).clone()
    }

    /// Something has been taken out of that URL. Those that begin from now on do not mind.
    pub(super) fn overtake(&mut self, url: u64) {
        if let Some(fetching) = self.begun.remove(&url) {
            fetching.0.store(true, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_began_before_are_overtaken_and_no_others() {
        let mut fetches = Fetches::default();
        let (one, same, other) = (fetches.begin(1), fetches.begin(1), fetches.begin(2));
        fetches.overtake(1);
        fetches.overtake(3);
        let later = fetches.begin(1);
        assert!(one.is_overtaken() && same.is_overtaken());
        assert!(!other.is_overtaken() && !later.is_overtaken());
    }

    #[test]
    fn what_has_ended_is_forgotten_in_time_and_the_rest_is_not() {
        let mut fetches = Fetches::default();
        let open: Vec<_> = (0..1000).map(|url| fetches.begin(url)).collect();
        for url in 1000..100_000 {
            drop(fetches.begin(url));
            assert!(fetches.begun.len() <= 2 * open.len() + ENDED);
        }
        (0..1000).for_each(|url| fetches.overtake(url));
        assert!(open.iter().all(Fetching::is_overtaken));
    }
}
