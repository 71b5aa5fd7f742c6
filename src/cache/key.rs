//! What an answer is kept under.
use std::fmt;

/// What an answer is kept under: 128 bits of BLAKE3 over what the plugin puts into it, each part with its length before it,
/// so that no two lists of parts read alike.
///
/// The first half is that of the URL, or whatever the plugin has in its place; the second is everybody's, or one caller's.
/// So all that is kept of a URL can be taken out together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 16]);

/// A key in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuilder(blake3::Hasher);

/// Set in the second half of keys of one caller.
const CALLERS: u8 = 0x80;

impl KeyBuilder {
    /// Adds a part.
    pub(crate) fn part(&mut self, part: &[u8]) -> &mut Self {
        self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        self
    }

    /// Everybody's key.
    pub(crate) fn finish(&self) -> CacheKey {
        let mut key = CacheKey(self.hash());
        key.mark(0);
        key
    }

    fn hash(&self) -> [u8; 16] {
        self.0.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
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

    /// The key of the same for one caller alone.
    pub(crate) fn of_caller(&self, caller: &KeyBuilder) -> Self {
        let own = KeyBuilder::default().part(&self.0).part(&caller.hash()).hash();
        let mut key = *self;
        for (byte, own) in key.0.iter_mut().skip(8).zip(own) {
            *byte = own;
        }
        key.mark(CALLERS);
        key
    }

    /// Whether it is one caller's.
    pub(super) fn is_callers(&self) -> bool {
        let [.., own, _, _, _, _, _, _, _] = self.0;
        own & CALLERS != 0
    }

    /// What it has in common with everybody's and all callers' keys of its URL.
    pub(super) fn url(&self) -> u64 {
        let [url @ .., _, _, _, _, _, _, _, _] = self.0;
        u64::from_le_bytes(url)
    }

    fn mark(&mut self, whose: u8) {
        let [.., own, _, _, _, _, _, _, _] = &mut self.0;
        *own = *own & !CALLERS | whose;
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

    #[test]
    fn keys_of_callers_have_the_url_in_common() {
        let page = |name: &[u8]| KeyBuilder::default().part(name).finish();
        let caller = |name: &[u8]| {
            let mut key = KeyBuilder::default();
            key.part(name);
            key
        };
        let (everybodys, anns) = (page(b"x"), page(b"x").of_caller(&caller(b"ann")));
        assert_eq!((everybodys.is_callers(), anns.is_callers()), (false, true));
        assert_eq!(everybodys.url(), anns.url());
        assert_eq!(anns, page(b"x").of_caller(&caller(b"ann")));
        let others = [everybodys, page(b"x").of_caller(&caller(b"bob")), page(b"y").of_caller(&caller(b"ann"))];
        assert!(others.iter().all(|other| *other != anns));
        assert_ne!(anns.url(), page(b"y").url());
    }
}
