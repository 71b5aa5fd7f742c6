//! What a file looks like.
//!
//! | bytes | |
//! |---|---|
//! | 8 | `tgcache2` |
//! | 4 | CRC-32 of the 28 behind it |
//! | 4 | room: bytes of each place for a head |
//! | 8 | length of the body |
//! | 16 | the key |
//! | room | a place for a head |
//! | room | another |
//! | | the body |
//! | 4 for each 64 KiB of the body begun | CRC-32 of that block |
//!
//! A place for a head, of which the newer one counts; so a new one is written while the other is there:
//!
//! | bytes | |
//! |---|---|
//! | 4 | CRC-32 of all behind it, up to and with the head |
//! | 4 | how many heads the file had with it |
//! | 4 | length of the head |
//! | | the head ([`record`](super::super::record)) |
//!
//! The numbers are little-endian. The sums find what disks and crashes do to files, not what an attacker does who may write
//! to the folder; that is why the folder is the gateway's alone.
use std::ops::Range;

use super::super::{CacheKey, record};

const MAGIC: &[u8; 8] = b"tgcache2";
/// Bytes before the heads.
pub(super) const PREFIX: usize = 40;
/// Bytes of a place before its head.
const BEFORE: usize = 12;
/// What stands before a body is not longer than this.
pub(super) const LONGEST: usize = 1 << 20;
/// Bytes of a body under one sum.
pub(super) const BLOCK: usize = 64 * 1024;

/// What the beginning of a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) key: CacheKey,
    /// Where the head lies.
    pub(super) head: Range<usize>,
    /// How many heads the file had with it.
    pub(super) count: u32,
    room: usize,
    /// Where the body begins.
    pub(super) body_at: u64,
    pub(super) body_len: u64,
}

impl Opening {
    /// Bytes of the whole file.
    pub(super) fn file_len(&self) -> u64 {
        self.body_at + self.body_len + blocks(self.body_len) * 4
    }

    /// Another head as it is written, and where; `None` if there is no room for it.
    pub(super) fn next(&self, head: &[u8]) -> Option<(u64, Vec<u8>)> {
        let place = place(head, self.count.checked_add(1)?).filter(|place| place.len() <= self.room)?;
        let is_first = self.head.start == PREFIX + BEFORE;
        Some(((PREFIX + if is_first { self.room } else { 0 }) as u64, place))
    }
}

/// How many blocks a body has.
pub(super) fn blocks(body_len: u64) -> u64 {
    body_len.div_ceil(BLOCK as u64)
}

/// The beginning of a file; `None` if the head is too long.
pub(super) fn opening(key: CacheKey, head: &[u8], body_len: u64) -> Option<Vec<u8>> {
    // A later head may be a little longer.
    let room = (BEFORE + head.len() + head.len() / 4).next_multiple_of(256);
    let length = PREFIX + 2 * room;
    if length > LONGEST {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&u32::try_from(room).ok()?.to_le_bytes());
    out.extend_from_slice(&body_len.to_le_bytes());
    out.extend_from_slice(key.as_bytes());
    let sum = crc32fast::hash(out.get(12..)?);
    out.get_mut(8..12)?.copy_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(&place(head, 1)?);
    out.resize(length, 0);
    Some(out)
}

fn place(head: &[u8], count: u32) -> Option<Vec<u8>> {
    let mut out = vec![0; 4];
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&u32::try_from(head.len()).ok()?.to_le_bytes());
    out.extend_from_slice(head);
    let sum = crc32fast::hash(out.get(4..)?);
    out.get_mut(..4)?.copy_from_slice(&sum.to_le_bytes());
    Some(out)
}

/// How many bytes the beginning of a file has, by its first [`PREFIX`]; `None` if it is no such file.
pub(super) fn opening_len(prefix: &[u8]) -> Option<usize> {
    let prefix = prefix.get(..PREFIX)?;
    prefix.strip_prefix(MAGIC)?;
    if crc32fast::hash(prefix.get(12..)?) != number(prefix.get(8..)?)? {
        return None;
    }
    usize::try_from(number(prefix.get(12..)?)?).ok()?.checked_mul(2)?.checked_add(PREFIX)
}

