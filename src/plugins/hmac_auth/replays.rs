//! Signatures that were taken. Only gates with `refuse_replays` come here.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many parts the memory is cut into, each behind a lock of its own.
const PARTS: usize = 64;
/// How many signatures a part remembers at most.
const MOST: usize = 1_000_000 / PARTS;
/// A part with fewer is not looked through for what is out of date.
const FEW: usize = 64;

/// The signatures whose dates are still taken, as keyed digests.
#[derive(Debug)]
pub(super) struct Replays {
    key: [u8; 32],
    parts: Box<[Mutex<Part>]>,
}

#[derive(Debug, Default)]
struct Part {
    /// Until when each is remembered, in seconds since 1970.
    taken: HashMap<[u8; 16], u64>,
    /// At how many the part is looked through: twice as many as were left the last time, so that each costs a constant time.
    sweep_at: usize,
}

/// What is known of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is remembered from now on.
    First,
    /// It was taken before.
    Again,
    /// No more signatures can be remembered.
    Full,
}

impl Default for Replays {
    fn default() -> Self {
        Self { key: crate::request::random_key(), parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }
}

impl Replays {
    /// Remembers a signature until its date is no longer taken. Times are in seconds since 1970.
    pub(super) fn see(&self, key_id: &str, signature: &[u8], now: u64, until: u64) -> Seen {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        // The length parts the two, whatever is in them.
        hasher.update(&signature.len().to_le_bytes()).update(signature).update(key_id.as_bytes());
        let digest = hasher.finalize().as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        let Some(part) = self.parts.get(usize::from(digest[0]) % PARTS) else { return Seen::Full };
        part.lock().unwrap_or_else(PoisonError::into_inner).see(digest, now, until)
    }
}

impl Part {
    fn see(&mut self, digest: [u8; 16], now: u64, until: u64) -> Seen {
        if self.taken.contains_key(&digest) {
            return Seen::Again;
        }
        if self.taken.len() >= self.sweep_at.clamp(FEW, MOST) {
            self.taken.retain(|_, until| *until >= now);
            self.sweep_at = self.taken.len() * 2;
            if self.taken.len() >= MOST {
                return Seen::Full;
            }
        }
        self.taken.insert(digest, until);
        Seen::First
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_known_for_as_long_as_its_date_is_taken() {
        let replays = Replays::default();
        let see = |key_id: &str, signature: &str, now| replays.see(key_id, signature.as_bytes(), now, 600);
        assert_eq!((see("k", "a", 1), see("k", "a", 2), see("k", "a", 600)), (Seen::First, Seen::Again, Seen::Again));
        assert_eq!((see("l", "a", 1), see("k", "b", 1)), (Seen::First, Seen::First));
        // Many that are out of date make room for many more.
        let mut part = Part::default();
        for round in 0..4_u64 {
            for n in 0..MOST as u64 {
                let mut digest = [0; 16];
                digest[..8].copy_from_slice(&(round << 32 | n).to_le_bytes());
                assert_eq!(part.see(digest, round * 10, round * 10 + 9), Seen::First);
            }
        }
        assert!(part.taken.len() <= MOST);
    }

    #[test]
    fn a_full_memory_takes_no_more_until_dates_are_past() {
        let replays = Replays::default();
        let see = |n: u32, now| replays.see("k", &n.to_le_bytes(), now, 600);
        let full = (0..).find(|n| see(*n, 0) == Seen::Full).unwrap();
        assert!((MOST..=MOST * PARTS).contains(&(full as usize)), "{full}");
        assert_eq!((see(0, 0), see(full, 600), see(full, 601)), (Seen::Again, Seen::Full, Seen::First));
    }
}
