<<<<<<< HEAD
//! Random bytes that cost no call of the system for each request.
use std::sync::atomic::{AtomicU64, Ordering};

/// A generator of random bytes that nobody can guess: a counter under a keyed hash (BLAKE3 with its output extended),
/// whose key the system drew. It is shared without a lock, and drawing from it cannot fail.
pub(super) struct Random {
    key: [u8; 32],
    drawn: AtomicU64,
}

impl Random {
    /// Draws a key from the system.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { key, drawn: AtomicU64::new(0) })
    }

    /// Bytes that were never drawn before.
    pub(super) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream().fill(&mut bytes);
        bytes
    }

    /// Bytes without end, that were never drawn before.
    pub(super) fn stream(&self) -> blake3::OutputReader {
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        blake3::Hasher::new_keyed(&self.key).update(&count.to_le_bytes()).finalize_xof()
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
=======
//! Randomness for what need not be secret: shares of requests, made-up answers.
use std::hash::{BuildHasher as _, RandomState};

/// A stream of random numbers (SplitMix64), begun with the randomness that std has for its hash maps.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        Self(RandomState::new().hash_one(0u8))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        // The product of two numbers below 2^32 fits, and its upper half is below `bound`.
        u32::try_from(((self.next() >> 32) * u64::from(bound)) >> 32).unwrap_or(0)
>>>>>>> 4ebd028 (plugins: proxy-rewrite, response-rewrite, redirect, traffic-split, mocking, fault-injection)
    }
}

#[cfg(test)]
mod tests {
<<<<<<< HEAD
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_drawn_twice() {
        let generators = [Random::new().unwrap(), Random::new().unwrap()];
        let drawn: HashSet<[u8; 16]> = (0..2000).map(|index| generators[index % 2].bytes()).collect();
        assert_eq!(drawn.len(), 2000);
        let ones: u32 = drawn.iter().flatten().map(|byte| byte.count_ones()).sum();
        // 256,000 fair bits: 5 standard deviations are 1265.
        assert!(ones.abs_diff(128_000) < 1265, "{ones}");
=======
    use super::*;

    #[test]
    fn numbers_are_spread_below_their_bound() {
        let mut random = Random::new();
        let mut seen = [0u32; 10];
        (0..10_000).for_each(|_| seen[random.below(10) as usize] += 1);
        // Six standard deviations of 30 around 1,000.
        assert!(seen.iter().all(|count| (820..=1180).contains(count)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
>>>>>>> 4ebd028 (plugins: proxy-rewrite, response-rewrite, redirect, traffic-split, mocking, fault-injection)
    }
}