/// Reads the beginning of a file, whole and perhaps with more behind it; `None` if it is not as it was written.
pub(super) fn read_opening(bytes: &[u8]) -> Option<Opening> {
    let length = opening_len(bytes)?;
    let places = bytes.get(PREFIX..length)?;
    let room = places.len() / 2;
    let heads = [0, room].into_iter().filter_map(|at| {
        let (count, head) = read_place(places.get(at..at + room)?)?;
        Some((count, PREFIX + at + head.start..PREFIX + at + head.end))
    });
    let (count, head) = heads.max_by_key(|(count, _)| *count)?;
    Some(Opening {
        key: CacheKey::from_bytes(bytes.get(24..24 + CacheKey::LEN)?.first_chunk().copied()?),
        head,
        count,
        room,
        body_at: length as u64,
        body_len: u64::from_le_bytes(bytes.get(16..24)?.first_chunk().copied()?),
    })
}

/// How many heads there were, and where in the place this one lies.
fn read_place(place: &[u8]) -> Option<(u32, Range<usize>)> {
    let count = number(place.get(4..)?)?;
    let head = BEFORE..usize::try_from(number(place.get(8..)?)?).ok()?.checked_add(BEFORE)?;
    let is_sound = crc32fast::hash(place.get(4..head.end)?) == number(place)?;
    let is_head = record::length(place.get(head.clone())?)? == head.len();
    (is_sound && is_head).then_some((count, head))
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use super::super::super::KeyBuilder;
    use super::super::super::record::tests::draft;
    use super::*;

    fn key() -> CacheKey {
        KeyBuilder::default().finish()
    }

    #[test]
    fn a_beginning_is_read_as_written_and_not_when_a_bit_is_wrong() {
        let head = record::encode(&draft(200)).unwrap();
        let bytes = opening(key(), &head, 65_537).unwrap();
        let read = read_opening(&[&bytes[..], b"body"].concat()).unwrap();
        assert_eq!((read.key, read.body_at, read.body_len), (key(), bytes.len() as u64, 65_537));
        assert_eq!(bytes[read.head.clone()], head);
        assert_eq!(read.file_len(), bytes.len() as u64 + 65_537 + 8);
        for place in 0..read.head.end {
            let mut wrong = bytes.clone();
            wrong[place] ^= 4;
            assert_eq!(read_opening(&wrong), None, "byte {place}");
            assert_eq!(read_opening(&bytes[..place]), None);
        }
    }

    #[test]
    fn of_two_heads_the_newer_counts_and_the_older_while_that_is_not_whole() {
        let mut bytes = opening(key(), &record::encode(&draft(200)).unwrap(), 0).unwrap();
        for status in [201, 202, 203, 204] {
            let head = record::encode(&draft(status)).unwrap();
            let before = read_opening(&bytes).unwrap();
            let (at, place) = before.next(&head).unwrap();
            let mut torn = bytes.clone();
            let at = usize::try_from(at).unwrap();
            for (length, byte) in place.iter().enumerate() {
                if torn[at + length..at + place.len()] != place[length..] {
                    assert_eq!(read_opening(&torn).unwrap(), before, "{status}, {length} bytes");
                }
                torn[at + length] = *byte;
            }
            bytes = torn;
            let after = read_opening(&bytes).unwrap();
            assert_eq!((&bytes[after.head.clone()], after.count), (&head[..], before.count + 1));
        }
        assert_eq!(read_opening(&bytes).unwrap().next(&[0; 300]), None, "there is no room for it");
    }

    #[test]
    fn a_head_that_is_too_long_is_not_written() {
        assert!(opening(key(), &vec![0; LONGEST / 2], 0).is_none());
    }
}
