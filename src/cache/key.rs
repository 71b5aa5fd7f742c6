//! What an answer is kept under.
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What an answer is kept under: 128 bits of BLAKE3 over what the plugin puts into it, each part with its length before it,
/// so that no two lists of parts read alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CacheKey([u8; 16]);

/// A key in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuilder(blake3::Hasher);

impl KeyBuilder {
    /// Adds a part.
    pub(crate) fn part(&mut self, part: &[u8]) -> &mut Self {
        self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        self
    }

    pub(crate) fn finish(&self) -> CacheKey {
        let hash = self.0.finalize();
        CacheKey(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

impl CacheKey {
    pub(super) const LEN: usize = 16;

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The key of one of several answers, for what is told apart by both; of the only one (0) the key itself.
    pub(crate) fn of_variant(&self, variant: u64) -> Self {
        if variant == 0 {
            return *self;
        }
        KeyBuilder::default().part(&self.0).part(&variant.to_le_bytes()).finish()
    }

    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        if text.len() != 32 || !text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for CacheKey {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first @ .., _, _, _, _, _, _, _, _] = self.0;
        state.write_u64(u64::from_le_bytes(first));
    }
}

/// A hasher for keys, which are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AsItIs(u64);

pub(super) type KeyHashing = BuildHasherDefault<AsItIs>;

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let key = |parts: &[&str]| {
            let mut key = KeyBuilder::default();
            for part in parts {
                key.part(part.as_bytes());
            }
            key.finish()
        };
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["ab", ""]), key(&["a", "b"]));
        assert_ne!(key(&["ab"]), key(&["ab", ""]));
    }

    #[test]
    fn keys_are_read_as_written() {
        let key = KeyBuilder::default().part(b"x").finish();
        assert_eq!(CacheKey::parse(&key.to_string()), Some(key));
        for text in ["", "0", "+f000000000000000000000000000000", "zz000000000000000000000000000000"] {
            assert_eq!(CacheKey::parse(text), None, "{text}");
        }
    }
}
