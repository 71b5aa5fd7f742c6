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
    }
}

#[cfg(test)]
mod tests {
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
    }
}
