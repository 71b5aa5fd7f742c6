//! What an answer is kept under.
use std::fmt;
use std::ops::RangeInclusive;

/// What an answer is kept under: 128 bits of BLAKE3 over what the plugin puts into it, each part with its length before it,
/// so that no two lists of parts read alike.
///
/// The first half is that of the URL, or whatever the plugin has in its place; the second tells apart the answers that there
/// are of it: by route, by scheme, by caller. So all that is kept of a URL can be taken out together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey([u8; 16]);

/// A key in the making. Parts are gathered and hashed at once, which takes less time than to hash many short ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyBuilder {
    parts: Vec<u8>,
    /// The first half, once it is known.
    url: Option<[u8; 8]>,
}

/// Room for the parts of most keys.
const USUAL: usize = 384;
/// The length of a part's length.
const LENGTH: usize = size_of::<u64>();

impl KeyBuilder {
    /// With room for the parts of most keys.
    pub(crate) fn roomy() -> Self {
        Self { parts: Vec::with_capacity(USUAL), url: None }
    }

    /// Adds a part.
    pub(crate) fn part(&mut self, part: &[u8]) -> &mut Self {
        self.part_by(|parts| parts.extend_from_slice(part))
    }

    /// Adds a part that may be long, by its hash; it is not empty.
    pub(crate) fn long_part(&mut self, part: &[u8]) -> &mut Self {
        self.part(blake3::hash(part).as_bytes())
    }

    /// Adds what is written behind the others as one part.
    pub(crate) fn part_by(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let begin = self.parts.len() + LENGTH;
        self.parts.extend_from_slice(&[0; LENGTH]);
        write(&mut self.parts);
        let length = self.parts.len().saturating_sub(begin) as u64;
        if let Some(place) = self.parts.get_mut(begin - LENGTH..begin) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self
    }

    /// What was added so far is the URL. What is added from now on tells its answers apart.
    pub(crate) fn end_url(&mut self) -> &mut Self {
        let hash = self.hash();
        let [url @ .., _, _, _, _, _, _, _, _] = hash;
        self.url = Some(url);
        self.parts.clear();
        // as good as what it is of
        self.part(&hash)
    }

    /// The key of all that was added. Its second half, too, is made of the URL and the rest, so that both together are as good as
    /// one hash of all.
    pub(crate) fn finish(&self) -> CacheKey {
        let mut key = self.hash();
        if let Some(url) = self.url {
            key.iter_mut().zip(url).for_each(|(byte, url)| *byte = url);
        }
        CacheKey(key)
    }

    fn hash(&self) -> [u8; 16] {
        blake3::hash(&self.parts).as_bytes().first_chunk().copied().unwrap_or_default()
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

    /// What it has in common with all keys of its URL.
    pub(super) fn url(&self) -> u64 {
        let [url @ .., _, _, _, _, _, _, _, _] = self.0;
        u64::from_le_bytes(url)
    }

    /// From the first to the last key that its URL may have.
    pub(super) fn of_url(&self) -> RangeInclusive<Self> {
        let with = |rest: u8| {
            let mut key = *self;
            key.0.iter_mut().skip(8).for_each(|byte| *byte = rest);
            key
        };
        with(0)..=with(0xff)
    }

    /// The key of one of several answers, for what is told apart by both; of the only one (0) the key itself.
    pub(crate) fn of_variant(&self, variant: u64) -> Self {
        if variant == 0 {
            return *self;
        }
        KeyBuilder::default().part(&self.0).part(&variant.to_le_bytes()).finish()
    }

    /// The key as it is told to those who know by what else it goes: with another `by` it names nothing. Said twice it is the key
    /// again.
    pub(crate) fn told(mut self, by: &Self) -> Self {
        for (byte, other) in self.0.iter_mut().zip(by.0) {
            *byte ^= other;
        }
        self
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
        let written = KeyBuilder::roomy().part(b"a").part_by(|parts| parts.extend(b"bc")).part(b"").finish();
        assert_eq!(written, key(&["a", "bc", ""]));
        assert_ne!(KeyBuilder::default().long_part(b"x").finish(), key(&["x"]));
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
    fn a_told_key_is_the_key_again_by_the_same() {
        let key = |text: &[u8]| KeyBuilder::default().part(text).finish();
        let told = key(b"x").told(&key(b"a"));
        assert_ne!(told, key(b"x"));
        assert_eq!(told.told(&key(b"a")), key(b"x"));
        assert_ne!(told.told(&key(b"b")), key(b"x"));
    }

    #[test]
    fn keys_of_one_url_have_its_half_in_common() {
        let key = |url: &[u8], rest: &[u8]| KeyBuilder::default().part(url).end_url().part(rest).finish();
        let (anns, bobs, other) = (key(b"x", b"ann"), key(b"x", b"bob"), key(b"y", b"ann"));
        assert_eq!(anns, key(b"x", b"ann"));
        assert!(anns != bobs && anns != other && anns.as_bytes()[8..] != other.as_bytes()[8..]);
        assert_eq!(anns.url(), bobs.url());
        assert_eq!(anns.url(), KeyBuilder::default().part(b"x").finish().url(), "as long as nothing else was added");
        assert_ne!(anns.url(), other.url());
        for (one, is_in) in [(anns, true), (bobs, true), (other, false)] {
            assert_eq!(anns.of_url().contains(&one), is_in);
        }
    }
}
