//! What a file looks like.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `tgcache1` |
//! | 4 | CRC-32 of all behind it, up to and with the head |
//! | 4 | length of the head |
//! | 8 | length of the body |
//! | 16 | the key |
//! | | the head ([`record`](super::super::record)) |
//! | | the body |
//! | 4 for each 64 KiB of the body begun | CRC-32 of that block |
//!
//! The numbers are little-endian. The sums find what disks and crashes do to files, not what an attacker does who may write
//! to the folder; that is why the folder is the gateway's alone.
use super::super::{CacheKey, record};

const MAGIC: &[u8; 8] = b"tgcache1";
/// Bytes before the head.
pub(super) const PREFIX: usize = 40;
/// Bytes of a body under one sum.
pub(super) const BLOCK: usize = 64 * 1024;

/// What the beginning of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) key: CacheKey,
    /// Where the body begins.
    pub(super) body_at: u64,
    pub(super) body_len: u64,
}

impl Opening {
    /// Bytes of the whole file.
    pub(super) fn file_len(&self) -> u64 {
        self.body_at + self.body_len + blocks(self.body_len) * 4
    }
}

/// How many blocks a body has.
pub(super) fn blocks(body_len: u64) -> u64 {
    body_len.div_ceil(BLOCK as u64)
}

/// The beginning of a file.
pub(super) fn opening(key: CacheKey, head: &[u8], body_len: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + head.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&body_len.to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(head);
    let sum = crc32fast::hash(out.get(12..).unwrap_or_default());
    if let Some(place) = out.get_mut(8..12) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
    out
}

/// How many bytes the beginning of a file has, by its first [`PREFIX`]; `None` if it is no such file.
pub(super) fn opening_len(prefix: &[u8]) -> Option<usize> {
    let head = prefix.strip_prefix(MAGIC)?.get(4..8)?.first_chunk().copied()?;
    usize::try_from(u32::from_le_bytes(head)).ok()?.checked_add(PREFIX)
}

/// Reads the beginning of a file, whole and perhaps with more behind it; `None` if it is not as it was written.
pub(super) fn read_opening(bytes: &[u8]) -> Option<Opening> {
    let length = opening_len(bytes)?;
    let whole = bytes.get(..length)?;
    let sum = u32::from_le_bytes(whole.get(8..12)?.first_chunk().copied()?);
    if crc32fast::hash(whole.get(12..)?) != sum || record::length(whole.get(PREFIX..)?)? != length - PREFIX {
        return None;
    }
    Some(Opening {
        key: CacheKey::from_bytes(whole.get(24..24 + CacheKey::LEN)?.first_chunk().copied()?),
        body_at: length as u64,
        body_len: u64::from_le_bytes(whole.get(16..24)?.first_chunk().copied()?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::KeyBuilder;
    use super::super::super::record::tests::draft;
    use super::*;

    #[test]
    fn a_beginning_is_read_as_written_and_not_when_a_bit_is_wrong() {
        let key = KeyBuilder::default().finish();
        let head = record::encode(&draft(200)).unwrap();
        let bytes = opening(key, &head, 65_537);
        let read = read_opening(&[&bytes[..], b"body"].concat()).unwrap();
        assert_eq!(read, Opening { key, body_at: (PREFIX + head.len()) as u64, body_len: 65_537 });
        assert_eq!(read.file_len(), bytes.len() as u64 + 65_537 + 8);
        for place in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[place] ^= 4;
            assert_eq!(read_opening(&wrong), None, "byte {place}");
            assert_eq!(read_opening(&bytes[..place]), None);
        }
    }
}
